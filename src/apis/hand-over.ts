/**
 * Calls about what stays in countries where no node of this process is, and changes that another process has to try first:
 * handed to a node there as they come, body and answer streamed, so that every API of the platform takes every call. Handed
 * over once.
 */
import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import type { Control } from '#/control/control.ts'
import { type Placed, placedKinds } from '#/control/placements.ts'
import { toEdgeError } from '#/core/errors.ts'
import type { Mesh, MeshCall } from '#/core/mesh.ts'
import { allows, nearestPeers, type Place, type PopId, type Within } from '#/core/pops.ts'
import { parseWithin } from '#/core/residency.ts'
import { secretCheck, tokenOf } from '#/http/same-secret.ts'

export type Answer = (request: Request, ...more: never[]) => Response | Promise<Response>

export interface HandOverOptions {
  readonly answer: Answer
  readonly control: Pick<Control, 'placements' | 'withinOf'>
  /** One of each node of this process. */
  readonly meshes: readonly Pick<Mesh, 'self' | 'peers' | 'ask' | 'serve'>[]
  readonly token: string
  /** Countries that the key of a certificate chain (PEM) would stay in. */
  readonly withinOfChain?: (chain: string) => Within | undefined
  /** Where changes of the configuration go first; undefined: they begin anywhere. */
  readonly firstPop?: () => Promise<PopId | undefined>
}

export interface HandOver {
  readonly answer: Answer
  close(): void
}

const topic = 'api.call'
/** Of a body that is read to learn what it is about. */
const wishBytes = 16 * 1024
const certificateBytes = 256 * 1024
/** Fields of one connection (RFC 9110 §7.6.1), and the length, which the next one counts. */
const ownFields = new Set(['connection', 'content-length', 'host', 'keep-alive', 'transfer-encoding', 'upgrade'])

export function handOverCalls({ answer, control: known, meshes, token, ...more }: HandOverOptions): HandOver {
  const isToken = secretCheck(token)
  const { firstPop = async () => undefined, withinOfChain = () => undefined } = more
  const control: Places = { placements: known.placements, withinOf: known.withinOf, withinOfChain }
  const [first] = meshes
  const withdraw = meshes.map((mesh) => mesh.serve(topic, (call) => takeOver(call, answer, token)))

  return {
    async answer(request, ...more) {
      if (first === undefined) return answer(request, ...more)
      const about = await readCall(request, control)
      const pop = isChange(request) ? await firstPop() : undefined
      const isFirst = ({ pop: one }: Place) => pop === undefined || one === pop
      const isHere = meshes.some(({ self }) => allows(about.within, self.country) && isFirst(self))
      const peers = isHere ? [] : nearestPeers(first.peers(), about.within)
      // Where both cannot be had it is answered inside, and says so.
      const peer =
        peers.find(isFirst) ?? (meshes.some(({ self }) => allows(about.within, self.country)) ? undefined : peers[0])
      const { headers } = request
      const isAdmin = isToken(
        tokenOf(headers.get('fastly-key') ?? undefined, headers.get('authorization') ?? undefined),
      )
      // Who may not ask is told so here; where nobody can be reached, so is what would have to be there.
      if (peer === undefined || !(isAdmin || about.hasOwnToken)) return answer(about.request, ...more)
      return askPeer(first, peer.node, about.request, isAdmin).catch((error) => unreachable(peer.node, error))
    },
    close() {
      for (const back of withdraw) back()
    },
  }
}

async function askPeer(mesh: Pick<Mesh, 'ask'>, node: string, request: Request, isAdmin: boolean): Promise<Response> {
  const { pathname, search } = new URL(request.url)
  const fields = [...request.headers].filter(([name]) => !ownFields.has(name))
  const answered = await mesh.ask(node, topic, {
    head: { method: request.method, path: pathname + search, fields, isAdmin },
    body: request.body === null ? null : Readable.fromWeb(request.body as ReadableStream<Uint8Array>),
    signal: request.signal,
  })
  const { status, fields: given } = answered.head as { status: number; fields: [string, string][] }
  const isEmpty = status === 204 || status === 304 || request.method === 'HEAD'
  if (isEmpty) answered.body.resume()
  return new Response(isEmpty ? null : (Readable.toWeb(answered.body) as unknown as ReadableStream), {
    status,
    headers: [...given, ['x-rimward-answered-by', node]],
  })
}

/** In the words of all doors. */
function unreachable(node: string, error: unknown): Response {
  const known = toEdgeError(error)
  const message = `The node ${node}, where this stays, did not answer: ${known.message}`
  return Response.json(
    {
      ...{ success: false, errors: [{ code: 10013, message }], messages: [], result: null },
      ...{ msg: message, error: { code: known.code, message } },
    },
    { status: known.row.status },
  )
}

/** The other node has checked who asks, by the token of its own. */
async function takeOver({ head, body, signal }: MeshCall, answer: Answer, token: string) {
  const { method, path, fields, isAdmin } = head as {
    method: string
    path: string
    fields: [string, string][]
    isAdmin: boolean
  }
  const headers = new Headers(fields)
  if (isAdmin) {
    headers.set('authorization', `Bearer ${token}`)
    if (headers.has('fastly-key')) headers.set('fastly-key', token)
  }
  const hasBody = method !== 'GET' && method !== 'HEAD'
  if (!hasBody) body.resume()
  const response = await answer(
    new Request(new URL(path, 'http://localhost'), {
      method,
      headers,
      signal,
      ...(hasBody && { body: Readable.toWeb(body) as unknown as ReadableStream, duplex: 'half' }),
    } as RequestInit),
  )
  return {
    head: { status: response.status, fields: [...response.headers].filter(([name]) => !ownFields.has(name)) },
    body: response.body === null ? null : Readable.fromWeb(response.body as ReadableStream<Uint8Array>),
  }
}

// ─── What a call is about ────────────────────────────────────────────────────────────────────────────────────────

interface About {
  /** With its body still to be read. */
  readonly request: Request
  readonly within: Within | undefined
  /** It bears a token of its own (uploads of files). */
  readonly hasOwnToken?: true
}

type Places = HandOverOptions['control'] & Required<Pick<HandOverOptions, 'withinOfChain'>>

/** Changes of the configuration, by door; not what stores hold, nor purges, nor the setting that says who is first. */
const changes = [
  /^\/client\/v4\/accounts\/[^/]+\/workers\/(?!assets\/upload)/,
  /^\/client\/v4\/zones\//,
  /^\/service(\/|$)/,
  /^\/rimward\/v1\/(sites|residency)(\/|$)/,
]

function isChange({ method, url }: Request): boolean {
  if (method === 'GET' || method === 'HEAD') return false
  const { pathname } = new URL(url)
  return changes.some((one) => one.test(pathname)) && !/\/(tails|purge|purge_cache|purge_all)(\/|$)/.test(pathname)
}

async function readCall(request: Request, control: Places): Promise<About> {
  const { pathname } = new URL(request.url)
  if (pathname === '/rimward/v1/residency' && request.method === 'PUT')
    return readWish(request, wishBytes, (wish) => settingWithin(control, wish))
  if (pathname === '/rimward/v1/certificates' && request.method === 'POST')
    return readWish(request, certificateBytes, ({ chain }) => control.withinOfChain(String(chain)))
  if (/\/workers\/assets\/upload(\/[^/]*)?$/.test(pathname)) {
    const program = programOfToken(request.headers.get('authorization') ?? '')
    return { request, within: program === undefined ? undefined : control.withinOf(program), hasOwnToken: true }
  }
  return { request, within: withinOfPath(pathname, control) }
}

function withinOfPath(path: string, control: Places): Within | undefined {
  const cloudflare = /^\/client\/v4\/accounts\/[^/]+\/(.+)$/.exec(path)?.[1]
  if (cloudflare !== undefined) {
    const store = /^storage\/kv\/namespaces\/([^/]+)/.exec(cloudflare)?.[1]
    if (store !== undefined) return withinOf(control, store, 'kv')
    const [, shelf, secret] = /^(mtls_certificates|hyperdrive\/configs)\/([^/]+)/.exec(cloudflare) ?? []
    if (secret !== undefined) return withinOf(control, secret, shelf === 'mtls_certificates' ? 'certificate' : 'server')
    const program = /^workers\/(?:scripts|services|workers)\/([^/]+)(?:\/|$)/.exec(cloudflare)?.[1]
    return program === undefined || cloudflare.includes('/tails') ? undefined : control.withinOf(decode(program))
  }
  const [, kind, store] = /^\/resources\/(?:stores\/)?(kv|config|secret|acls)\/([^/]+)/.exec(path) ?? []
  if (store !== undefined) return withinOf(control, store, kind === 'acls' ? 'access-list' : (kind as Placed['kind']))
  const site = /^\/rimward\/v1\/sites\/([^/]+)/.exec(path)?.[1]
  if (site !== undefined) return control.withinOf(decode(site)) ?? withinOf(control, decode(site), 'site')
  const service = /^\/service\/([^/]+)(?:\/(?!purge(?:\/|_|$))|$)/.exec(path)?.[1]
  return service === undefined ? undefined : withinOf(control, service, 'service')
}

function withinOf(control: Places, id: string, kind: Placed['kind']): Within | undefined {
  return control.placements().find((one) => one.id === id && one.kind === kind)?.within
}

/** By what the body says; a body that is too long or none is answered here, and refused. */
async function readWish(
  request: Request,
  most: number,
  withinOf: (wish: Readonly<Record<string, unknown>>) => Within | undefined,
): Promise<About> {
  const declared = Number(request.headers.get('content-length') ?? Number.NaN)
  if (!(declared <= most)) return { request, within: undefined }
  const text = await request.text()
  const again = new Request(request.url, { method: request.method, headers: request.headers, body: text })
  try {
    return { request: again, within: withinOf(JSON.parse(text)) }
  } catch {
    return { request: again, within: undefined }
  }
}

/** A setting is made where what it is about goes, or where it comes from when it may be anywhere from then on. */
function settingWithin(control: Places, { name, within }: Readonly<Record<string, unknown>>): Within | undefined {
  const read = parseWithin(String(within))
  return read.ok ? (read.within ?? settingOf(control, String(name))) : undefined
}

function settingOf(control: Places, name: string): Within | undefined {
  const bare = name.slice(name.indexOf(':') + 1)
  const isKind = (kind: string) => !name.includes(':') || name.startsWith(`${kind}:`) || !isWord(name)
  return control.placements().find(({ id, kind }) => id === bare && isKind(kind))?.within
}

const isWord = (name: string) => placedKinds.some((kind) => name.startsWith(`${kind}:`))

/** A JSON Web Token's claims lie in its middle; whoever stores the file checks the signature. */
function programOfToken(authorization: string): string | undefined {
  const claims = /^bearer +[^.]*\.([^.]+)\./i.exec(authorization)?.[1]
  try {
    const { program } = JSON.parse(Buffer.from(claims ?? '', 'base64url').toString()) as { program?: unknown }
    return typeof program === 'string' ? program : undefined
  } catch {
    return undefined
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
