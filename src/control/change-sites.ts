/** Plain sites: hostnames in front of origins, without a program. */
import type { AnswerPolicy } from '#/core/answer-policy.ts'
import type { CachePolicy } from '#/core/cache-policy.ts'
import { summaryOf } from '#/core/kept-map.ts'
import type { ErrorPages, HealthCheck, OriginChoice, OriginPool } from '#/core/origin.ts'
import type { PopId } from '#/core/pops.ts'
import { checkFree, toHostname } from './addresses.ts'
import { answerPolicySchema } from './answer-policy.ts'
import { cachePolicySchema } from './cache-policy.ts'
import { checkShield } from './check-shield.ts'
import { changeErrorPages, type ErrorPagesChange } from './error-pages.ts'
import type { Change, HeldSite, State } from './fold.ts'
import type { Office } from './office.ts'
import { keyOf } from './placements.ts'
import { checkProgramName } from './program-name.ts'
import type { SiteRecord } from './records.ts'
import { Refusal } from './refusal.ts'
import { isServiceSite } from './services/held-services.ts'
import type { OriginWish } from './site-form.ts'
import { countChecks, toOrigins, toPool } from './site-origins.ts'

export interface SiteWish {
  readonly name: string
  /** The first origin. Absolute http or https URL without query; its path is put before the request's. */
  readonly origin: string
  /** In the form of `originsForm`; absent: `origin` alone. */
  readonly origins?: readonly OriginWish[]
  readonly choice?: OriginChoice
  readonly quorum?: number
  readonly healthCheck?: HealthCheck
  /** Besides `NAME.localhost`. */
  readonly hosts: readonly string[]
  /** In the form of `cachePolicySchema`; absent: by RFC 9111 alone. */
  readonly cache?: CachePolicy
  readonly errorPages?: ErrorPages
  /** In the form of `answerPolicySchema`. */
  readonly answers?: AnswerPolicy
  /** The PoP through which all others fetch from its origins. */
  readonly shield?: PopId
}

/** What is absent stays; null takes away. */
export interface SiteChange {
  readonly origins?: readonly OriginWish[]
  readonly choice?: OriginChoice
  readonly quorum?: number | null
  readonly healthCheck?: HealthCheck | null
  readonly hosts?: readonly string[]
  readonly cache?: CachePolicy | null
  readonly errorPages?: ErrorPagesChange | null
  readonly answers?: AnswerPolicy | null
  readonly shield?: PopId | null
}

/** Adds a site or replaces the one of that name. Throws a `Refusal` (`bad_name`, `bad_address`, `address_taken`). */
export async function putSite(office: Office, wish: SiteWish): Promise<SiteRecord> {
  checkProgramName(wish.name)
  const hosts = toHosts(office, wish.hosts)
  const wishes = wish.origins ?? [{ url: wish.origin, weight: 100 }]
  for (const { url } of wishes) checkOrigin(url)
  const cache = wish.cache && cachePolicySchema.parse(wish.cache)
  const answers = wish.answers && answerPolicySchema.parse(wish.answers)
  return office.ledger.exclusively([wish.name], async () => {
    const before = office.ledger.state.sites.get(wish.name)?.record
    const origins = toOrigins(wishes, office.seal, before?.pool?.origins ?? [])
    const pool = toPool({ ...wish, origins })
    const createdAt = before?.createdAt ?? office.clock()
    const { errorPages, shield } = wish
    return write(office, {
      name: wish.name,
      createdAt,
      origin: origins[0]!.url,
      hosts,
      pool,
      ...(cache !== undefined && { cache }),
      ...(errorPages !== undefined && { errorPages }),
      ...(answers !== undefined && { answers }),
      ...(shield !== undefined && { shield }),
    })
  })
}

/** Throws a `Refusal` (`no_site`, and those of `putSite`). */
export async function changeSite(office: Office, name: string, change: SiteChange): Promise<SiteRecord> {
  for (const { url } of change.origins ?? []) checkOrigin(url)
  const hosts = change.hosts && toHosts(office, change.hosts)
  return office.ledger.exclusively([name], async () => {
    const before = office.ledger.state.sites.get(name)?.record
    if (before === undefined) throw new Refusal('no_site', `There is no site '${name.slice(0, 80)}'.`)
    const known = poolOfRecord(before)
    const origins = change.origins ? toOrigins(change.origins, office.seal, known.origins) : known.origins
    const pool = toPool({
      origins,
      choice: change.choice ?? known.choice,
      quorum: changed(change.quorum, known.quorum),
      healthCheck: changed(change.healthCheck, known.healthCheck),
    })
    const cache = changed(change.cache, before.cache)
    const errorPages = changeErrorPages(before.errorPages, change.errorPages)
    const answers = changed(change.answers, before.answers)
    const shield = changed(change.shield, before.shield)
    return write(office, {
      name,
      createdAt: before.createdAt,
      origin: origins[0]!.url,
      hosts: hosts ?? before.hosts,
      pool,
      ...(cache !== undefined && { cache: cachePolicySchema.parse(cache) }),
      ...(errorPages !== undefined && { errorPages }),
      ...(answers !== undefined && { answers: answerPolicySchema.parse(answers) }),
      ...(shield !== undefined && { shield }),
    })
  })
}

function changed<Value>(change: Value | null | undefined, before: Value | undefined): Value | undefined {
  return change === undefined ? before : (change ?? undefined)
}

/** What a record says, also one from before sites had several origins. */
export function poolOfRecord({ origin, pool }: Pick<SiteRecord, 'origin' | 'pool'>): OriginPool {
  return pool ?? toPool({ origins: [{ name: new URL(origin).host, url: origin, weight: 100 }] })
}

async function write(office: Office, record: SiteRecord): Promise<SiteRecord> {
  await office.ledger.commit((state) => toCommit(office, state, record))
  return record
}

const sumOfChecks = {
  of: ({ record }: HeldSite) => countChecks(poolOfRecord(record)),
  join: (one: number, other: number) => one + other,
  none: 0,
}
const checksOf = new WeakMap<object, { readonly sum: number }>()

function toCommit(office: Office, state: State, record: SiteRecord): Change {
  const { name, hosts } = record
  if (state.programs.has(name)) throw new Refusal('address_taken', `'${name}' is the name of a program.`)
  const within = state.placements.get(keyOf({ kind: 'site', id: name }))?.record.within
  checkShield(record.shield, within, office.places())
  if (isServiceSite(state, name)) throw new Refusal('address_taken', `'${name}' is the name of a service.`)
  checkFree(state, name, [`${name}.${office.hostnameSuffix}`, ...hosts], [])
  const before = state.sites.get(name)
  const others = summaryOf(state.sites, sumOfChecks, checksOf) - (before === undefined ? 0 : sumOfChecks.of(before))
  const checks = others + countChecks(poolOfRecord(record))
  if (checks > office.limits.healthChecks)
    throw new Refusal('too_many', `${checks} health checks are more than the ${office.limits.healthChecks} allowed.`)
  return { sites: [{ name, record }] }
}

/** Throws a `Refusal` (`no_site`). */
export async function removeSite(office: Office, name: string): Promise<void> {
  await office.ledger.exclusively([name], () =>
    office.ledger.commit((state) => {
      if (!state.sites.has(name)) throw new Refusal('no_site', `There is no site '${name.slice(0, 80)}'.`)
      return { sites: [{ name, record: undefined }] }
    }),
  )
}

function toHosts(office: Office, given: readonly string[]): string[] {
  const hosts = [...new Set(given.map((host) => toHostname(host, { wildcard: true })))]
  const { hostnamesPerProgram } = office.limits
  if (hosts.length > hostnamesPerProgram)
    throw new Refusal('too_many', `${hosts.length} hostnames are more than the ${hostnamesPerProgram} allowed.`)
  return hosts
}

function checkOrigin(text: string): void {
  const url = URL.parse(text)
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw new Refusal('bad_address', `Origin '${text.slice(0, 200)}' is not an http or https URL.`)
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw new Refusal('bad_address', 'An origin has neither credentials, nor a query, nor a fragment.')
}
