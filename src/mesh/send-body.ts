/** What leaves on one HTTP/2 stream: a head, and a body as fast as the other side reads it. */
import type { Http2Stream } from 'node:http2'
import type { Readable } from 'node:stream'
import { EdgeError, toEdgeError } from '#/core/errors.ts'
import type { MeshHead, MeshRequest } from '#/core/mesh.ts'
import { endField, endToField, packHead } from './head-frame.ts'

/** Copied behind the head into one write: cheaper than a frame more. */
const smallBytes = 16 * 1024

/** Must there be a place for trailers? A body whose length is known tells its end by that. */
export function streams(body: MeshRequest['body']): body is Readable {
  return body !== undefined && body !== null && !(body instanceof Uint8Array)
}

/** The head in front of this body. */
export function frameFor(head: MeshHead, body: MeshRequest['body'], limit: number): Buffer {
  return packHead(head, limit, streams(body) ? -1 : (body?.length ?? 0))
}

/** Ends the stream's way out. With a body that `streams`, the stream must have been begun with `waitForTrailers`. */
export function sendBody(stream: Http2Stream, head: Buffer, body: MeshRequest['body']): void {
  if (body === undefined || body === null) stream.end(head)
  else if (body instanceof Uint8Array) sendBytes(stream, head, body)
  else pump(stream, head, body)
}

function sendBytes(stream: Http2Stream, head: Buffer, body: Uint8Array): void {
  if (body.length <= smallBytes) return void stream.end(Buffer.concat([head, body]))
  stream.write(head)
  stream.end(body)
}

function pump(stream: Http2Stream, head: Buffer, body: Readable): void {
  let failure: EdgeError | undefined
  let ended = false
  function finish(why?: EdgeError): void {
    if (ended) return
    ended = true
    failure = why
    stream.end()
  }
  stream.on('wantTrailers', () => {
    if (!stream.destroyed) stream.sendTrailers({ [endField]: endToField(failure) })
  })
  stream.on('drain', () => body.resume())
  stream.on('close', () => {
    ended = true
    body.destroy()
  })
  stream.write(head)
  const givenUp = () => finish(new EdgeError('internal', 'A body between nodes was given up by its sender.'))
  body.on('error', (error) => finish(toEdgeError(error)))
  body.on('close', givenUp)
  if (body.errored !== null) finish(toEdgeError(body.errored))
  if (body.readableEnded) finish()
  if (body.destroyed) givenUp()
  body.on('end', () => finish())
  body.on('data', (chunk: Uint8Array) => {
    if (!ended && !stream.write(chunk)) body.pause()
  })
}
