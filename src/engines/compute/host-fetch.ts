/** Requests of Compute programs to their backends, on the node's side: through the shared cache and the one egress. */
import { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { EdgeError, toEdgeError } from '#/core/errors.ts'
import type { Answer, HeaderList } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { Origin, OriginState } from '#/core/origin.ts'
import type { Egress, EgressAnswer, EgressRequest, Seal } from '#/core/ports.ts'
import type { ProgramName } from '#/core/snapshot.ts'
import { headerValue } from '#/http/header-list.ts'
import { backendOf, createDynamicBackends, type KnownBackend } from './dynamic-backends.ts'
import { addCacheFields, wishOf } from './fetch-cache.ts'
import type {
  AddBackendHead,
  BackendHealth,
  BackendHealthHead,
  FetchedHead,
  FetchHead,
  HandOverHead,
} from './fetch-protocol.ts'
import type { HostCall, HostCalls, HostRun } from './host-calls.ts'
import { asHead } from './protocol.ts'
import { toSendFailure } from './send-failure.ts'
import { InBody, pumpInto, toReadable } from './wire-body.ts'
import { CallFailure, type InCall, type Reply } from './wire-messages.ts'

export interface FetchCallsOptions {
  readonly egress: Pick<Egress, 'fetch'>
  /** Keeps the keys of client certificates closed until a connection needs them. */
  readonly seal: Pick<Seal, 'seal'>
  readonly limits: Limits
  /** What the health checks of a program's backends found. */
  readonly backendStates: (program: string) => readonly OriginState[]
  /** Whether a backend is well that a program describes itself; undefined: nobody checks. */
  readonly lentHealth: (program: ProgramName, backend: Origin) => boolean | undefined
  /** Is this a key of somebody who may purge? */
  readonly mayPurge: (key: string) => boolean
}

export function fetchCalls(options: FetchCallsOptions): HostCalls {
  const dynamic = createDynamicBackends(options)
  const known = (run: HostRun, name: string) => backendOf(run, name, dynamic, options.limits)
  return {
    fetch: (run, head, call) => sendRequest(options, known, run, head as unknown as FetchHead, call),
    'hand-over': (run, head) => handOver(options, known, run, head as unknown as HandOverHead),
    'backend-add': (run, head) => ({
      head: asHead(dynamic.add(run, (head as unknown as AddBackendHead).backend)),
      body: null,
    }),
    'backend-health': (run, head) => {
      const { backend } = head as unknown as BackendHealthHead
      return { head: { health: healthOf(options, run, known(run, backend)) }, body: null }
    },
    'key-is-valid': keyIsValid(options),
  }
}

function healthOf(
  options: FetchCallsOptions,
  { program }: HostRun,
  { origin, configured }: KnownBackend,
): BackendHealth {
  const healthy = configured
    ? healthOfConfigured(options.backendStates(program.name), origin.name)
    : options.lentHealth(program.name, origin)
  return healthy === undefined ? 'unknown' : healthy ? 'healthy' : 'unhealthy'
}

function healthOfConfigured(states: readonly OriginState[], name: string): boolean | undefined {
  const state = states.find((one) => one.name === name)
  return state?.check === undefined ? undefined : state.healthy
}

function keyIsValid({ mayPurge }: FetchCallsOptions): HostCall {
  return ({ request }) => {
    const key = headerValue(request.received, 'fastly-key')
    return { head: { valid: key !== undefined && mayPurge(key) }, body: null }
  }
}

/** In the stead of a backend that its checks found unhealthy, as `pool-egress.ts` does for configured ones. */
async function isUnwell(): Promise<never> {
  throw new EdgeError('origin_unhealthy', 'The backend is not healthy.')
}

type Known = (run: HostRun, name: string) => KnownBackend

async function sendRequest(
  options: FetchCallsOptions,
  known: Known,
  run: HostRun,
  head: FetchHead,
  call: InCall,
): Promise<undefined> {
  const aborter = createAborter(options.limits, run, head, call)
  try {
    const body = call.body instanceof InBody ? toReadable(call.body) : call.body
    const backend = known(run, head.backend)
    const answer = await options.egress.fetch({
      ...target(run, backend, head),
      method: head.method,
      body,
      wantsUpgrade: false,
      signal: aborter.signal,
      cache: wishOf(head.cache),
      client: run.request.client.address,
      ...(!backend.configured &&
        options.lentHealth(run.program.name, backend.origin) === false && { answeredBy: isUnwell }),
    })
    if (call.cancelled || run.signal.aborted) drop(answer)
    else replyWith(call, head, answer)
  } catch (thrown) {
    const failure = toSendFailure(thrown)
    if (failure.failed === 'internalError' && !(thrown instanceof EdgeError)) throw thrown
    const told: FetchedHead = failure
    call.reply({ head: asHead(told), body: null })
  } finally {
    aborter.answered()
  }
  return undefined
}

/** Where a request goes: to a backend of the service with the rights of its owner, or where the program says, with the program's own. */
function target(
  { program }: HostRun,
  { origin, configured }: KnownBackend,
  { uri, headers }: { readonly uri: string; readonly headers: HeaderList },
): Pick<EgressRequest, 'by' | 'url' | 'headers' | 'publicUrl' | 'pool' | 'connection'> {
  const base = new URL(origin.url)
  const asked = URL.parse(uri, base)
  if (asked === null) throw new EdgeError('bad_request', `Not a URL: ${uri.slice(0, 200)}`)
  const host = headerValue(headers, 'host') ?? (uri.startsWith('/') ? base.host : asked.host)
  const path = pathOf(uri, asked)
  const sent = [...without(headers, 'host'), 'host', origin.overrideHost ?? host]
  return {
    by: { program: program.name },
    url: `${base.origin}${base.pathname.replace(/\/$/, '')}${path}`,
    publicUrl: `${asked.protocol}//${host}${path}`,
    headers: sent,
    ...(configured ? { pool: { origins: [origin], choice: 'fallback' } } : { connection: origin }),
  }
}

/** As the program wrote it, where that is possible: what URLs make of `%7e` or `..` is not for us to say. */
function pathOf(uri: string, { pathname, search }: URL): string {
  const written = /^(?:https?:\/\/[^/?#\\]+)?([/?][\x21\x22\x24-\x7e]*)?(?:#.*)?$/i.exec(uri)
  if (written === null) return pathname + search
  return (written[1] ?? '/').replace(/^\?/, '/?')
}

function without(headers: HeaderList, name: string): HeaderList {
  return headers.filter((_, index) => headers[index - (index % 2)]!.toLowerCase() !== name)
}

/**
 * Ends the request when nobody wants its answer any more. One that the program need not wait for (`send_async`) goes on
 * for a while after the program's end, as at Fastly.
 */
function createAborter(limits: Limits, run: HostRun, { later }: FetchHead, call: InCall) {
  const aborter = new AbortController()
  let timer: NodeJS.Timeout | undefined
  let isOver = false
  const leave = () => {
    if (isOver || !later) return aborter.abort()
    timer ??= setTimeout(() => aborter.abort(), limits.computeLaterMs).unref()
  }
  if (run.signal.aborted) leave()
  else run.signal.addEventListener('abort', leave, { once: true })
  call.waiter = { callerLeft: leave }
  return {
    signal: aborter.signal,
    answered() {
      isOver = true
      clearTimeout(timer)
    },
  }
}

function drop({ body }: Answer): void {
  if (body instanceof Readable) body.on('error', () => {}).destroy()
}

function replyWith(call: InCall, head: FetchHead, answer: EgressAnswer): void {
  const headers = [...answer.headers]
  if (head.cache !== undefined && !head.cache.pass) addCacheFields(headers, answer)
  const { body } = head.decompress ? decoded(headers, answer) : answer
  const { status, origin } = answer
  const told: FetchedHead = { status, headers, ...(origin && { origin }) }
  if (body instanceof Readable) {
    call.reply({ head: asHead(told), body: 'stream' })
    pumpInto(call.out, body)
  } else if (body === null || body.length <= inlineBytes) call.reply({ head: asHead(told), body })
  else {
    call.reply({ head: asHead(told), body: 'stream' })
    call.out.write(body)
    call.out.end()
  }
}

/** Longer bodies leave in several frames. */
const inlineBytes = 1024 * 1024

/** Takes the coding out of `headers`; bodies of other codings pass as they are. */
function decoded(headers: HeaderList, { body }: Answer): Pick<Answer, 'body'> {
  const coding = headerValue(headers, 'content-encoding')?.trim().toLowerCase()
  if (body === null || (coding !== 'gzip' && coding !== 'x-gzip')) return { body }
  for (let index = headers.length - 2; index >= 0; index -= 2)
    if (/^content-(?:encoding|length)$/i.test(headers[index]!)) headers.splice(index, 2)
  const source = body instanceof Readable ? body : Readable.from([body])
  const plain = createGunzip()
  source.on('error', (error) => plain.destroy(error))
  plain.on('close', () => source.destroy())
  return { body: source.pipe(plain) }
}

async function handOver(
  { egress }: FetchCallsOptions,
  known: Known,
  run: HostRun,
  { backend, request: words }: HandOverHead,
): Promise<Reply> {
  const { request } = run
  const uri = `${request.scheme}://${request.authority}${request.path}`
  const own = { method: request.method, uri, headers: ['host', request.authority, ...request.headers] }
  const asked = words ?? own
  try {
    const answer = await egress.fetch({
      ...target(run, known(run, backend), asked),
      method: asked.method,
      body: request.wantsUpgrade ? null : request.body,
      wantsUpgrade: request.wantsUpgrade,
      // The connection outlives the program.
      signal: request.signal,
      cache: { bypass: true },
      client: request.client.address,
    })
    run.handOver(answer)
  } catch (thrown) {
    const { code, message } = toEdgeError(thrown)
    throw new CallFailure(code, message)
  }
  return { head: {}, body: null }
}
