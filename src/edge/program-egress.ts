/**
 * What programs fetch, in front of the shared cache: a host of a site with delivery rules is asked through these rules, as
 * a client would; other hosts are kept by the cache rules of the domain around them.
 */
import { Readable } from 'node:stream'
import type { CacheWish } from '#/core/cache-policy.ts'
import { decideCaching } from '#/core/compile-cache-rules.ts'
import type { Limits } from '#/core/limits.ts'
import type { Egress, EgressAnswer, EgressRequest } from '#/core/ports.ts'
import { anyPasses, type SiteList } from '#/core/site-list.ts'
import type { Site, Snapshot } from '#/core/snapshot.ts'
import type { Clock } from '#/core/units.ts'
import { newId } from './accepted.ts'
import { fetchOrigin } from './fetch-origin.ts'
import { findSite, originBehind } from './find-site.ts'
import type { OriginExchange } from './origin-exchange.ts'
import type { Pop } from './request-headers.ts'

export interface ProgramEgressOptions {
  readonly egress: Egress
  readonly snapshot: () => Snapshot
  readonly pop: Pop
  readonly limits: Limits
  readonly clock: Clock
}

/** A program has no address of its own: the unspecified one is in no list. */
const nowhere = { client: { address: '::', port: 0 }, country: undefined }

export function createProgramEgress(options: ProgramEgressOptions): Egress {
  const { egress, snapshot } = options
  return {
    fetch(request) {
      if (!('program' in request.by)) return egress.fetch(request)
      const { sites, cacheRules } = snapshot()
      if (cacheRules === undefined && !hasRules(sites)) return egress.fetch(request)
      const url = URL.parse(request.url)
      if (url === null) return egress.fetch(request)
      const exchange = exchangeOf(request, url, options.clock)
      const asked = findSite(snapshot(), exchange)
      const site = asked && originBehind(snapshot(), asked, exchange.host)
      if (site?.rules !== undefined) return fetchByRules(request, exchange, site, options)
      const decision = decideCaching(cacheRules, {
        ...{ method: exchange.method, scheme: exchange.scheme, httpVersion: '1.1', host: exchange.host },
        ...{ path: exchange.path, headers: request.headers, address: nowhere.client.address, country: 'XX' },
      })
      if (decision === undefined) return egress.fetch(request)
      const { wish, onOriginAnswer, onClientAnswer } = decision
      const wanted = { ...request, cache: joined(wish, request.cache), ...(onOriginAnswer && { onOriginAnswer }) }
      const answer = egress.fetch(wanted)
      return onClientAnswer === undefined ? answer : answer.then((one) => ({ ...one, ...onClientAnswer(one) }))
    },
    close: () => egress.close(),
  }
}

const withRules = new WeakMap<object, { readonly sum: boolean }>()

const hasRules = (sites: SiteList): boolean => anyPasses(sites, ({ rules }) => rules !== undefined, withRules)

/** What `fetch(url, { cf })` says about times wins over the rules; the rest of both counts. */
function joined(rule: CacheWish, program: CacheWish | undefined): CacheWish {
  if (program === undefined) return rule
  const { policy, ...said } = program
  const own = said.ttl !== undefined || said.ttlByStatus !== undefined || said.everything === true
  const { ttl: _, ttlByStatus: __, bypass: ___, ...rest } = rule
  return { ...(own ? rest : rule), ...said, policy: { ...policy, ...rule.policy } }
}

function exchangeOf(request: EgressRequest, url: URL, clock: Clock): OriginExchange {
  const { method, headers, body, wantsUpgrade, signal } = request
  return {
    ...{ id: newId(), startedAt: clock(), method, scheme: url.protocol === 'https:' ? 'https' : 'http' },
    ...{ httpVersion: '1.1', host: url.hostname, path: url.pathname + url.search, headers },
    body: body instanceof Uint8Array ? Readable.from([body], { objectMode: false }) : body,
    ...{ wantsUpgrade, signal, traceparent: undefined, timings: {}, connection: nowhere },
  } as OriginExchange
}

async function fetchByRules(
  request: EgressRequest,
  exchange: OriginExchange,
  site: Site,
  { egress, pop, limits }: ProgramEgressOptions,
): Promise<EgressAnswer> {
  const { policy: _, ...said } = request.cache ?? {}
  const asked: Pick<Egress, 'fetch'> = {
    fetch: (one) => egress.fetch(Object.keys(said).length === 0 ? one : { ...one, cache: { ...one.cache, ...said } }),
  }
  if (site.target.kind !== 'origin') return egress.fetch(request)
  const options = { egress: asked, purge: undefined, pop, limits }
  const informational = request.onInformational ?? (() => {})
  return fetchOrigin(exchange, site, site.target, options, { informational })
}
