/** How a request's answer is kept by the rules of the domain around its host, and by the extension of its path. */
import { type CacheDecision, decideCaching, decisionOf } from '#/core/compile-cache-rules.ts'
import type { ExpressionFacts } from '#/core/expressions/request-values.ts'
import { extensionOf } from '#/core/expressions/request-values.ts'
import type { Site } from '#/core/snapshot.ts'
import { isStaticExtension } from '#/core/static-files.ts'
import type { OriginExchange } from './origin-exchange.ts'

/** Undefined where nothing is to be said; two fields are looked at for a site without such rules. */
export function decideKeeping(site: Site, exchange: OriginExchange): CacheDecision | undefined {
  if (site.cacheRules === undefined && site.cache?.staticFiles === undefined) return undefined
  return decideKeepingOf(site, keepingFacts(exchange))
}

export function decideKeepingOf(site: Site, facts: ExpressionFacts): CacheDecision | undefined {
  const files = site.cache?.staticFiles
  const decision = decideCaching(site.cacheRules, facts)
  if (decision !== undefined || files === undefined || !isStaticExtension(extensionOf(facts.path))) return decision
  return decisionOf({ keep: true, fittingTypesOnly: files.anyType !== true }, facts)
}

/** The request as the rules see it. */
export function keepingFacts({
  method,
  scheme,
  httpVersion,
  host,
  path,
  headers,
  connection,
}: OriginExchange): ExpressionFacts {
  const { client, country } = connection
  return { method, scheme, httpVersion, host, path, headers, address: client.address, country: country ?? 'XX' }
}
