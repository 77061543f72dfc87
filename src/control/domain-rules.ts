/** Cache rules of domains: their records, and how they change. What the door shows of them is kept in its own words. */

import { z } from 'zod'
import type { DomainCacheRules } from '#/core/cache-settings.ts'
import { compileCacheRules } from '#/core/compile-cache-rules.ts'
import { alter } from '#/core/kept-map.ts'
import type { Site } from '#/core/snapshot.ts'
import { toHostname } from './addresses.ts'
import type { Office } from './office.ts'
import { Refusal } from './refusal.ts'

const text = z.string()
const count = z.exactOptional(z.number())
const flag = z.exactOptional(z.boolean())
const list = z.exactOptional(z.array(text))

const key = z.looseObject({
  sortQuery: flag,
  ignoreHost: flag,
  headers: list,
  cookies: list,
  deviceType: flag,
  country: flag,
  language: flag,
  presentHeaders: list,
  presentCookies: list,
  containedIn: z.exactOptional(z.array(z.object({ header: text, texts: z.array(text) }))),
})

const settings = z.object({
  keep: flag,
  ttl: z.exactOptional(
    z.object({
      mode: z.enum(['override', 'respect', 'stated']),
      seconds: count,
      byStatus: z.exactOptional(z.array(z.object({ from: z.number(), to: z.number(), ttl: z.number() }))),
    }),
  ),
  clientTtl: z.exactOptional(z.object({ mode: z.enum(['override', 'respect', 'stated']), seconds: count })),
  key: z.exactOptional(key),
  fittingTypesOnly: flag,
  neverWhileUpdating: flag,
  keepStrongTags: flag,
})

const record = z.object({
  domain: text,
  modifiedAt: z.number(),
  /** Serialized JSON: the door's own view of these rules. */
  view: text,
  rules: z.array(z.object({ name: text, when: text, settings })),
})

export interface DomainRulesRecord extends DomainCacheRules {
  readonly modifiedAt: number
  readonly view: string
}

export interface HeldDomain {
  readonly record: DomainRulesRecord
  /** Number of the change that made it. */
  readonly revision: number
}

/** By domain. */
export type HeldDomains = ReadonlyMap<string, HeldDomain>

export interface DomainChange {
  readonly domain: string
  /** `undefined` removes it. */
  readonly record: DomainRulesRecord | undefined
}

export interface DomainRulesWish {
  readonly view: string
  readonly rules: DomainCacheRules['rules']
}

/** Throws an Error that says what does not fit; a rule that does not compile does not fit. */
export function parseDomainRules(value: unknown): DomainRulesRecord {
  const read = record.safeParse(value)
  if (!read.success) throw new Error(z.prettifyError(read.error).replaceAll('\n', ' '))
  compileCacheRules(read.data as DomainRulesRecord)
  return read.data as DomainRulesRecord
}

export function applyToDomains(held: HeldDomains, changes: readonly DomainChange[], revision: number): HeldDomains {
  if (changes.length === 0) return held
  const next = alter(held)
  for (const { domain, record } of changes)
    if (record === undefined) next.delete(domain)
    else next.set(domain, { record, revision })
  return next.kept()
}

/** Longest domain first; undefined where there are no rules at all. */
export function servedRules(held: HeldDomains): readonly DomainCacheRules[] | undefined {
  const all = [...held.values()].map(({ record }) => record).filter(({ rules }) => rules.length > 0)
  return all.length === 0 ? undefined : all.sort((one, other) => other.domain.length - one.domain.length)
}

/** A plain site with the rules of the domains around its hosts; the same site where there are none. */
export function withDomainRules(site: Site, all: readonly DomainCacheRules[] | undefined): Site {
  if (all === undefined || site.target.kind !== 'origin' || site.rules !== undefined) return site
  const cacheRules = all.filter(({ domain }) => site.hostnames.some((host) => mayCover(domain, host)))
  return cacheRules.length === 0 ? site : { ...site, cacheRules }
}

function mayCover(domain: string, pattern: string): boolean {
  const host = pattern.replace(/^\*\./, '')
  return `.${host}`.endsWith(`.${domain}`) || (host !== pattern && `.${domain}`.endsWith(`.${host}`))
}

/** Throws a `Refusal` (`bad_address`, `too_many`, `bad_rule`). Without rules and view the domain's are removed. */
export async function setDomainRules(office: Office, given: string, wish: DomainRulesWish | undefined): Promise<void> {
  const domain = toHostname(given, { wildcard: false })
  const { cacheRules, cacheRuleDomains } = office.limits
  if ((wish?.rules.length ?? 0) > cacheRules)
    throw new Refusal('too_many', `${wish!.rules.length} cache rules are more than the ${cacheRules} allowed.`)
  try {
    compileCacheRules({ rules: wish?.rules ?? [] })
  } catch (error) {
    if (error instanceof TypeError) throw new Refusal('bad_rule', error.message)
    throw error
  }
  await office.ledger.commit(({ domains }) => {
    if (wish !== undefined && !domains.has(domain) && domains.size >= cacheRuleDomains)
      throw new Refusal('too_many', `There are cache rules of ${domains.size} domains; no more are allowed.`)
    if (wish === undefined) return domains.has(domain) ? { domains: [{ domain, record: undefined }] } : {}
    return { domains: [{ domain, record: { domain, modifiedAt: office.clock(), ...wish } }] }
  })
}
