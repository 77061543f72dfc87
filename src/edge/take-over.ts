/**
 * The other side of `hand-over.ts`: requests that another node hands over are answered here as if their client had
 * connected here, with this node's rules, cache and log.
 */

import { type Duplex, PassThrough, type Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import type { HeaderList } from '#/core/exchange.ts'
import type { Mesh, MeshCall, MeshRequest } from '#/core/mesh.ts'
import { AcceptedExchange, abandon, type Connection, clientGone } from './accepted.ts'
import { ConnectionPrints } from './connection-prints.ts'
import type { Front } from './front.ts'
import { type HandedAnswer, type HandedRequest, handOverTopics } from './hand-over.ts'
import { dataSink, type HandedHead, headFrame } from './handed-frames.ts'
import { declaredLength } from './http1-reply.ts'
import { joinWebSocket } from './join-websocket.ts'
import { pump } from './pump.ts'
import type { Reply, Trailers } from './reply.ts'
import { createRequestBody } from './request-body.ts'

export interface TakeOver {
  /** WebSockets are told that this node goes away; resolves when nothing is in flight. */
  drain(): Promise<void>
  /** Takes no more, and breaks off what is in flight. */
  close(): void
}

interface Answered {
  readonly head: { readonly [name: string]: unknown }
  readonly body: MeshRequest['body']
}

/** Serves the topics of `handOverTopics`. */
export function createTakeOver(mesh: Pick<Mesh, 'serve' | 'serveTunnel'>, front: Front): TakeOver {
  const live = new Set<Connection>()
  const waiters: (() => void)[] = []

  function begin(call: Omit<MeshCall, 'body'>, body: Readable | null, reply: HandedReply): void {
    const asked = call.head as unknown as HandedRequest
    const connection = connectionOf(asked, call.from.node, () => reply.cut())
    reply.connection = connection
    live.add(connection)
    const exchange = acceptHanded(front, { asked, connection, body })
    connection.live.push(exchange)
    const gone = () => {
      exchange.fail(clientGone())
      reply.cut()
    }
    if (call.signal.aborted) gone()
    else call.signal.addEventListener('abort', gone, { once: true })
    front.serve(exchange, reply).finally(() => {
      call.signal.removeEventListener('abort', gone)
      live.delete(connection)
      if (live.size === 0) for (const done of waiters.splice(0)) done()
    })
  }

  const stops = [
    mesh.serve(handOverTopics.request, (call) => {
      const target = callTarget()
      const { hasBody } = call.head as unknown as HandedRequest
      begin(call, hasBody ? call.body : null, new HandedReply(target))
      return target.answer
    }),
    mesh.serveTunnel(handOverTopics.upgrade, (call, stream) => {
      stream.on('error', () => {})
      begin(call, null, new HandedReply(tunnelTarget(stream)))
    }),
  ]
  return {
    async drain() {
      for (const { webSockets } of live) for (const goAway of webSockets ?? []) goAway()
      if (live.size > 0) await new Promise<void>((resolve) => waiters.push(resolve))
    },
    close() {
      for (const stop of stops) stop()
      for (const connection of live) connection.destroy()
    },
  }
}

function connectionOf(asked: HandedRequest, from: string, destroy: () => void): Connection {
  const hello = asked.hello === undefined ? undefined : Buffer.from(asked.hello, 'base64')
  const prints = new ConnectionPrints(hello, asked.http2Print)
  const connection: Connection = {
    prints,
    client: { ...asked.client, prints },
    serverAddress: asked.serverAddress,
    scheme: asked.scheme,
    country: asked.country,
    network: asked.network,
    cf: undefined,
    live: [],
    ending: false,
    webSockets: undefined,
    handedFrom: from,
    endSoon() {},
    destroy() {
      abandon(connection)
      destroy()
    },
  }
  return connection
}

interface Handed {
  readonly asked: HandedRequest
  readonly connection: Connection
  readonly body: Readable | null
}

function acceptHanded(front: Front, { asked, connection, body }: Handed): AcceptedExchange {
  const exchange = new AcceptedExchange(connection, {
    id: asked.id,
    startedAt: front.clock(),
    startedTick: performance.now(),
    method: asked.method,
    httpVersion: asked.httpVersion,
    headers: asked.headers,
    head: { ...asked, contentLength: asked.declaredBytes },
    body:
      body === null
        ? null
        : createRequestBody(body, {
            declaredBytes: asked.declaredBytes,
            limitBytes: front.limits.requestBodyBytes,
            // The node that the client is connected to keeps the time.
            onWait() {},
            onFail: (error) => exchange.fail(error),
          }),
  })
  return exchange
}

/** Where an answer goes. */
interface Target {
  /** Where frames go; called again it gives the same. */
  open(): PassThrough | Duplex
  /** Takes a whole answer that needs no frames; false where it cannot. */
  whole(head: HandedHead, body: Uint8Array | null): boolean
  join(headers: HeaderList, upgraded: Duplex, connection: Connection): Promise<number>
  cut(): void
}

class HandedReply implements Reply {
  readonly #target: Target
  connection: Connection | undefined
  headSent = false

  constructor(target: Target) {
    this.#target = target
  }

  informational(status: number, headers: HeaderList): void {
    if (!this.headSent) this.#target.open().write(headFrame('interim', { status, headers }))
  }

  sendWhole(status: number, statusText: string | undefined, headers: HeaderList, body: Uint8Array | null): void {
    const head = headOf(status, statusText, headers)
    this.headSent = true
    if (this.#target.whole(head, body)) return
    const sink = this.#begin(head, () => [])
    if (body !== null) sink.write(body)
    sink.end()
  }

  async sendStream(
    status: number,
    statusText: string | undefined,
    headers: HeaderList,
    body: Readable,
    trailers?: Trailers,
  ): Promise<number> {
    let fields: HeaderList = []
    this.headSent = true
    const sink = this.#begin(headOf(status, statusText, headers), () => fields)
    return pump(body, sink, {
      declared: declaredLength(headers),
      onStall() {},
      onTrailers: (list) => {
        if (trailers === 'send') fields = list
      },
    })
  }

  switchProtocols(headers: HeaderList, upgraded: Duplex): Promise<number> {
    this.headSent = true
    return this.#target.join(headers, upgraded, this.connection!)
  }

  closeAfter(): void {}

  cut(): void {
    this.#target.cut()
  }

  #begin(head: HandedHead, trailers: () => HeaderList) {
    const target = this.#target.open()
    if (target.destroyed) throw clientGone()
    target.write(headFrame('head', head))
    return dataSink(target, trailers)
  }
}

function headOf(status: number, statusText: string | undefined, headers: HeaderList): HandedHead {
  return { status, headers, ...(statusText !== undefined && { statusText }) }
}

/** The answer to a call; whole ones, which most are, come without frames. */
function callTarget(): Target & { readonly answer: Promise<Answered> } {
  const { promise, resolve, reject } = Promise.withResolvers<Answered>()
  // A call whose caller is gone is answered to nobody.
  promise.catch(() => {})
  let out: PassThrough | undefined
  return {
    answer: promise,
    open() {
      if (out !== undefined) return out
      out = new PassThrough()
      out.on('error', () => {})
      const head: HandedAnswer = { framed: true }
      resolve({ head, body: out })
      return out
    },
    whole(answered, body) {
      if (out !== undefined) return false
      const head: HandedAnswer = { ...answered, empty: body === null }
      resolve({ head: { ...head }, body })
      return true
    },
    async join(_headers, upgraded) {
      upgraded.destroy()
      throw new EdgeError('internal', 'This request did not come through a tunnel.')
    },
    cut() {
      reject(clientGone())
      out?.destroy(new EdgeError('peer_away', 'The answer was broken off.'))
    },
  }
}

function tunnelTarget(stream: Duplex): Target {
  return {
    open: () => stream,
    whole: () => false,
    join(headers, upgraded, connection) {
      stream.write(headFrame('head', { status: 101, headers }))
      return joinWebSocket(stream, upgraded, connection)
    },
    cut: () => stream.destroy(),
  }
}
