/** Plain sites: hostnames in front of an origin, without a program. */
import type { CachePolicy } from '#/core/cache-policy.ts'
import { checkFree, toHostname } from './addresses.ts'
import { cachePolicySchema } from './cache-policy.ts'
import type { Office } from './office.ts'
import { checkProgramName } from './program-name.ts'
import type { SiteRecord } from './records.ts'
import { Refusal } from './refusal.ts'
import { isServiceSite } from './services/held-services.ts'

export interface SiteWish {
  readonly name: string
  /** Absolute http or https URL without query; its path is put before the request's. */
  readonly origin: string
  /** Besides `NAME.localhost`. */
  readonly hosts: readonly string[]
  /** In the form of `cachePolicySchema`; absent: by RFC 9111 alone. */
  readonly cache?: CachePolicy
}

/** Adds a site or replaces the one of that name. Throws a `Refusal` (`bad_name`, `bad_address`, `address_taken`). */
export async function putSite(office: Office, wish: SiteWish): Promise<SiteRecord> {
  checkProgramName(wish.name)
  const hosts = [...new Set(wish.hosts.map((host) => toHostname(host, { wildcard: true })))]
  if (hosts.length > office.limits.hostnamesPerProgram)
    throw new Refusal(
      'too_many',
      `${hosts.length} hostnames are more than the ${office.limits.hostnamesPerProgram} allowed.`,
    )
  const origin = checkOrigin(wish.origin)
  return office.ledger.exclusively([wish.name], async () => {
    const createdAt = office.ledger.state.sites.get(wish.name)?.record.createdAt ?? office.clock()
    const cache = wish.cache && cachePolicySchema.parse(wish.cache)
    const record = { name: wish.name, createdAt, origin, hosts, ...(cache !== undefined && { cache }) }
    await office.ledger.commit((state) => {
      if (state.programs.has(wish.name)) throw new Refusal('address_taken', `'${wish.name}' is the name of a program.`)
      if (isServiceSite(state, wish.name))
        throw new Refusal('address_taken', `'${wish.name}' is the name of a service.`)
      checkFree(state, wish.name, [`${wish.name}.${office.hostnameSuffix}`, ...hosts], [])
      return { sites: [{ name: wish.name, record }] }
    })
    return record
  })
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

function checkOrigin(text: string): string {
  const url = URL.parse(text)
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw new Refusal('bad_address', `Origin '${text.slice(0, 200)}' is not an http or https URL.`)
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw new Refusal('bad_address', 'An origin has neither credentials, nor a query, nor a fragment.')
  return url.href
}
