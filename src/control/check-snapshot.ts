/** Is a Snapshot fit to be served? Asked before a change is committed, and again by each node before it adopts one. */
import { changedPrograms, changedSites } from '#/core/changed-sites.ts'
import type { Limits } from '#/core/limits.ts'
import { keysOf, type SiteList } from '#/core/site-list.ts'
import type { Program, Site, Snapshot } from '#/core/snapshot.ts'
import { Refusal } from './refusal.ts'

/** Serialized, of what was measured before: what does not change is the same object. */
const measured = new WeakMap<Site | Program, number>()

function bytesOf(part: Site | Program): number {
  const known = measured.get(part) ?? Buffer.byteLength(JSON.stringify(part))
  measured.set(part, known)
  return known
}

/** Bytes of all parts of a Snapshot that was found fit: the next one is compared with it. */
const fit = new WeakMap<Snapshot, number>()

/**
 * Throws a `Refusal` (`too_many`) for one that is too large, or where two sites have one name: a generated configuration may
 * be wrong though each change of it was right. What is larger already may shrink.
 */
export function checkSnapshot(
  snapshot: Snapshot,
  before: Snapshot | undefined,
  limits: Pick<Limits, 'snapshotSites' | 'snapshotBytes'>,
): void {
  const { sites } = snapshot
  if (sites.length > limits.snapshotSites && sites.length > (before?.sites.length ?? 0))
    throw new Refusal('too_many', `${sites.length} sites are more than the ${limits.snapshotSites} allowed.`)
  const bytesBefore = before && (fit.get(before) ?? weigh(before))
  const isKnown = before !== undefined && fit.has(before) && areNew(before.sites, sites)
  if (!isKnown) checkNames(sites)
  const bytes = isKnown ? bytesBefore! + weighChange(before, snapshot) : weigh(snapshot)
  if (bytes > limits.snapshotBytes && (bytesBefore === undefined || bytes > bytesBefore))
    throw new Refusal('too_many', `All configuration together has ${bytes} bytes, more than ${limits.snapshotBytes}.`)
  fit.set(snapshot, bytes)
}

/** No name was there twice before: is none of those that came there twice? */
function areNew(before: SiteList, after: SiteList): boolean {
  const { gone, come } = changedSites(before, after)
  const byKey = keysOf(after)
  if (byKey !== undefined) return come.every((site) => byKey.get(site.name) === site)
  const names = new Set(gone.map(({ name }) => name))
  return come.every(({ name }) => names.delete(name))
}

function checkNames(sites: SiteList): void {
  const names = new Set<string>()
  for (const { name } of sites) {
    if (names.has(name)) throw new Refusal('too_many', `There would be two sites of the name '${name}'.`)
    names.add(name)
  }
}

function weighChange(before: Snapshot, after: Snapshot): number {
  const sites = changedSites(before.sites, after.sites)
  const programs = changedPrograms(before.programs, after.programs)
  return weighAll(sites.come) + weighAll(programs.come) - weighAll(sites.gone) - weighAll(programs.gone)
}

function weigh({ sites, programs }: Snapshot): number {
  return weighAll(sites) + weighAll(programs.values())
}

function weighAll(parts: Iterable<Site | Program>): number {
  let bytes = 0
  for (const part of parts) bytes += bytesOf(part)
  return bytes
}
