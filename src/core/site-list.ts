/** The sites of a Snapshot: read like an array that is never changed, and cheap to make out of the one before. */
import { keep, type Made, mapped, summaryOf } from './kept-map.ts'
import type { Site } from './snapshot.ts'

/** A plain array is one, too. */
export interface SiteList extends Iterable<Site> {
  readonly length: number
  find(test: (site: Site) => boolean): Site | undefined
  some(test: (site: Site) => boolean): boolean
  every(test: (site: Site) => boolean): boolean
  filter(test: (site: Site) => boolean): readonly Site[]
  map<Item>(make: (site: Site) => Item): readonly Item[]
  flatMap<Item>(make: (site: Site) => Item | readonly Item[]): readonly Item[]
}

/** By name; a second site of a name has another key, so that it is found out (`isNamedOnce`). */
export type SitesByKey = ReadonlyMap<string, Site>

class KeptSites implements SiteList {
  readonly byKey: SitesByKey

  constructor(byKey: SitesByKey) {
    this.byKey = byKey
  }

  get length(): number {
    return this.byKey.size
  }

  [Symbol.iterator](): Iterator<Site> {
    return this.byKey.values()
  }

  find(test: (site: Site) => boolean): Site | undefined {
    return this.byKey.values().find(test)
  }

  some(test: (site: Site) => boolean): boolean {
    return this.byKey.values().some(test)
  }

  every(test: (site: Site) => boolean): boolean {
    return this.byKey.values().every(test)
  }

  filter(test: (site: Site) => boolean): readonly Site[] {
    return [...this].filter(test)
  }

  map<Item>(make: (site: Site) => Item): readonly Item[] {
    return Array.from(this, make)
  }

  flatMap<Item>(make: (site: Site) => Item | readonly Item[]): readonly Item[] {
    return [...this].flatMap(make)
  }

  toJSON(): readonly Site[] {
    return [...this]
  }
}

const lists = new WeakMap<SitesByKey, SiteList>()

/** The same list for the same map. */
export function listSites(byKey: SitesByKey): SiteList {
  const kept = keep(byKey)
  const list = lists.get(kept) ?? new KeptSites(kept)
  lists.set(kept, list)
  return list
}

/** Undefined for an array. */
export function keysOf(sites: SiteList): SitesByKey | undefined {
  return sites instanceof KeptSites ? sites.byKey : undefined
}

/** The site of this name: a look-up, in an array a search. */
export function siteNamed(sites: SiteList, name: string): Site | undefined {
  return sites instanceof KeptSites ? sites.byKey.get(name) : sites.find((site) => site.name === name)
}

/** Those that pass, the same list where all do; `made` is of this test alone. */
export function passing(sites: SiteList, test: (site: Site) => boolean, made: Made): SiteList {
  if (sites instanceof KeptSites) return listSites(mapped(sites.byKey, (site) => (test(site) ? site : undefined), made))
  return sites.every(test) ? sites : sites.filter(test)
}

/** What `make` makes of each, the same list where that is the same; `made` is of this `make` alone. */
export function mapSites(sites: SiteList, make: (site: Site) => Site, made: Made): SiteList {
  if (sites instanceof KeptSites) return listSites(mapped(sites.byKey, make, made))
  const others = sites.map(make)
  const before = sites[Symbol.iterator]()
  return others.every((other) => other === before.next().value) ? sites : others
}

/** Does one pass? `known` is of this test alone. */
export function anyPasses(
  sites: SiteList,
  test: (site: Site) => boolean,
  known: WeakMap<object, { readonly sum: boolean }>,
): boolean {
  if (!(sites instanceof KeptSites)) return sites.some(test)
  return summaryOf(sites.byKey, { of: test, join: (one, other) => one || other, none: false }, known)
}
