/**
 * What a shield must know of a request to do with origins' answers what this node would do: the rules are in its Snapshot too,
 * the request as they see it goes along.
 */
import type { RuleFacts } from '#/core/compile-condition.ts'
import type { OriginPool } from '#/core/origin.ts'
import type { EgressRequest } from '#/core/ports.ts'
import type { Site } from '#/core/snapshot.ts'
import type { FetchedAgain } from '#/core/tiers.ts'
import { decideKeepingOf, keepingFacts } from './apply-cache-rules.ts'
import { readyRules } from './apply-rules.ts'
import { changeOriginAnswer } from './change-origin-answer.ts'
import type { OriginExchange } from './origin-exchange.ts'

/** The wish for the shield of these origins, or of the site; nothing where there is none. */
export function shieldOf(
  { name, shield }: Site,
  pool: OriginPool | undefined,
  again: (() => FetchedAgain) | undefined,
): Pick<EgressRequest, 'shield'> {
  const pop = pool?.shield ?? shield
  return pop === undefined ? {} : { shield: { pop, site: name, ...(again && { again: again() }) } }
}

export function ruledAgain(facts: RuleFacts, decided: boolean): FetchedAgain {
  const { method, url, headers, scheme, httpVersion, address, country, pop } = facts
  return { kind: 'rules', method, url, headers: [...headers], scheme, httpVersion, address, country, pop, decided }
}

export function keptAgain(exchange: OriginExchange): FetchedAgain {
  return { kind: 'keeping', ...keepingFacts(exchange) }
}

/** On the shield: what the site's rules make of an origin's answer to that request. */
export function originAnswers(site: Site, again: FetchedAgain): EgressRequest['onOriginAnswer'] {
  if (again.kind === 'keeping') return decideKeepingOf(site, again)?.onOriginAnswer
  const ready = readyRules(site)
  if (ready === undefined) return undefined
  const { kind: _, decided, ...asked } = again
  return changeOriginAnswer(ready.rules, { ...asked, lookups: ready.lookups, answer: undefined }, decided)
}
