/** Purges by URL for sites whose rules change URLs: what clients ask for is looked up as the rules leave it. */
import { Readable } from 'node:stream'
import type { PurgeWish } from '#/core/cache-policy.ts'
import { EdgeError } from '#/core/errors.ts'
import { isHere, placementsOf } from '#/core/holdings.ts'
import type { Mesh } from '#/core/mesh.ts'
import { nearestPeers } from '#/core/pops.ts'
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
  /** Absent where this node is the whole platform. */
  readonly mesh?: Pick<Mesh, 'peers' | 'ask' | 'serve'>
  /** As other nodes may see a wish; absent: as it is. */
  readonly hide?: (wish: PurgeWish) => PurgeWish
}

export interface PurgeByUrl {
  readonly purge: TakePurge
  close(): void
}

/** What a node inside makes of wishes for sites that only nodes there know. */
const topic = 'edge/purge'

/**
 * Besides what is wished, drops what a plain `GET` of the same URL is kept under, over both schemes. What rules make of
 * a request with other fields (cookies, languages) is not known here. Wishes for sites that stay elsewhere go to a node there
 * first, which knows their rules and can hide what is meant; with none in reach all of the site goes.
 */
export function createPurgeByUrl(options: PurgeByUrlOptions): PurgeByUrl {
  const { cache, snapshot, pop, mesh, hide = (wish) => wish } = options
  const expand = (wishes: readonly PurgeWish[]) => wishes.flatMap((wish) => [wish, ...changed(wish, snapshot(), pop)])
  const isAway = ({ scope, what }: PurgeWish) =>
    scope !== undefined &&
    what.kind !== 'everything' &&
    what.kind !== 'hidden' &&
    !isHere(snapshot(), scope, pop.country)

  const withdraw = mesh?.serve(topic, async ({ body }) => {
    const wishes = JSON.parse(Buffer.concat(await body.toArray()).toString()) as PurgeWish[]
    // Who is not inside either makes nothing of it.
    const made = wishes.some(isAway) ? null : expand(wishes).map(hide)
    return { body: Readable.from([Buffer.from(JSON.stringify(made))], { objectMode: false }) }
  })

  /** In the words of a node inside. */
  async function askInside(scope: string, wishes: readonly PurgeWish[]): Promise<readonly PurgeWish[]> {
    const within = placementsOf(snapshot())({ kind: 'site', id: scope })
    for (const { node } of nearestPeers(mesh!.peers(), within))
      try {
        const sent = Readable.from([Buffer.from(JSON.stringify(wishes))], { objectMode: false })
        const { body } = await mesh!.ask(node, topic, { body: sent })
        const made = JSON.parse(Buffer.concat(await body.toArray()).toString()) as PurgeWish[] | null
        if (made?.every((wish) => wish.scope === scope)) return made
      } catch (error) {
        if (!(error instanceof EdgeError)) throw error
      }
    return wishes
  }

  return {
    async purge(wishes) {
      if (mesh === undefined || !wishes.some(isAway)) return cache.purge(expand(wishes))
      const away = Object.groupBy(wishes.filter(isAway), ({ scope }) => scope!)
      const asked = Object.entries(away).map(([scope, own = []]) => askInside(scope, own))
      return cache.purge([...expand(wishes.filter((wish) => !isAway(wish))), ...(await Promise.all(asked)).flat()])
    },
    close: () => withdraw?.(),
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
