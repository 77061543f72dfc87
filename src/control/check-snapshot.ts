/** Is a Snapshot fit to be served? Asked before a change is committed, and again by each node before it adopts one. */
import type { Limits } from '#/core/limits.ts'
import type { Program, Site, Snapshot } from '#/core/snapshot.ts'
import { Refusal } from './refusal.ts'

/** Serialized, of what was measured before: what does not change is the same object. */
const measured = new WeakMap<Site | Program, number>()

function bytesOf(part: Site | Program): number {
  const known = measured.get(part) ?? Buffer.byteLength(JSON.stringify(part))
  measured.set(part, known)
  return known
}

/**
 * Throws a `Refusal` (`too_many`) for one that is too large, or where two sites have one name: a generated configuration may
 * be wrong though each change of it was right. What is larger already may shrink.
 */
export function checkSnapshot(
  snapshot: Snapshot,
  before: Snapshot | undefined,
  limits: Pick<Limits, 'snapshotSites' | 'snapshotBytes'>,
): void {
  const { sites, programs } = snapshot
  if (sites.length > limits.snapshotSites && sites.length > (before?.sites.length ?? 0))
    throw new Refusal('too_many', `${sites.length} sites are more than the ${limits.snapshotSites} allowed.`)
  const names = new Set<string>()
  for (const { name } of sites) {
    if (names.has(name)) throw new Refusal('too_many', `There would be two sites of the name '${name}'.`)
    names.add(name)
  }
  const bytes = weigh({ sites, programs })
  if (bytes > limits.snapshotBytes && (before === undefined || bytes > weigh(before)))
    throw new Refusal('too_many', `All configuration together has ${bytes} bytes, more than ${limits.snapshotBytes}.`)
}

function weigh({ sites, programs }: Pick<Snapshot, 'sites' | 'programs'>): number {
  let bytes = 0
  for (const site of sites) bytes += bytesOf(site)
  for (const program of programs.values()) bytes += bytesOf(program)
  return bytes
}
