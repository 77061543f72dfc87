/**
 * Several origins behind one site: chooses one, and goes to the next when it fails before its answer began. In front of
 * the egress, behind the shared cache.
 */
import { EdgeError, toEdgeError } from '#/core/errors.ts'
import type { HeaderList } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { Origin, OriginPool } from '#/core/origin.ts'
import type { Egress, EgressAnswer, EgressRequest } from '#/core/ports.ts'
import { chooseOrigins } from './choose-origin.ts'
import { fieldOf } from './header-fields.ts'
import { mayTryAnother } from './may-retry.ts'

/** What is known of origins, and what is learned about them. */
export interface OriginHealth {
  isHealthy(site: string, origin: Origin): boolean
  note(site: string, origin: Origin, what: 'request' | 'failure' | 'retry'): void
}

export interface PoolEgressOptions {
  readonly egress: Egress
  readonly health: OriginHealth
  readonly limits: Limits
  /** In [0, 1). */
  readonly random: () => number
  /** The pool behind a host of this platform, for programs that fetch it. */
  readonly ownPool?: (host: string, path: string) => { readonly site: string; readonly pool: OriginPool } | undefined
}

/** Requests without a pool pass unchanged. Rejects with the last origin's error, or `origin_unhealthy`. */
export function createPoolEgress(options: PoolEgressOptions): Egress {
  const { egress, health, limits, random } = options

  async function fetchPool(request: EgressRequest, pool: OriginPool, site: string): Promise<EgressAnswer> {
    const path = pathBehind(pool, request.url)
    const isHealthy = (origin: Origin) => health.isHealthy(site, origin)
    const chosen = chooseOrigins({ pool, isHealthy, random, path, client: request.client ?? '' })
    if (chosen.kind === 'down') throw new EdgeError('origin_unhealthy', downSentence(site, chosen.why))
    let failure: EdgeError | undefined
    for (const origin of chosen.origins.slice(0, limits.originRetries + 1)) {
      health.note(site, origin, failure === undefined ? 'request' : 'retry')
      try {
        return await egress.fetch(toOrigin(request, origin, path, site))
      } catch (thrown) {
        failure = toEdgeError(thrown)
        if (failure.row.source === 'origin') health.note(site, origin, 'failure')
        if (request.signal.aborted || !mayTryAnother(failure, request)) throw thrown
      }
    }
    throw failure
  }

  return {
    fetch(request) {
      const { by, pool } = request
      // Origins that a program's owner gave it are asked as those of a site are.
      if (pool !== undefined) return fetchPool(request, pool, 'site' in by ? by.site : by.program)
      if ('site' in by) return egress.fetch(request)
      const url = URL.parse(request.url)
      const own = url === null ? undefined : options.ownPool?.(url.hostname, url.pathname)
      if (url === null || own === undefined) return egress.fetch(request)
      return fetchPool(onBehalfOf(request, url, own), own.pool, own.site)
    },
    close: () => egress.close(),
  }
}

/** A program fetches a host of this platform: its site's origins are asked, and see the host that the program named. */
function onBehalfOf(request: EgressRequest, url: URL, own: { site: string; pool: OriginPool }): EgressRequest {
  const host = fieldOf(request.headers, 'host') === undefined ? ['host', url.host] : []
  const headers = [...request.headers, ...host]
  const base = own.pool.origins[0]!.url.replace(/\/$/, '')
  return { ...request, by: { site: own.site }, url: base + url.pathname + url.search, headers }
}

/** The URL was made from the first origin's; what comes after that is the path for all of them. */
function pathBehind({ origins }: OriginPool, url: string): string {
  const base = origins[0]!.url.replace(/\/$/, '')
  if (url.startsWith(base)) return url.slice(base.length) || '/'
  const { pathname, search } = new URL(url)
  return pathname + search
}

function toOrigin(request: EgressRequest, origin: Origin, path: string, site: string): EgressRequest {
  const url = origin.url.replace(/\/$/, '') + path
  const { method, body, wantsUpgrade, signal, onInformational } = request
  const headers = origin.overrideHost === undefined ? request.headers : withHost(request.headers, origin.overrideHost)
  const to = 'program' in request.by ? { toProgram: true as const } : {}
  const one = { by: { site }, method, url, headers, body, wantsUpgrade, signal, connection: origin, ...to }
  return onInformational === undefined ? one : { ...one, onInformational }
}

function withHost(headers: HeaderList, host: string): HeaderList {
  const kept = ['host', host]
  for (let i = 0; i < headers.length; i += 2)
    if (headers[i]!.toLowerCase() !== 'host') kept.push(headers[i]!, headers[i + 1]!)
  return kept
}

function downSentence(site: string, why: 'none-healthy' | 'below-quorum'): string {
  if (why === 'below-quorum') return `Fewer origins of ${site} are healthy than its quorum asks for.`
  return `No origin of ${site} is healthy.`
}
