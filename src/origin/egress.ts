/**
 * The only way out: everything that a program fetches and every request to a site's origin. Reads as
 * parse → own sites → loop → resolve → decide → connect to exactly what was decided on.
 */
import { Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import type { Body } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { Egress, EgressAnswer, EgressRequest, Seal } from '#/core/ports.ts'
import { countHops } from '#/http/cdn-loop.ts'
import { type CheckOptions, createDestinationCheck } from './check-destination.ts'
import { createConnectionSettings } from './connection-settings.ts'
import { parseDestination } from './destination.ts'
import { fetchOrigin, type OriginRequest } from './fetch-origin.ts'
import { fieldOf, isConditional, toOriginFields } from './header-fields.ts'
import { mayTryAgain } from './may-retry.ts'
import { createOriginPools } from './origin-pools.ts'

/** A site of this platform, as a program's request finds it by host and path. */
export interface OwnSite {
  readonly site: string
  /** Absolute URL of the origin behind the host; absent where only programs or redirects answer. */
  readonly origin?: string
}

export interface EgressOptions extends CheckOptions {
  /** `host` is lower case without port; `undefined`: not a host of this platform. */
  readonly ownSite: (host: string, path: string) => OwnSite | undefined
  readonly limits: Limits
  /** PEM of authorities to trust besides the usual ones. */
  readonly tls?: { readonly ca?: string }
  /** Opens the keys of client certificates; absent: requests with one are a bug. */
  readonly seal?: Pick<Seal, 'open'>
}

export function createEgress(options: EgressOptions): Egress {
  const { ownSite, limits } = options
  const check = createDestinationCheck(options)
  const pools = createOriginPools({ limits })
  const settingsOf = createConnectionSettings({ limits, ca: options.tls?.ca, seal: options.seal })

  return {
    async fetch(request) {
      if (request.method === 'CONNECT') throw new EdgeError('method_not_allowed', 'CONNECT does not leave here.')
      const { by, destination, authority } = route(request, ownSite)
      checkHops(request, limits)
      const checked = await unlessAborted(check(by, destination), request.signal)
      const upgrade = request.wantsUpgrade
        ? (fieldOf(request.headers, 'upgrade') ?? 'websocket').toLowerCase()
        : undefined
      const body = bodyOf(request)
      const headers = toOriginFields(request.headers, authority, body instanceof Readable)
      const settings = settingsOf(by, request.connection)
      if (upgrade !== undefined && settings.http2Only)
        throw new EdgeError(
          'origin_failed',
          `${destination.host} is asked over HTTP/2 only, which has no ${upgrade} here.`,
        )
      const target = { destination, ...checked, http1Only: upgrade !== undefined, settings }
      const { method, signal, onInformational } = request
      // A pool connects at once or waits for a connection to become free; both take the time of connecting at most.
      const connectMs = settings.connectMs + limits.originAttemptMs
      const { sniHostname } = settings
      const [address, other] = checked.addresses
      const origin = address !== undefined && other === undefined ? { address, port: destination.port } : undefined
      const sent = {
        method,
        destination,
        headers,
        body,
        upgrade,
        signal,
        connectMs,
        sniHostname,
        origin,
        onInformational,
      }
      const answer = await withRetry(sent, () => fetchOrigin(pools.acquire(target), sent))
      if ('site' in by && !request.toProgram && answer.status === 304 && !isConditional(headers))
        throw new EdgeError('origin_failed', `${destination.host} answered 304 to a request that was not conditional.`)
      return answer
    },
    close: () => pools.close(),
  }
}

/** Once more, on another connection, when the first was a kept one that the origin had closed. */
async function withRetry(request: OriginRequest, send: () => Promise<EgressAnswer>): Promise<EgressAnswer> {
  try {
    return await send()
  } catch (thrown) {
    const again = thrown instanceof EdgeError && !request.signal.aborted && mayTryAgain(thrown, request)
    if (!again) throw thrown
    return send()
  }
}

/** A program's request to a host of this platform goes to the origin behind that host, or is refused (1042). */
function route(request: EgressRequest, ownSite: EgressOptions['ownSite']) {
  const destination = parseDestination(request.url)
  const { authority } = destination
  const own = 'program' in request.by ? ownSite(destination.host, destination.path) : undefined
  if (own === undefined) return { by: request.by, destination, authority }
  if (own.origin === undefined)
    throw new EdgeError(
      'program_loop',
      `${destination.host} is answered by a program of this platform; bind it as a service instead of fetching it.`,
    )
  const origin = parseDestination(own.origin)
  return { by: { site: own.site }, destination: { ...origin, path: destination.path }, authority }
}

function checkHops({ by, headers }: EgressRequest, limits: Limits): void {
  if (countHops(headers) < limits.egressHops) return
  const code = 'program' in by ? 'program_loop' : 'origin_failed'
  throw new EdgeError(code, `The request goes round in a circle: it left this platform ${limits.egressHops} times.`)
}

/** An empty body is none, so that no framing is sent for it. A stream that is announced as empty is let run out. */
function bodyOf(request: EgressRequest): Body {
  const { body, headers } = request
  if (body instanceof Readable && fieldOf(headers, 'content-length') === '0') {
    body.resume()
    return null
  }
  return body instanceof Uint8Array && body.byteLength === 0 ? null : body
}

function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const gone = () => reject(new EdgeError('client_gone', 'The request was given up before it was sent.'))
    if (signal.aborted) gone()
    signal.addEventListener('abort', gone, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', gone))
  })
}
