/**
 * Joins a client with the WebSocket of a program or an origin, and says goodbye when this point of presence goes away.
 */
import type { Duplex } from 'node:stream'
import { createFrameCursor } from '#/http/websocket-cursor.ts'
import { closeFrame } from '#/http/websocket-frames.ts'
import type { Connection } from './accepted.ts'

/** RFC 6455 §7.4.1: going away. */
const goingAwayCode = 1001

/**
 * Byte for byte until either side ends; resolves with the bytes that went to `client`. While it lasts, `connection` can
 * end it with a close frame between two frames of the server: the client's own close frame then ends both sides.
 */
export function joinWebSocket(client: Duplex, upstream: Duplex, connection: Connection): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>()
  const fromServer = createFrameCursor()
  const fromClient = createFrameCursor()
  let leaving: 'no' | 'wanted' | 'said' = 'no'
  let bytes = 0

  function toClient(chunk: Uint8Array): void {
    if (chunk.length === 0 || client.destroyed || client.writableEnded) return
    bytes += chunk.length
    if (!client.write(chunk)) upstream.pause()
  }

  function sayGoodbye(): void {
    leaving = 'said'
    toClient(closeFrame(goingAwayCode, ''))
  }

  function onServerData(chunk: Uint8Array): void {
    if (leaving === 'said') return
    if (leaving === 'no') {
      fromServer.advance(chunk)
      toClient(chunk)
      return
    }
    toClient(chunk.subarray(0, fromServer.advanceToEnd(chunk)))
    if (fromServer.between && !fromServer.closed) sayGoodbye()
  }

  function onClientData(chunk: Uint8Array): void {
    fromClient.advance(chunk)
    if (!upstream.destroyed && !upstream.writableEnded && !upstream.write(chunk)) client.pause()
    if (leaving === 'said' && fromClient.closed) over()
  }

  /** A server that began to close has said what it had to say. */
  function goAway(): void {
    if (leaving !== 'no' || fromServer.closed) return
    leaving = 'wanted'
    if (fromServer.between) sayGoodbye()
  }

  function over(): void {
    connection.webSockets?.delete(goAway)
    letGo(client)
    letGo(upstream)
    resolve(bytes)
  }

  connection.webSockets ??= new Set()
  connection.webSockets.add(goAway)
  for (const side of [client, upstream]) {
    side.on('error', over)
    side.on('close', over)
  }
  upstream.on('drain', () => client.resume())
  client.on('drain', () => upstream.resume())
  upstream.on('end', () => client.end())
  client.on('end', () => upstream.end())
  upstream.on('data', onServerData)
  client.on('data', onClientData)
  // A head may have been read from it before: then it stands still.
  upstream.resume()
  return promise
}

/** Ends a connection after what was written to it is out. */
export function letGo(side: Duplex): void {
  if (side.writableFinished || side.destroyed) side.destroy()
  else {
    side.once('finish', () => side.destroy())
    side.end()
  }
}
