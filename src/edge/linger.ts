/**
 * RFC 9112 §9.6: closing a connection on which bytes still arrive makes the client's system throw away what it has not
 * read yet. So our side ends first, and what comes is read and dropped for a while.
 */
import type { Socket } from 'node:net'

/** Ends our side now and the connection when the client ends its own, after `lingerMs` at the latest. */
export function endAndLinger(socket: Socket, lingerMs: number): void {
  const timer = setTimeout(() => socket.destroy(), lingerMs)
  socket.setTimeout(0)
  socket.once('end', () => socket.destroy())
  socket.once('close', () => clearTimeout(timer))
  socket.end()
  socket.resume()
}
