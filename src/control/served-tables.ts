/** What of a state is served: its sites and programs, where they may be, made out of what was served of the state before. */
import type { DomainCacheRules } from '#/core/cache-settings.ts'
import { alter, type Draft, differences, summaryOf } from '#/core/kept-map.ts'
import type { Within } from '#/core/pops.ts'
import type { Resource } from '#/core/resources.ts'
import { listSites } from '#/core/site-list.ts'
import type { Program, ProgramName, Site, Snapshot } from '#/core/snapshot.ts'
import { servedRules, withDomainRules } from './domain-rules.ts'
import type { State } from './fold.ts'
import { keyOf, placeProgram, placeResource, programWithin, siteWithin, storePlacement } from './placements.ts'
import { serviceNamed } from './services/held-services.ts'

/** What puts a site or a program into a Snapshot. */
interface Owner {
  readonly kind: 'programs' | 'sites' | 'services'
  /** Name or id. */
  readonly key: string
}

type Part = { readonly site: Site | undefined; readonly program?: Program | undefined }

/** What is served of a state. */
interface Served {
  readonly state: State
  readonly sites: ReadonlyMap<string, Site>
  readonly programs: ReadonlyMap<ProgramName, Program>
  /** By id of the store. */
  readonly stores: ReadonlyMap<string, Within>
  readonly resources: ReadonlyMap<string, Resource>
  readonly cacheRules: readonly DomainCacheRules[] | undefined
  /** Two have one name: such a Snapshot is refused, and its tables are nothing to go on with. */
  readonly isDoubled: boolean
}

const empty = { programs: new Map(), sites: new Map(), services: new Map() }
const nothing: Served = {
  state: { ...empty, domains: new Map(), placements: new Map(), resources: new Map() },
  ...{
    sites: new Map(),
    programs: new Map(),
    stores: new Map(),
    resources: new Map(),
    cacheRules: undefined,
    isDoubled: false,
  },
}

const latestErasure = {
  of: ({ record }: { readonly record: { readonly erasedAt?: number } }) => record.erasedAt ?? 0,
  join: (one: number, other: number) => Math.max(one, other),
  none: 0,
}

/**
 * What did not change is the same object as the time before. A change costs what it touches; one of the cache rules of a domain
 * costs a look at every site.
 */
export function createServedTables(): (state: State) => Omit<Snapshot, 'revision'> {
  let last = nothing
  const erasures = new WeakMap<object, { readonly sum: number }>()
  return (state) => {
    last = serve(last.isDoubled ? nothing : last, state)
    const { sites, programs, stores, resources, cacheRules } = last
    const { placements } = state
    const log = placements.get(keyOf({ kind: 'log', id: 'log' }))?.record.within
    const erased = summaryOf(placements, latestErasure, erasures)
    return {
      ...{ sites: listSites(sites), programs },
      ...(cacheRules !== undefined && { cacheRules }),
      ...(resources.size > 0 && { resources }),
      ...(placements.size > 0 && { placements: stores }),
      ...(log !== undefined && { logWithin: log }),
      ...(erased > 0 && { erased }),
    }
  }
}

function serve(before: Served, state: State): Served {
  const sameRules = state.domains === before.state.domains
  const cacheRules = sameRules ? before.cacheRules : servedRules(state.domains)
  const owners = [...(sameRules ? touched(before.state, state) : allOf(before.state, state)).values()]
  const sites = alter(before.sites)
  const programs = alter(before.programs)
  for (const owner of owners) {
    const { site, program } = partOf(before.state, owner)
    if (site !== undefined) sites.delete(site.name)
    if (program !== undefined) programs.delete(program.name)
  }
  let isDoubled = false
  for (const owner of owners) {
    const { site, program } = partOf(state, owner)
    if (program !== undefined) {
      isDoubled ||= programs.get(program.name) !== undefined
      programs.set(program.name, placeProgram(program, programWithin(state, program.name)))
    }
    if (site === undefined) continue
    const isTaken = sites.get(site.name) !== undefined
    isDoubled ||= isTaken
    const within = siteWithin(state, site)
    const ruled = owner.kind === 'sites' ? withDomainRules(site, cacheRules) : site
    sites.set(
      isTaken ? `${site.name} of ${owner.kind}` : site.name,
      within === undefined ? ruled : { ...ruled, within },
    )
  }
  const stores = placeStores(before, state)
  const resources = alter(before.resources)
  for (const { key, after } of differences(before.state.resources, state.resources))
    if (after === undefined) resources.delete(key)
    else resources.set(key, placeResource(state, after.record))
  return {
    state,
    sites: sites.kept(),
    programs: programs.kept(),
    stores,
    resources: resources.kept(),
    cacheRules,
    isDoubled,
  }
}

function partOf(state: State, { kind, key }: Owner): Part {
  return state[kind].get(key) ?? { site: undefined }
}

type Owners = ReadonlyMap<string, Owner>

const add = (owners: Map<string, Owner>, kind: Owner['kind'], key: string) =>
  owners.set(`${kind} ${key}`, { kind, key })

function touched(before: State, after: State): Owners {
  const owners = new Map<string, Owner>()
  for (const { key } of differences(before.programs, after.programs)) add(owners, 'programs', key)
  for (const { key } of differences(before.sites, after.sites)) add(owners, 'sites', key)
  for (const { key } of differences(before.services, after.services)) add(owners, 'services', key)
  for (const placement of differences(before.placements, after.placements)) {
    const { kind, id } = (placement.after ?? placement.before)!.record
    if (kind === 'service') add(owners, 'services', id)
    if (kind !== 'site' && kind !== 'program') continue
    add(owners, kind === 'site' ? 'sites' : 'programs', id)
    // The site of a service has a name, too.
    const service = serviceNamed(after.services, id)
    if (service !== undefined) add(owners, 'services', service)
  }
  return owners
}

/** In the order in which they stand in a list of sites that is made anew. */
function allOf(before: State, after: State): Owners {
  const owners = new Map<string, Owner>()
  for (const kind of ['programs', 'sites', 'services'] as const)
    for (const state of [before, after]) for (const key of state[kind].keys()) add(owners, kind, key)
  return owners
}

function placeStores(before: Served, { placements }: State): Served['stores'] {
  const stores: Draft<string, Within> = alter(before.stores)
  for (const { before: was, after: is } of differences(before.state.placements, placements)) {
    const gone = was && storePlacement(was.record)
    const come = is && storePlacement(is.record)
    if (gone !== undefined) stores.delete(gone.id)
    if (come !== undefined) stores.set(come.id, come.within)
  }
  return stores.kept()
}
