/**
 * Frames on their way out of an HTTP/2 connection: all of one turn of the event loop in one write, and no more waiting
 * than the client reads.
 */
import type { Socket } from 'node:net'

export interface H2Out {
  queue(frame: Buffer): void
  /** Writes what is queued now. */
  flush(): void
  /** False while enough is on its way that answers should wait in their streams. */
  readonly hasRoom: boolean
  /** Since when the client has not read what was written; undefined while it does. */
  readonly blockedSince: number | undefined
  /** The socket took everything it was given. */
  drained(): void
}

/** Bytes written or about to be, beyond which answers wait in their streams. */
const outBytes = 256 * 1024
/** Bytes that a client may leave unread, acknowledgements included, before we stop reading what it sends. */
const unreadBytes = 1024 * 1024

/** `onTurn` is called after each write by turn, for bytes that waited for room. */
export function createH2Out(socket: Socket, onTurn: () => void): H2Out {
  let parts: Buffer[] = []
  let bytes = 0
  let scheduled = false
  let blockedSince: number | undefined

  function flush(): void {
    if (parts.length === 0) return
    const all = parts.length === 1 ? parts[0]! : Buffer.concat(parts, bytes)
    parts = []
    bytes = 0
    if (!socket.writable) return
    socket.write(all)
    if (!socket.writableNeedDrain) return
    blockedSince ??= performance.now()
    if (socket.writableLength > unreadBytes) socket.pause()
  }

  function turn(): void {
    scheduled = false
    flush()
    onTurn()
  }

  return {
    queue(frame) {
      parts.push(frame)
      bytes += frame.length
      if (scheduled) return
      scheduled = true
      setImmediate(turn)
    },
    flush,
    get hasRoom() {
      return bytes + socket.writableLength < outBytes
    },
    get blockedSince() {
      return blockedSince
    },
    drained() {
      blockedSince = undefined
      if (socket.isPaused()) socket.resume()
    },
  }
}
