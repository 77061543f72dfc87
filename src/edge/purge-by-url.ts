/** Purges by URL for sites whose rules change URLs: what clients ask for is looked up as the rules leave it. */
import type { PurgeWish } from '#/core/cache-policy.ts'
import { publicUrl } from '#/core/purge-wishes.ts'
import { siteNamed } from '#/core/site-list.ts'
import type { Site, Snapshot } from '#/core/snapshot.ts'
import type { TakePurge } from '#/core/tiers.ts'
import { planFetch, readyRules, ruleFacts } from './apply-rules.ts'
import type { Pop } from './request-headers.ts'

export interface PurgeByUrlOptions {
  readonly cache: { readonly purge: TakePurge }
  readonly snapshot: () => Snapshot
  readonly pop: Pop
}

/**
 * Besides what is wished, drops what a plain `GET` of the same URL is kept under, over both schemes. What rules make of
 * a request with other fields (cookies, languages) is not known here.
 */
export function createPurgeByUrl({ cache, snapshot, pop }: PurgeByUrlOptions): { readonly purge: TakePurge } {
  return {
    purge: (wishes) => cache.purge(wishes.flatMap((wish) => [wish, ...changed(wish, snapshot(), pop)])),
  }
}

function changed(wish: PurgeWish, { sites }: Snapshot, pop: Pop): PurgeWish[] {
  const { what, scope } = wish
  if (what.kind !== 'url') return []
  const url = URL.parse(what.url)
  const site = scope === undefined ? undefined : siteNamed(sites, scope)
  if (url === null || !site?.rules?.headers.some(({ target }) => target.kind === 'url')) return []
  const path = what.url.slice(what.url.indexOf('/', what.url.indexOf('//') + 2))
  const found = new Set(
    ['http' as const, 'https' as const].map((scheme) => pathAfterRules(site, scheme, url.hostname, path, pop)),
  )
  found.delete(path)
  return [...found].map((other) => ({ ...wish, what: { kind: 'url', url: publicUrl('https', url.hostname, other) } }))
}

function pathAfterRules(site: Site, scheme: 'http' | 'https', host: string, path: string, pop: Pop): string {
  const ready = readyRules(site)!
  const connection = { client: { address: '::', port: 0 }, country: undefined }
  const asked = { method: 'GET', scheme, httpVersion: '1.1' as const, host, path, connection }
  const facts = ruleFacts(asked, [], ready.lookups, pop)
  planFetch(ready, facts, host)
  return facts.url
}
