/** Head and small body as one piece of bytes on one socket write. */
import type { Socket } from 'node:net'

/** Up to here joining head and body costs less than writing two pieces (`writev`). */
export const joinedBytes = 16 * 1024

const headBytes = 4 * 1024

/**
 * Writes into one buffer that all connections share: what the kernel takes at once needs none of its own, and no string is
 * made of the body. What is not taken at once keeps the buffer, and the next write gets another.
 */
export function createJoiner(): (socket: Socket, head: string, body: Uint8Array) => void {
  let shared = Buffer.allocUnsafeSlow(headBytes + joinedBytes)
  return (socket, head, body) => {
    const length = head.length + body.length
    if (length > shared.length) {
      socket.cork()
      socket.write(head, 'latin1')
      socket.write(body)
      socket.uncork()
      return
    }
    shared.write(head, 0, head.length, 'latin1')
    shared.set(body, head.length)
    socket.write(shared.subarray(0, length))
    if (socket.writableLength !== 0) shared = Buffer.allocUnsafeSlow(headBytes + joinedBytes)
  }
}
