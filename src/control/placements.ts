/** Where things may be: records of the countries that hold sites, programs and stores, and the Snapshot that follows them. */

import { z } from 'zod'
import { boundStore } from '#/core/bound-stores.ts'
import type { Within } from '#/core/pops.ts'
import { queueSettingsOf } from '#/core/queues.ts'
import { describeWithin, isInside } from '#/core/residency.ts'
import type { Program, Site, Snapshot } from '#/core/snapshot.ts'
import { alter } from './kept-map.ts'
import { Refusal } from './refusal.ts'
import { type HeldServices, siteNameOf } from './services/held-services.ts'

/** `log`: lines of exchanges; there is one, called `log`. */
export const placedKinds = [
  'site',
  'program',
  'service',
  'kv',
  'config',
  'secret',
  'access-list',
  'sql',
  'bucket',
  'queue',
  'workflow',
  'dataset',
  'log',
] as const
export type PlacedKind = (typeof placedKinds)[number]

/** Sites and programs by name, the others by id. */
export interface Placed {
  readonly kind: PlacedKind
  readonly id: string
}

const record = z.object({
  kind: z.enum(placedKinds),
  id: z.string(),
  within: z.array(z.string()),
  modifiedAt: z.number(),
  erasedAt: z.exactOptional(z.number()),
})

export interface PlacementRecord extends Placed {
  readonly within: Within
  readonly modifiedAt: number
  /** Of programs and services: what they had elsewhere was removed then from what nodes share; 0: there was nothing. */
  readonly erasedAt?: number
}

export interface HeldPlacement {
  readonly record: PlacementRecord
  /** Of the change that made it. */
  readonly revision: number
}

/** By `keyOf`. */
export type HeldPlacements = ReadonlyMap<string, HeldPlacement>

export interface PlacementChange extends Placed {
  /** `undefined` removes it: anywhere. */
  readonly record: PlacementRecord | undefined
}

export const keyOf = ({ kind, id }: Placed): string => `${kind}/${id}`

/** Throws an Error that says what does not fit. */
export function parsePlacement(value: unknown): PlacementRecord {
  const read = record.safeParse(value)
  if (!read.success) throw new Error(`A placement cannot be read: ${z.prettifyError(read.error).replaceAll('\n', ' ')}`)
  return read.data
}

export function applyToPlacements(
  held: HeldPlacements,
  changes: readonly PlacementChange[],
  revision: number,
): HeldPlacements {
  if (changes.length === 0) return held
  const next = alter(held)
  for (const change of changes)
    if (change.record === undefined) next.delete(keyOf(change))
    else next.set(keyOf(change), { record: change.record, revision })
  return next.kept()
}

type WithPlacements = (snapshot: Snapshot, held: HeldPlacements, services: HeldServices) => Snapshot

/**
 * Makes Snapshots with `within` on all that is placed: the same one where nothing is, and the same objects in it as long
 * as neither they nor their placements change.
 */
export function createPlaced(): WithPlacements {
  const made = new WeakMap<object, { readonly within: Within; readonly placed: object }>()
  function keep<Part extends object>(part: Part, within: Within | undefined, place: (within: Within) => Part): Part {
    if (within === undefined) return part
    const known = made.get(part)
    if (known?.within === within) return known.placed as Part
    const placed = place(within)
    made.set(part, { within, placed })
    return placed
  }
  return (snapshot, held, services) => {
    if (held.size === 0) return snapshot
    const { sites, programs, stores, log, erased } = sortOut(held, services)
    const placedPrograms = [...snapshot.programs].map(([name, program]): [string, Program] => [
      name,
      keep(program, programs.get(name), (within) => placeProgram(program, within)),
    ])
    return {
      ...snapshot,
      sites: snapshot.sites.map((site) =>
        keep(site, withinOf(site, sites, programs), (within) => ({ ...site, within })),
      ),
      programs: new Map(placedPrograms),
      placements: stores,
      ...(log !== undefined && { logWithin: log }),
      ...(erased > 0 && { erased }),
    }
  }
}

type Table = ReadonlyMap<string, Within>

function sortOut(held: HeldPlacements, services: HeldServices) {
  const tables = {
    sites: new Map<string, Within>(),
    programs: new Map<string, Within>(),
    stores: new Map<string, Within>(),
  }
  let log: Within | undefined
  let erased = 0
  for (const { record } of held.values()) {
    const { kind, id, within, erasedAt = 0 } = record
    erased = Math.max(erased, erasedAt)
    if (kind === 'site') tables.sites.set(id, within)
    else if (kind === 'program') tables.programs.set(id, within)
    else if (kind === 'log') log = within
    else if (kind !== 'service') tables.stores.set(id, within)
    else {
      const { site, program } = services.get(id) ?? {}
      if (site !== undefined) tables.sites.set(site.name, within)
      if (program !== undefined) tables.programs.set(program.name, within)
    }
  }
  return { ...tables, log, erased }
}

/** The site of a program is answered where the program may run. */
function withinOf({ name, target }: Site, sites: Table, programs: Table): Within | undefined {
  return target.kind === 'program' ? programs.get(target.program) : sites.get(name)
}

function placeProgram(program: Program, within: Within): Program {
  return { ...program, within, objects: program.objects.map((object) => ({ ...object, within })) }
}

/** Countries of a program by its name: its own placement, or that of the service whose versions it is. */
export function programWithin(
  { placements, services }: { readonly placements: HeldPlacements; readonly services: HeldServices },
  name: string,
): Within | undefined {
  const own = placements.get(keyOf({ kind: 'program', id: name }))
  if (own !== undefined) return own.record.within
  for (const [id, { record }] of services)
    if (siteNameOf(record.name) === name) return placements.get(keyOf({ kind: 'service', id }))?.record.within
  return undefined
}

/** A program that could carry out of its countries what it is bound to. */
export interface Misplaced {
  readonly program: string
  readonly binding: string
  readonly target: string
  readonly within: Within
}

/** Objects are not among them: they are asked where they live, wherever their callers are. */
export function findMisplaced(snapshot: Snapshot): Misplaced | undefined {
  const { placements, programs } = snapshot
  if (placements === undefined) return undefined
  for (const { name, within, rollout } of programs.values())
    for (const { deployment } of rollout) {
      const bound = [
        ...deployment.bindings.flatMap((one) => {
          const store = boundStore(one)
          if (store !== undefined) return [{ binding: one.name, target: `store '${store}'`, to: placements.get(store) }]
          if (one.kind !== 'program') return []
          return [{ binding: one.name, target: `program '${one.program}'`, to: programs.get(one.program)?.within }]
        }),
        ...(deployment.compute?.stores ?? []).map((one) => ({
          binding: one.name,
          target: `store '${one.store}'`,
          to: placements.get(one.store),
        })),
      ]
      for (const { binding, target, to } of bound)
        if (to !== undefined && !isInside(within, to)) return { program: name, binding, target, within: to }
    }
  return findMisplacedConsumer(snapshot)
}

/** What a program is told of a queue it could carry away, too. */
function findMisplacedConsumer({ placements, resources, programs }: Snapshot): Misplaced | undefined {
  for (const queue of resources?.values() ?? []) {
    const to = queue.kind === 'queue' ? placements?.get(queue.id) : undefined
    if (to === undefined) continue
    const { consumer } = queueSettingsOf(queue)
    if (consumer?.type !== 'worker' || isInside(programs.get(consumer.program)?.within, to)) continue
    return { program: consumer.program, binding: 'queue()', target: `queue '${queue.name}'`, within: to }
  }
  return undefined
}

/** Throws a `Refusal` (`misplaced`) that says what to do. */
export function checkPlaced(snapshot: Snapshot): void {
  const found = findMisplaced(snapshot)
  if (found === undefined) return
  const countries = describeWithin(found.within)
  const own = snapshot.programs.get(found.program)?.within
  const where = own === undefined ? 'anywhere' : `in ${describeWithin(own)}`
  throw new Refusal(
    'misplaced',
    `Program '${found.program}' may run ${where}, but its binding '${found.binding}' is to the ${found.target}, which stays in ${countries}. Run "rimward residency program:${found.program} ${countries}" first, or take the binding away.`,
  )
}
