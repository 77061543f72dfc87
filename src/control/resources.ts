/** Resources of the platform, as the control plane keeps them: one record each, in the log of changes. */

import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { EdgeError } from '#/core/errors.ts'
import { alter } from '#/core/kept-map.ts'
import { type Resource, type ResourceKind, resourceKey, resourceKinds } from '#/core/resources.ts'
import type { ChangeNumber } from './fold.ts'
import type { Office } from './office.ts'
import { Refusal } from './refusal.ts'

const record = z.object({
  kind: z.enum(resourceKinds),
  id: z.string(),
  name: z.string(),
  createdAt: z.number(),
  modifiedAt: z.number(),
  settings: z.record(z.string(), z.unknown()),
  hint: z.exactOptional(z.string()),
  held: z.exactOptional(z.string()),
})

export interface HeldResource {
  readonly record: Resource
  /** Of the change that made it. */
  readonly revision: ChangeNumber
}

/** By `resourceKey`, in the order of their making. */
export type HeldResources = ReadonlyMap<string, HeldResource>

export interface ResourceChange {
  readonly kind: ResourceKind
  readonly id: string
  /** `undefined` removes it. */
  readonly record: Resource | undefined
}

export interface ResourceWish {
  readonly kind: ResourceKind
  readonly name: string
  /** Absent: a new UUID. */
  readonly id?: string
  readonly settings?: Resource['settings']
  readonly hint?: string
}

/** Throws an Error that says what does not fit. */
export function parseResource(value: unknown): Resource {
  const read = record.safeParse(value)
  if (!read.success) throw new Error(`A resource cannot be read: ${z.prettifyError(read.error).replaceAll('\n', ' ')}`)
  return read.data
}

export function applyToResources(
  held: HeldResources,
  changes: readonly ResourceChange[],
  revision: ChangeNumber,
): HeldResources {
  if (changes.length === 0) return held
  const next = alter(held)
  for (const { kind, id, record } of changes)
    if (record === undefined) next.delete(resourceKey(kind, id))
    else next.set(resourceKey(kind, id), { record, revision })
  return next.kept()
}

/** All of one kind. */
export function resourcesOf({ ledger }: Pick<Office, 'ledger'>, kind: ResourceKind): Resource[] {
  return [...ledger.state.resources.values()].filter((held) => held.record.kind === kind).map((held) => held.record)
}

/** Throws a `Refusal` (`name_taken`, `too_many`). */
export async function createResource(office: Office, wish: ResourceWish): Promise<Resource> {
  const { kind, name, id = randomUUID(), settings = {}, hint } = wish
  const now = office.clock()
  const made = { kind, id, name, createdAt: now, modifiedAt: now, settings, ...(hint !== undefined && { hint }) }
  await office.ledger.commit(({ resources }) => {
    refuseName(resources, made)
    const count = [...resources.values()].filter((held) => held.record.kind === kind).length
    if (count >= office.limits.resourcesPerKind)
      throw new Refusal('too_many', `${count} of kind ${kind} are as many as are allowed.`)
    return { resources: [{ kind, id, record: made }] }
  })
  return made
}

/** `change` sees what is committed by then. Throws what it throws, or a `Refusal` (`no_resource`, `name_taken`). */
export async function changeResource(
  office: Office,
  { kind, id }: Pick<Resource, 'kind' | 'id'>,
  change: (now: Resource) => Partial<Pick<Resource, 'name' | 'settings'>>,
): Promise<Resource> {
  let changed: Resource | undefined
  await office.ledger.commit(({ resources }) => {
    const known = resources.get(resourceKey(kind, id))?.record
    if (known === undefined) throw missing(kind, id)
    if (known.held !== undefined)
      throw new EdgeError('not_here', `The ${kind} '${known.name}' is known elsewhere only.`)
    const made = { ...known, ...change(known), modifiedAt: office.clock() }
    refuseName(resources, made)
    changed = made
    return { resources: [{ kind, id, record: made }] }
  })
  return changed!
}

/** What it held is removed by its home. Throws a `Refusal` (`no_resource`). */
export async function removeResource(office: Office, { kind, id }: Pick<Resource, 'kind' | 'id'>): Promise<void> {
  await office.ledger.commit(({ resources }) => {
    if (!resources.has(resourceKey(kind, id))) throw missing(kind, id)
    return { resources: [{ kind, id, record: undefined }] }
  })
}

function missing(kind: ResourceKind, id: string): Refusal {
  return new Refusal('no_resource', `There is no ${kind} ${id.slice(0, 80)}.`)
}

function refuseName(resources: HeldResources, { kind, id, name }: Resource): void {
  for (const { record } of resources.values())
    if (record.kind === kind && record.name === name && record.id !== id)
      throw new Refusal('name_taken', `There is a ${kind} named '${name.slice(0, 80)}' already.`)
}
