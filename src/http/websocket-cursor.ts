/** Follows the frames of one side of a WebSocket (RFC 6455 §5.2) without keeping them. */

export interface FrameCursor {
  /** Moves over bytes that went by. */
  advance(chunk: Uint8Array): void
  /** Moves to where the first frame that ends in `chunk` ends, or over all of it; returns how far that is. */
  advanceToEnd(chunk: Uint8Array): number
  /** A frame of our own may start here. */
  readonly between: boolean
  /** A close frame went by whole (§5.5.1): no frame follows. */
  readonly closed: boolean
}

const closeOpcode = 8
const maskBytes = 4

export function createFrameCursor(): FrameCursor {
  const head = new Uint8Array(10 + maskBytes)
  let headLength = 0
  let payloadLeft = 0
  let closing = false
  let closed = false

  /** Length of the payload once the head is complete, else -1. */
  function payloadLength(): number {
    if (headLength < 2) return -1
    const short = head[1]! & 0x7f
    const lengthEnd = short === 126 ? 4 : short === 127 ? 10 : 2
    if (headLength < lengthEnd + (head[1]! & 0x80 ? maskBytes : 0)) return -1
    if (lengthEnd === 2) return short
    let length = 0
    for (let at = 2; at < lengthEnd; at++) length = length * 256 + head[at]!
    return length
  }

  function endFrame(): void {
    if (closing) closed = true
  }

  /** Index behind the next frame's end, or the end of `chunk`. */
  function next(chunk: Uint8Array, from: number): number {
    let at = from
    if (payloadLeft > 0) {
      const skipped = Math.min(payloadLeft, chunk.length - at)
      payloadLeft -= skipped
      at += skipped
      if (payloadLeft === 0) endFrame()
      return at
    }
    while (at < chunk.length) {
      head[headLength++] = chunk[at++]!
      const length = payloadLength()
      if (length === -1) continue
      closing = (head[0]! & 0x0f) === closeOpcode
      headLength = 0
      payloadLeft = length
      if (length > 0) return next(chunk, at)
      endFrame()
      return at
    }
    return at
  }

  return {
    advance(chunk) {
      for (let at = 0; at < chunk.length; ) at = next(chunk, at)
    },
    advanceToEnd: (chunk) => next(chunk, 0),
    get between() {
      return payloadLeft === 0 && headLength === 0
    },
    get closed() {
      return closed
    },
  }
}
