/** A WebSocket to a program that can be ended from our side with a code, as a version that goes away has to. */
import { Duplex } from 'node:stream'

export interface CuttableSocket {
  /** Carries what `inner` carries, both ways. */
  readonly outer: Duplex
  /** Sends a close frame with this code (RFC 6455 §7.4) if no frame is half sent, and ends the connection. */
  cut(code: number): void
}

export function cuttable(inner: Duplex): CuttableSocket {
  const frames = frameCursor()
  const outer = new Duplex({
    read: () => void inner.resume(),
    write(chunk, _encoding, done) {
      if (inner.destroyed) done()
      else if (inner.write(chunk)) done()
      else inner.once('drain', done)
    },
    final(done) {
      if (!inner.destroyed) inner.end()
      done()
    },
    destroy(error, done) {
      inner.destroy()
      done(error)
    },
  })
  inner.on('data', (chunk: Buffer) => {
    frames.advance(chunk)
    if (!outer.push(chunk)) inner.pause()
  })
  inner.on('end', () => outer.push(null))
  inner.on('error', () => outer.destroy())
  inner.on('close', () => {
    if (!outer.readableEnded) outer.push(null)
  })
  return {
    outer,
    cut(code) {
      if (outer.destroyed || inner.destroyed) return
      if (frames.between) outer.push(Uint8Array.of(0x88, 2, code >> 8, code & 0xff))
      outer.push(null)
      inner.removeAllListeners('data')
      inner.destroy()
    },
  }
}

/** Follows the frames of a server (unmasked, RFC 6455 §5.2) to know whether a new one may start here. */
export function frameCursor(): { advance(chunk: Uint8Array): void; readonly between: boolean } {
  const head: number[] = []
  let payloadLeft = 0

  /** Length of the payload once the head is complete, else undefined. */
  function payloadLength(): number | undefined {
    const short = (head[1] ?? 0) & 0x7f
    const headBytes = short === 126 ? 4 : short === 127 ? 10 : 2
    if (head.length < headBytes) return undefined
    return headBytes === 2 ? short : head.slice(2).reduce((length, byte) => length * 256 + byte, 0)
  }

  return {
    advance(chunk) {
      let at = 0
      while (at < chunk.length) {
        const skipped = Math.min(payloadLeft, chunk.length - at)
        payloadLeft -= skipped
        at += skipped
        if (at === chunk.length) return
        head.push(chunk[at++]!)
        const length = payloadLength()
        if (length === undefined) continue
        payloadLeft = length
        head.length = 0
      }
    },
    get between() {
      return payloadLeft === 0 && head.length === 0
    },
  }
}
