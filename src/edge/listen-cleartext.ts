/**
 * The cleartext port: HTTP/1, and HTTP/2 by prior knowledge (RFC 9113 §3.3), told apart by their first bytes.
 */
import { createServer, type Server, type Socket } from 'node:net'
import type { Limits } from '#/core/limits.ts'
import type { Connection } from './accepted.ts'
import type { Connections } from './connections.ts'
import type { Http2 } from './http2.ts'
import { readInPlace } from './read-in-place.ts'

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

export interface Http1 {
  /** Speaks HTTP/1 on a socket of which nothing was read, or whose first bytes were put back. */
  adopt(socket: Socket, connection: Connection): void
}

export interface ListenOptions {
  readonly http1: Http1
  readonly http2: Http2
  readonly connections: Connections
  readonly limits: Limits
}

/** Not yet listening. */
export function createCleartextListener({ http1, http2, connections, limits }: ListenOptions): Server {
  return createServer({ noDelay: true, allowHalfOpen: true, pauseOnConnect: true }, (accepted) => {
    const socket = readInPlace(accepted)
    if (!connections.admit(socket)) return
    connections.silent.add(socket)
    // A client that never speaks is not kept.
    socket.setTimeout(limits.headersTimeoutMs, () => socket.destroy())
    sniff(socket, (isHttp2) => {
      connections.silent.delete(socket)
      socket.setTimeout(0)
      socket.removeAllListeners('timeout')
      const connection = connections.open(socket, 'http')
      if (isHttp2) http2.adopt(socket, connection)
      else http1.adopt(socket, connection)
    })
  })
}

/**
 * Waits for enough bytes to tell, puts them back and decides once; the socket is paused then. Bytes are kept here and not
 * put back before: each time that happens in a `readable` listener Node calls it again, forever.
 */
function sniff(socket: Socket, decide: (isHttp2: boolean) => void): void {
  let bytes: Buffer = Buffer.alloc(0)
  function onData(chunk: Buffer): void {
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
    const length = Math.min(bytes.length, preface.length)
    const matches = bytes.compare(preface, 0, length, 0, length) === 0
    if (matches && bytes.length < preface.length) return
    socket.pause()
    socket.off('data', onData)
    socket.off('end', onEnd)
    socket.unshift(bytes)
    decide(matches)
  }
  function onEnd(): void {
    socket.destroy()
  }
  socket.on('data', onData)
  socket.on('end', onEnd)
}
