/** The other half: who serves which topic, and one call or tunnel as it arrives. */
import { constants, type ServerHttp2Stream } from 'node:http2'
import type { Duplex, Readable } from 'node:stream'
import { EdgeError, toEdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Mesh, MeshCall, MeshHandler } from '#/core/mesh.ts'
import type { Place } from '#/core/pops.ts'
import { requestBody, tunnelEnd } from './byte-stream.ts'
import { packFailure, packHead } from './head-frame.ts'
import { brokeOff, receive } from './receive.ts'
import { frameFor, sendBody, streams } from './send-body.ts'

type TunnelHandler = Parameters<Mesh['serveTunnel']>[1]

export interface AnswerCallsOptions {
  readonly self: Place
  readonly limits: Pick<Limits, 'meshHeadBytes'>
  /** Hears of bugs: what a handler threw that is no `EdgeError`. */
  readonly report: (topic: string, error: unknown) => void
}

export interface AnswerCalls extends Pick<Mesh, 'serve' | 'serveTunnel'> {
  /** Never throws; `from` is proven. */
  answer(stream: ServerHttp2Stream, path: string, from: Place): void
}

export const askPath = (topic: string) => `/ask/${encodeURIComponent(topic)}`
export const tunnelPath = (topic: string) => `/tunnel/${encodeURIComponent(topic)}`
export const isTunnelPath = (path: string) => path.startsWith('/tunnel/')
export const helloPath = '/hello/'

export function createAnswerCalls(options: AnswerCallsOptions): AnswerCalls {
  const { self, limits, report } = options
  const handlers = new Map<string, MeshHandler>()
  const tunnels = new Map<string, TunnelHandler>()

  function refuse(stream: ServerHttp2Stream, topic: string, error: unknown): void {
    if (!(error instanceof EdgeError)) report(topic, error)
    if (stream.closed || stream.headersSent) {
      stream.close(constants.NGHTTP2_INTERNAL_ERROR)
      return
    }
    stream.respond({ ':status': 500 })
    stream.end(packFailure(toEdgeError(error), limits.meshHeadBytes))
    stopReading(stream)
  }
  const unknown = (topic: string) => new EdgeError('internal', `The node ${self.node} does not serve ${topic}.`)

  async function answerAsk(stream: ServerHttp2Stream, call: MeshCall): Promise<void> {
    try {
      const handler = handlers.get(call.topic)
      if (handler === undefined) throw unknown(call.topic)
      const { head = {}, body } = await handler(call)
      if (stream.closed) return streams(body) ? void body.destroy() : undefined
      const frame = frameFor(head, body, limits.meshHeadBytes)
      stream.respond({ ':status': 200 }, { waitForTrailers: streams(body) })
      sendBody(stream, frame, body)
      stopReading(stream, call.body)
    } catch (error) {
      refuse(stream, call.topic, error)
    }
  }

  async function answerTunnel(stream: ServerHttp2Stream, call: Omit<MeshCall, 'body'>, end: Duplex, begin: () => void) {
    try {
      const handler = tunnels.get(call.topic)
      if (handler === undefined) throw unknown(call.topic)
      await handler(call, end)
      begin()
    } catch (error) {
      refuse(stream, call.topic, error)
    }
  }

  function add<Handler>(map: Map<string, Handler>, topic: string, handler: Handler): () => void {
    if (map.has(topic)) throw new Error(`${topic} is served already.`)
    map.set(topic, handler)
    return () => void map.delete(topic)
  }

  return {
    serve: (topic, handler) => add(handlers, topic, handler),
    serveTunnel: (topic, handler) => add(tunnels, topic, handler),
    answer(stream, path, from) {
      const [, kind = '', encoded = ''] = path.split('/')
      const topic = decodeTopic(encoded)
      const call = { topic, from, signal: abortedWith(stream, from) }
      const onFailure = (failure: EdgeError) => refuse(stream, topic, failure)
      const common = { other: from.node, headBytes: limits.meshHeadBytes, onFailure }
      if (kind === 'tunnel') {
        const begin = () => {
          if (stream.closed || stream.headersSent) return
          stream.respond({ ':status': 200 }, { waitForTrailers: true })
          stream.write(packHead({}, limits.meshHeadBytes))
        }
        const end = tunnelEnd(stream, from.node, begin)
        receive(stream, end, { ...common, onHead: (head) => void answerTunnel(stream, { ...call, head }, end, begin) })
        return
      }
      const body = requestBody(stream)
      receive(stream, body, { ...common, onHead: (head) => void answerAsk(stream, { ...call, head, body }) })
    },
  }
}

function decodeTopic(encoded: string): string {
  try {
    return decodeURIComponent(encoded)
  } catch {
    return encoded
  }
}

function abortedWith(stream: ServerHttp2Stream, from: Place): AbortSignal {
  const controller = new AbortController()
  stream.once('close', () => {
    // A session that is destroyed closes its streams with NO_ERROR and ends those whose answer is still to come.
    if (stream.aborted || stream.rstCode !== constants.NGHTTP2_NO_ERROR) controller.abort(brokeOff(from.node))
  })
  return controller.signal
}

/** An answer may be whole before its request is: what nobody reads of that is not wanted (RFC 9113 §8.1). */
function stopReading(stream: ServerHttp2Stream, body?: Readable): void {
  const isRead = () => body?.readableDidRead === true && !body.destroyed
  body?.once('close', () => {
    if (stream.writableFinished && !stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR)
  })
  stream.once('finish', () => {
    if (!stream.readableEnded && !isRead()) stream.close(constants.NGHTTP2_NO_ERROR)
  })
}
