/** Where things may be: records of the countries that hold sites, programs and stores, and the Snapshot that follows them. */

import { z } from 'zod'
import { boundStore } from '#/core/bound-stores.ts'
import { bucketSettingsOf } from '#/core/bucket-settings.ts'
import { changedPrograms } from '#/core/changed-sites.ts'
import { alter } from '#/core/kept-map.ts'
import type { Within } from '#/core/pops.ts'
import { queueSettingsOf } from '#/core/queues.ts'
import { describeWithin, isInside } from '#/core/residency.ts'
import { isSecretKind, type Resource, resourceOf } from '#/core/resources.ts'
import type { Program, Site, Snapshot } from '#/core/snapshot.ts'
import { Refusal } from './refusal.ts'
import { type HeldServices, serviceNamed } from './services/held-services.ts'

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
  'server',
  'certificate',
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

/** Names a placement among all of them. */
export const keyOf = ({ kind, id }: Placed): string => `${kind}/${id}`

/** Throws an Error that says what does not fit. */
export function parsePlacement(value: unknown): PlacementRecord {
  const read = record.safeParse(value)
  if (!read.success) throw new Error(`A placement cannot be read: ${z.prettifyError(read.error).replaceAll('\n', ' ')}`)
  return read.data
}

/** As they are after these changes; the same map where there is none. */
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

/** The same program where it may run anywhere. */
export function placeProgram(program: Program, within: Within | undefined): Program {
  if (within === undefined) return program
  return { ...program, within, objects: program.objects.map((object) => ({ ...object, within })) }
}

/** The same resource where every node may have its settings. */
export function placeResource({ placements }: Pick<Places, 'placements'>, resource: Resource): Resource {
  const { kind, id } = resource
  const within = isSecretKind(kind) ? placements.get(keyOf({ kind, id }))?.record.within : undefined
  return within === undefined ? resource : { ...resource, within }
}

/** Of what programs keep; undefined for all else that is placed. */
export function storePlacement({ kind, id, within }: PlacementRecord): { id: string; within: Within } | undefined {
  const isStore = kind !== 'site' && kind !== 'program' && kind !== 'service' && kind !== 'log'
  return isStore ? { id, within } : undefined
}

type Places = { readonly placements: HeldPlacements; readonly services: HeldServices }

/** The site of a program is answered where the program may run. */
export function siteWithin(state: Places, { name, target }: Site): Within | undefined {
  return target.kind === 'program' ? programWithin(state, target.program) : placedByName(state, 'site', name)
}

/** Countries of a program by its name: its own placement, or that of the service whose versions it is. */
export function programWithin(state: Places, name: string): Within | undefined {
  return placedByName(state, 'program', name)
}

function placedByName({ placements, services }: Places, kind: PlacedKind, name: string): Within | undefined {
  // Most platforms keep nothing anywhere.
  if (placements.size === 0) return undefined
  const own = placements.get(keyOf({ kind, id: name }))
  if (own !== undefined) return own.record.within
  const id = serviceNamed(services, name)
  return id === undefined ? undefined : placements.get(keyOf({ kind: 'service', id }))?.record.within
}

/** A program or queue that could carry something out of its countries. */
export interface Misplaced {
  readonly kind: 'program' | 'queue'
  readonly name: string
  /** Undefined: anywhere. */
  readonly own: Within | undefined
  /** Why it gets what it could carry out: `its binding 'STORE' is to the`. */
  readonly why: string
  readonly target: string
  readonly within: Within
}

/**
 * Objects are not among them: they are asked where they live, wherever their callers are. `before`: a Snapshot in which nothing
 * was misplaced; only what may be otherwise now is looked at.
 */
export function findMisplaced(snapshot: Snapshot, before?: Snapshot): Misplaced | undefined {
  if (snapshot.placements === undefined) return undefined
  const changed = before === undefined ? undefined : changedPrograms(before.programs, snapshot.programs)
  const withinBefore = new Map(changed?.gone.map(({ name, within }) => [name, within]))
  const isMoved = ({ name, within }: Program) => !isSame(within, withinBefore.get(name))
  const isOld = changed !== undefined && before!.placements === snapshot.placements && !changed.come.some(isMoved)
  for (const program of isOld ? changed.come : snapshot.programs.values()) {
    const found = findBoundElsewhere(program, snapshot)
    if (found !== undefined) return found
  }
  if (isOld && before!.resources === snapshot.resources) return undefined
  return findMisplacedConsumer(snapshot) ?? findMisplacedNotice(snapshot)
}

const isSame = (one: Within | undefined, other: Within | undefined) => describeWithin(one) === describeWithin(other)

function findBoundElsewhere(
  { name, within, rollout }: Program,
  { placements, programs }: Snapshot,
): Misplaced | undefined {
  for (const { deployment } of rollout) {
    const bound = [
      ...deployment.bindings.flatMap((one) => {
        const store = boundStore(one)
        if (store !== undefined) return [{ binding: one.name, target: `store '${store}'`, to: placements?.get(store) }]
        if (one.kind !== 'program') return []
        return [{ binding: one.name, target: `program '${one.program}'`, to: programs.get(one.program)?.within }]
      }),
      ...(deployment.compute?.stores ?? []).map((one) => ({
        binding: one.name,
        target: `store '${one.store}'`,
        to: placements?.get(one.store),
      })),
    ]
    for (const { binding, target, to } of bound)
      if (to !== undefined && !isInside(within, to))
        return { kind: 'program', name, own: within, why: `its binding '${binding}' is to the`, target, within: to }
  }
  return undefined
}

/** What a program is told of a queue it could carry away, too. */
function findMisplacedConsumer({ placements, resources, programs }: Snapshot): Misplaced | undefined {
  for (const queue of resources?.values() ?? []) {
    const to = queue.kind === 'queue' ? placements?.get(queue.id) : undefined
    if (to === undefined) continue
    const { consumer } = queueSettingsOf(queue)
    if (consumer?.type !== 'worker' || isInside(programs.get(consumer.program)?.within, to)) continue
    const name = consumer.program
    const own = programs.get(name)?.within
    return {
      kind: 'program',
      name,
      own,
      why: `its queue() is told by the`,
      target: `queue '${queue.name}'`,
      within: to,
    }
  }
  return undefined
}

/** So could a queue what it is told of a bucket: names, sizes and digests of objects. */
function findMisplacedNotice(snapshot: Snapshot): Misplaced | undefined {
  const { placements, resources } = snapshot
  for (const bucket of resources?.values() ?? []) {
    const to = bucket.kind === 'bucket' ? placements?.get(bucket.id) : undefined
    if (to === undefined) continue
    for (const { queue } of bucketSettingsOf(bucket).notices) {
      const told = resourceOf(snapshot, 'queue', queue)
      const own = placements?.get(queue)
      if (told === undefined || isInside(own, to)) continue
      const target = `bucket '${bucket.name}'`
      return { kind: 'queue', name: told.name, own, why: 'it is told of changes in the', target, within: to }
    }
  }
  return undefined
}

/** Throws a `Refusal` (`misplaced`) that says what to do. */
export function checkPlaced(snapshot: Snapshot, before: Snapshot): void {
  const found = findMisplaced(snapshot, before)
  if (found === undefined) return
  const { kind, name, own, why, target, within } = found
  const countries = describeWithin(within)
  const [what, does] = kind === 'program' ? ['Program', 'run'] : ['Queue', 'be']
  const where = own === undefined ? 'anywhere' : `in ${describeWithin(own)}`
  throw new Refusal(
    'misplaced',
    `${what} '${name}' may ${does} ${where}, but ${why} ${target}, which stays in ${countries}. Run "rimward residency ${kind}:${name} ${countries}" first, or take ${kind === 'program' ? 'the binding' : 'the rule'} away.`,
  )
}
