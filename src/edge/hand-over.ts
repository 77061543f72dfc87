/**
 * Requests that must be answered elsewhere: handed to the nearest node that may, over the mesh, as they arrive. Nothing
 * of them is kept here: no body, no cache, no path in the log.
 */
import { EdgeError } from '#/core/errors.ts'
import type { Answer, Client, Exchange } from '#/core/exchange.ts'
import { onlyHere } from '#/core/keep-inside.ts'
import type { Limits } from '#/core/limits.ts'
import type { Mesh } from '#/core/mesh.ts'
import { allows, type NodeId, nearestPeers, type Within } from '#/core/pops.ts'
import { describeWithin } from '#/core/residency.ts'
import type { Site, Snapshot } from '#/core/snapshot.ts'
import type { AcceptedExchange } from './accepted.ts'
import { findSite } from './find-site.ts'
import { FramedBody, type HandedHead } from './handed-frames.ts'
import type { Reply } from './reply.ts'

/** Topics of the mesh; `upgrade` is a tunnel. */
export const handOverTopics = { request: 'edge/request', upgrade: 'edge/upgrade' } as const

/** All that the node which answers learns of a request besides its body. */
export interface HandedRequest
  extends Pick<
    Exchange,
    'id' | 'method' | 'scheme' | 'httpVersion' | 'host' | 'authority' | 'path' | 'headers' | 'wantsUpgrade'
  > {
  readonly client: Omit<Client, 'prints'>
  /** What its connection began with: the ClientHello in base64, and how HTTP/2 began. */
  readonly hello?: string
  readonly http2Print?: string
  readonly serverAddress: string
  /** Of the client, where anybody knows. */
  readonly country?: string
  readonly network?: { readonly asn?: number; readonly asOrganization?: string }
  readonly hasBody: boolean
  /** Bytes of the body, where the client said. */
  readonly declaredBytes?: number
}

/** First line of an answer to `request`: the whole head, or word that all of it comes in frames. */
export type HandedAnswer =
  | { readonly framed: true }
  | (HandedHead & { readonly framed?: never; readonly empty: boolean })

export interface HandOver {
  /** Has one of these nodes answer, the first that can be reached. Rejects with `peer_away`, `not_here`, `client_gone`. */
  to(nodes: readonly NodeId[], exchange: AcceptedExchange, reply: Reply): Promise<Answer>
  /** The same with the nearest nodes where it may be answered. */
  inside(within: Within, exchange: AcceptedExchange, reply: Reply): Promise<Answer>
}

export interface HandOverOptions {
  readonly mesh: Pick<Mesh, 'ask' | 'tunnel' | 'peers'> | undefined
  readonly limits: Pick<Limits, 'meshHeadBytes'>
}

/** May requests for this site not be answered in this country? */
export function isAway(site: Pick<Site, 'within'>, country: string): boolean {
  return site.within !== undefined && !allows(site.within, country)
}

/**
 * Must the log say nothing of this request but that it was there? True for sites that are answered elsewhere, and, where
 * there are such sites, for what names no host.
 */
export function isWithheld(snapshot: Snapshot, exchange: AcceptedExchange, country: string): boolean {
  if (exchange.host === '') return onlyHere(snapshot, country) !== snapshot
  const site = findSite(snapshot, exchange)
  return site !== undefined && isAway(site, country)
}

export function createHandOver({ mesh, limits }: HandOverOptions): HandOver {
  const to: HandOver['to'] = async (nodes, exchange, reply) => {
    if (exchange.handedFrom !== undefined) throw notHere(exchange, undefined)
    let refusal: unknown
    for (const node of nodes) {
      try {
        exchange.handedTo = node
        return exchange.wantsUpgrade
          ? await askToUpgrade(mesh!, node, exchange, reply, limits)
          : await ask(mesh!, node, exchange, reply, limits)
      } catch (error) {
        refusal = error
        if (!mayAskAnother(error, exchange)) break
      }
    }
    throw refusal ?? new EdgeError('peer_away', 'No node of this platform that may answer can be reached now.')
  }
  return {
    to,
    async inside(within, exchange, reply) {
      const peers = mesh?.peers() ?? []
      if (!peers.some(({ country }) => allows(within, country))) throw notHere(exchange, within)
      const nodes = nearestPeers(peers, within).map(({ node }) => node)
      return to(nodes, exchange, reply)
    },
  }
}

function notHere({ host, handedFrom }: AcceptedExchange, within: Within | undefined): EdgeError {
  const why =
    handedFrom === undefined
      ? `it answers in ${describeWithin(within)} only, and no node of this platform is there`
      : `it was handed here by ${handedFrom}, and may not be answered here either`
  return new EdgeError('not_here', `${host} is not served here: ${why}.`)
}

/** Another node may be asked as long as nothing of the request has left. */
function mayAskAnother(error: unknown, exchange: AcceptedExchange): boolean {
  if (!(error instanceof EdgeError) || error.code !== 'peer_away' || exchange.fault !== undefined) return false
  return exchange.requestBody === null || !exchange.requestBody.started
}

function describe(exchange: AcceptedExchange): HandedRequest {
  const { connection, requestBody } = exchange
  const { prints, ...client } = connection.client
  const { hello, http2 } = prints ?? {}
  const declared = requestBody === null ? undefined : requestBody.remaining + requestBody.bytes
  return {
    id: exchange.id,
    method: exchange.method,
    scheme: exchange.scheme,
    httpVersion: exchange.httpVersion,
    host: exchange.host,
    authority: exchange.authority,
    path: exchange.path,
    headers: exchange.headers,
    client,
    ...(hello !== undefined && { hello: Buffer.from(hello).toString('base64') }),
    ...(http2 !== undefined && { http2Print: http2 }),
    serverAddress: connection.serverAddress,
    ...(connection.country !== undefined && { country: connection.country }),
    ...(connection.network !== undefined && { network: connection.network }),
    hasBody: requestBody !== null,
    ...(declared !== undefined && Number.isFinite(declared) && { declaredBytes: declared }),
    wantsUpgrade: exchange.wantsUpgrade,
  }
}

type Limit = HandOverOptions['limits']

async function ask(
  mesh: Pick<Mesh, 'ask'>,
  node: NodeId,
  exchange: AcceptedExchange,
  reply: Reply,
  limits: Limit,
): Promise<Answer> {
  const { head, body } = await mesh.ask(node, handOverTopics.request, {
    head: { ...describe(exchange) },
    body: exchange.body,
    signal: exchange.signal,
  })
  const answer = head as unknown as HandedAnswer
  if (answer.framed) return readFramed(new Frames(body, reply, limits))
  if (answer.empty) body.on('error', () => {}).resume()
  return finished(answer, answer.empty ? null : body)
}

async function askToUpgrade(
  mesh: Pick<Mesh, 'tunnel'>,
  node: NodeId,
  exchange: AcceptedExchange,
  reply: Reply,
  limits: Limit,
): Promise<Answer> {
  const stream = await mesh.tunnel(node, handOverTopics.upgrade, { ...describe(exchange) })
  stream.on('error', () => {})
  if (exchange.signal.aborted) stream.destroy()
  const leave = () => stream.destroy()
  exchange.signal.addEventListener('abort', leave, { once: true })
  const answer = await readFramed(new Frames(stream, reply, limits))
  if (answer.status !== 101) return answer
  exchange.signal.removeEventListener('abort', leave)
  return { ...answer, body: null, upgraded: stream }
}

function readFramed(frames: Frames): Promise<Answer> {
  return frames.head.then((head) => finished(head, frames.body))
}

function finished({ status, statusText, headers }: HandedHead, body: Answer['body']): Answer {
  return {
    status,
    headers,
    body,
    verbatim: true,
    headComplete: true,
    ...(statusText !== undefined && { statusText }),
  }
}

/** A framed answer whose interim heads go to the client as they come. */
class Frames {
  readonly head: Promise<HandedHead>
  readonly body: FramedBody

  constructor(source: ConstructorParameters<typeof FramedBody>[0], reply: Reply, { meshHeadBytes }: Limit) {
    const { promise, resolve, reject } = Promise.withResolvers<HandedHead>()
    this.head = promise
    this.body = new FramedBody(source, {
      limitBytes: meshHeadBytes,
      onInterim: ({ status, headers }) => reply.informational(status, headers),
      onHead: resolve,
      onNone: reject,
    })
  }
}
