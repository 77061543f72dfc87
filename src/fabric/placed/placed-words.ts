/**
 * What travels through nodes that may not read it: a purge names URLs, every node hands it on and keeps it for those that
 * are away, and only nodes in the site's countries can open it.
 */
import type { PurgeWish, PurgeWords } from '#/core/cache-policy.ts'
import { changedSites } from '#/core/changed-sites.ts'
import { allows, type CountryCode, type Within } from '#/core/pops.ts'
import type { Fabric, Seal } from '#/core/ports.ts'
import type { SiteList } from '#/core/site-list.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import type { Milliseconds } from '#/core/units.ts'
import { decrypt, encrypt, openPlacedKey } from './placed-key.ts'

export interface PlacedWordsOptions {
  readonly fabric: Pick<Fabric, 'bucket'>
  readonly seal: Pick<Seal, 'seal' | 'open'>
  readonly limits: { readonly placedBlobWaitMs: Milliseconds }
  /** Of this node. */
  readonly country: CountryCode
  readonly withinOf: (site: string) => Within | undefined
}

export interface PlacedWords extends PurgeWords {
  /** Gets the keys of the sites that may be here. Never rejects: without one, what is hidden goes as a whole. */
  learn(snapshot: Snapshot): Promise<void>
}

export function createPlacedWords(options: PlacedWordsOptions): PlacedWords {
  const { fabric, seal, limits, country, withinOf } = options
  /** By the countries, joined. */
  const keys = new Map<string, Buffer>()
  /** Countries whose key is not here yet. */
  const wanted = new Map<string, Within>()
  let learned: SiteList = []

  async function learnOne(within: Within): Promise<void> {
    const name = nameOf(within)
    if (!keys.has(name)) {
      const key = await openPlacedKey(fabric, within, seal, limits.placedBlobWaitMs).catch(() => undefined)
      if (key === undefined) return
      keys.set(name, key)
    }
    wanted.delete(name)
  }

  return {
    async learn({ sites, placements }) {
      const { come } = changedSites(learned, sites)
      learned = sites
      if (placements === undefined) return
      for (const { within } of come)
        if (within !== undefined && allows(within, country)) wanted.set(nameOf(within), within)
      await Promise.all([...wanted.values()].map(learnOne))
    },
    hide(wish) {
      const { scope, what, soft } = wish
      const within = scope === undefined ? undefined : withinOf(scope)
      if (scope === undefined || within === undefined || what.kind === 'everything' || what.kind === 'hidden')
        return wish
      const name = nameOf(within)
      const key = keys.get(name)
      if (key === undefined) return everythingOf(wish)
      const sealed = encrypt(key, `purge of ${scope}`, Buffer.from(JSON.stringify(what))).toString('base64')
      return { scope, soft, what: { kind: 'hidden', text: `${name}.${sealed}` } }
    },
    show(wish) {
      if (wish.what.kind !== 'hidden') return wish
      const { text } = wish.what
      const dot = text.indexOf('.')
      const key = keys.get(text.slice(0, dot))
      if (key === undefined) return everythingOf(wish)
      try {
        const opened = decrypt(key, `purge of ${wish.scope}`, Buffer.from(text.slice(dot + 1), 'base64'))
        return { ...wish, what: JSON.parse(opened.toString('utf8')) as PurgeWish['what'] }
      } catch {
        return everythingOf(wish)
      }
    },
  }
}

const nameOf = (within: Within) => [...within].sort().join(',')

const everythingOf = (wish: PurgeWish): PurgeWish => ({ ...wish, what: { kind: 'everything' } })
