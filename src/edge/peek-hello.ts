/** Reads a ClientHello off a connection and puts its bytes back, so that whoever speaks TLS finds them there. */
import type { Socket } from 'node:net'
import { gatherHello } from './client-hello.ts'
import { InPlaceSocket } from './read-in-place.ts'

export interface PeekLimits {
  /** Bytes of the longest message that is read. */
  readonly most: number
  /** A client that has not sent its hello by then is not kept. */
  readonly timeoutMs: number
}

/**
 * Calls `done` once, with the socket paused and all its bytes in its buffer; without a hello where the client sends something
 * else, whose alert is TLS's to send. Never calls it for a client that leaves before or is too slow: that socket is destroyed.
 */
export function peekHello(
  socket: Socket,
  { most, timeoutMs }: PeekLimits,
  done: (hello: Uint8Array | undefined) => void,
): void {
  let bytes: Buffer | undefined
  const timer = setTimeout(() => socket.destroy(), timeoutMs)
  const take = (chunk: Buffer): boolean => {
    bytes = bytes === undefined ? Buffer.from(chunk) : Buffer.concat([bytes, chunk])
    // Records of one byte each would make a short message long.
    const hello = bytes.length > 2 * most ? 'none' : gatherHello(bytes, most)
    if (hello === 'more') return true
    clearTimeout(timer)
    stop()
    socket.unshift(bytes)
    done(hello === 'none' ? undefined : hello)
    return false
  }
  const stop = read(socket, take)
  socket.on('close', () => clearTimeout(timer))
}

/** Gives bytes to `take` until the function that it returns is called. */
function read(socket: Socket, take: (bytes: Buffer) => unknown): () => void {
  const onEnd = () => socket.destroy()
  socket.on('end', onEnd)
  if (socket instanceof InPlaceSocket) {
    socket.onBytes = take
    return () => {
      socket.onBytes = undefined
      socket.off('end', onEnd)
    }
  }
  socket.on('data', take).resume()
  return () => {
    socket.off('data', take).off('end', onEnd).pause()
  }
}
