/** What arrives on one HTTP/2 stream, made into a head and a stream that always ends, or fails with an `EdgeError`. */
import type { Http2Stream, IncomingHttpHeaders } from 'node:http2'
import { constants } from 'node:http2'
import type { Readable } from 'node:stream'
import { EdgeError, toEdgeError } from '#/core/errors.ts'
import type { MeshHead } from '#/core/mesh.ts'
import type { NodeId } from '#/core/pops.ts'
import { bodyBytesOf, endField, endFromField, frameBytes, prefixBytes, unpackHead } from './head-frame.ts'

export interface ReceiveOptions {
  /** Who is at the other side. */
  readonly other: NodeId
  /** Does the other side take no new streams any more? What it refuses then it does not refuse for its load. */
  readonly leaves?: () => boolean
  readonly headBytes: number
  readonly onHead: (head: MeshHead) => void
  /** Called at most once, and only before `onHead`: what came is no head, or a failure in its place, or nothing. */
  readonly onFailure: (failure: EdgeError) => void
}

/**
 * Pushes what follows the head into `target`, whose `read` must call `resume` of the HTTP/2 stream. An end without the
 * other side's word that all of it came destroys it with `peer_away`.
 */
export function receive(stream: Http2Stream, target: Readable, options: ReceiveOptions): void {
  const { other, leaves = () => false, headBytes, onHead, onFailure } = options
  let waiting: Buffer | undefined = Buffer.alloc(0)
  /** Of the body, still to come; `undefined` when a trailer will say that it is whole. */
  let missing: number | undefined
  let whole = false
  let failure: EdgeError | undefined
  let ended = false

  function fail(thrown: unknown): void {
    const headless = waiting !== undefined
    waiting = undefined
    ended = true
    const error = toEdgeError(thrown)
    if (headless) onFailure(error)
    // With its head lost, nobody holds the target yet who would hear of an error.
    target.destroy(headless ? undefined : error)
  }
  function takeHead(chunk: Buffer): void {
    const bytes = waiting!.length === 0 ? chunk : Buffer.concat([waiting!, chunk])
    waiting = bytes
    if (bytes.length < prefixBytes) return
    const length = frameBytes(bytes, headBytes)
    if (bytes.length < length) return
    const head = unpackHead(bytes.length === length ? bytes : bytes.subarray(0, length))
    missing = bodyBytesOf(bytes)
    waiting = undefined
    if (bytes.length > length) takeBody(bytes.subarray(length))
    onHead(head)
  }
  function takeBody(chunk: Buffer): void {
    if (missing !== undefined) missing -= chunk.length
    if (!target.push(chunk)) stream.pause()
  }
  function finish(): void {
    if (ended) return
    const allCame = missing === undefined ? whole : missing === 0
    if (waiting === undefined && failure === undefined && allCame) {
      ended = true
      target.push(null)
    } else fail(failure ?? (leaves() ? brokeOff(other) : reasonOf(stream.rstCode, other)))
  }

  // It may fail before anybody reads; who reads later is told then.
  target.on('error', () => {})
  stream.on('data', (chunk: Buffer) => {
    if (ended) return
    try {
      if (waiting === undefined) takeBody(chunk)
      else takeHead(chunk)
    } catch (error) {
      fail(error)
    }
  })
  stream.on('trailers', (fields: IncomingHttpHeaders) => {
    const field = fields[endField]
    whole = typeof field === 'string'
    if (typeof field === 'string') failure = endFromField(field)
  })
  stream.on('end', finish)
  // Node throws these at us as it closes the stream; the reason is in `rstCode`.
  stream.on('error', () => {})
  stream.on('close', finish)
}

function reasonOf(code: number | undefined, other: NodeId): EdgeError {
  if (code === constants.NGHTTP2_REFUSED_STREAM || code === constants.NGHTTP2_ENHANCE_YOUR_CALM)
    return new EdgeError('overloaded', `The node ${other} takes no more calls of this node now.`)
  return brokeOff(other)
}

export function brokeOff(other: NodeId): EdgeError {
  return new EdgeError('peer_away', `The node ${other} went away.`)
}
