/** What every operation of the control plane works with, and the steps that several of them share. */
import { randomBytes, randomUUID } from 'node:crypto'
import type { Limits } from '#/core/limits.ts'
import type { Place } from '#/core/pops.ts'
import type { Engine, Fabric, Seal } from '#/core/ports.ts'
import { resourceKey } from '#/core/resources.ts'
import type { Binding, ObjectNamespace, ProgramName } from '#/core/snapshot.ts'
import type { Clock } from '#/core/units.ts'
import { checkTargets } from './bindings.ts'
import type { Held } from './fold.ts'
import type { Ledger } from './ledger-port.ts'
import type { ObjectWorld } from './object-classes.ts'
import { isVersionIn } from './place-versions.ts'
import { programWithin } from './placements.ts'
import { type ProgramRecord, type RolloutRecord, toDeployment, type VersionRecord } from './records.ts'
import { Refusal } from './refusal.ts'
import { hasProgram } from './services/held-services.ts'
import type { Pins } from './sweep-blobs.ts'

export interface Office {
  readonly ledger: Ledger
  readonly fabric: Fabric
  readonly seal: Seal
  readonly engine: Pick<Engine, 'prove' | 'forget'>
  readonly limits: Limits
  readonly clock: Clock
  readonly pins: Pins
  /** Domain below which programs have names of their own, e.g. `localhost`. */
  readonly hostnameSuffix: string
  readonly hasStore: (store: string) => Promise<boolean>
  readonly hasSecret: (store: string, secret: string) => boolean
  /** All nodes of the platform, reachable or not. */
  readonly places: () => readonly Place[]
}

/** Throws a `Refusal` (`no_program`). */
export function heldProgram({ ledger }: Pick<Office, 'ledger'>, name: ProgramName): Held {
  const held = ledger.state.programs.get(name)
  if (held === undefined) throw new Refusal('no_program', `There is no program '${name.slice(0, 80)}'.`)
  return held
}

/** Throws a `Refusal` (`no_version`, `nothing_uploaded`). */
export async function heldVersion(office: Office, record: ProgramRecord, id?: string): Promise<VersionRecord> {
  const wanted = id ?? record.versions[0]
  if (wanted === undefined) throw new Refusal('nothing_uploaded', `Nothing was uploaded to '${record.name}' yet.`)
  const found = record.versions.includes(wanted) ? await office.ledger.version(record.name, wanted) : undefined
  if (found === undefined) throw new Refusal('no_version', `'${record.name}' has no version '${wanted.slice(0, 80)}'.`)
  return found
}

export function newProgram(office: Office, name: ProgramName): ProgramRecord {
  const now = office.clock()
  return {
    name,
    id: randomUUID().replaceAll('-', ''),
    createdAt: now,
    modifiedAt: now,
    nextNumber: 1,
    versions: [],
    rollouts: [],
    objects: [],
    local: false,
    routes: [],
    hostnames: [],
    tags: [],
  }
}

export function objectWorld(office: Office, record: ProgramRecord): ObjectWorld {
  return {
    objects: record.objects,
    tag: record.migrationTag,
    newKey: () => randomBytes(32).toString('hex'),
    objectsOf: (program) => office.ledger.state.programs.get(program)?.record.objects,
  }
}

/** Does what a version is bound to exist, with the classes that the program will have? Throws a `Refusal`. */
export function checkBound(
  office: Office,
  program: ProgramName,
  version: Pick<VersionRecord, 'bindings' | 'assets'>,
  objects: readonly ObjectNamespace[],
): Promise<void> {
  return checkTargets(version.bindings as readonly Binding[], {
    program,
    objects,
    objectsOf: (other) => office.ledger.state.programs.get(other)?.record.objects,
    isCompute: (other) => hasProgram(office.ledger.state.services, other),
    hasStore: office.hasStore,
    hasSecret: office.hasSecret,
    hasResource: ({ kind, id }) => office.ledger.state.resources.has(resourceKey(kind, id)),
    hasAssets: version.assets !== undefined,
  })
}

/**
 * Starts the version away from traffic; returns it with what it exports, which must include every class of `objects`.
 * `before` are the classes that the program has now. Throws a `Refusal` (`does_not_start`, `class_abandoned`, `class_not_exported`).
 */
export async function proveVersion(
  office: Office,
  draft: VersionRecord,
  objects: readonly ObjectNamespace[],
  before: readonly ObjectNamespace[] = objects,
): Promise<VersionRecord> {
  const proven = await startOnce(office, draft, objects)
  if (proven.ok) {
    checkExported(proven.version, objects, before)
    return proven.version
  }
  if (objects.length > 0) await blameMissingClass(office, draft, objects, before)
  throw new Refusal('does_not_start', proven.message)
}

type Started = { readonly ok: true; readonly version: VersionRecord } | { readonly ok: false; readonly message: string }

async function startOnce(office: Office, draft: VersionRecord, objects: readonly ObjectNamespace[]): Promise<Started> {
  if (draft.code === undefined) return { ok: true, version: { ...draft, exports: [], startupMs: 0 } }
  const proof = await office.engine.prove({ name: draft.program, objects }, toDeployment(draft))
  if (!proof.ok) return { ok: false, message: describeFailure(proof) }
  const exports = proof.exports.map(({ name, kind, handlers }) => ({ name, kind, handlers: [...handlers] }))
  return { ok: true, version: { ...draft, exports, startupMs: proof.startupMs } }
}

/** An engine may not start objects whose class is missing: what starts without them tells which one that is. */
async function blameMissingClass(
  office: Office,
  draft: VersionRecord,
  objects: readonly ObjectNamespace[],
  before: readonly ObjectNamespace[],
): Promise<void> {
  const bare = { ...draft, bindings: draft.bindings.filter((binding) => binding.kind !== 'objects') }
  const started = await startOnce(office, bare, [])
  if (started.ok) checkExported(started.version, objects, before)
}

/** The runtime's sentence; the place `at MODULE:LINE:COLUMN` is added where the sentence does not hold it. */
function describeFailure(proof: { message: string; module?: string; line?: number; column?: number }): string {
  if (proof.module === undefined || proof.line === undefined) return proof.message
  const place = `${proof.module}:${proof.line}:${proof.column ?? 1}`
  return proof.message.includes(place) ? proof.message : `${proof.message}\n    at ${place}\n`
}

/** A class with stored data must be there in every version that serves. Throws a `Refusal`. */
export function checkExported(
  version: VersionRecord,
  objects: readonly ObjectNamespace[],
  before: readonly ObjectNamespace[],
): void {
  const exported = new Set(version.exports.filter((one) => one.kind !== 'handlers').map((one) => one.name))
  for (const { className, key } of objects) {
    if (exported.has(className)) continue
    if (before.some((object) => object.key === key && object.className === className))
      throw new Refusal(
        'class_abandoned',
        `New version of script does not export class '${className}' which is depended on by existing Durable Objects. If you want to delete the class's Durable Objects, see https://developers.cloudflare.com/durable-objects/reference/durable-objects-migrations/.`,
      )
    throw new Refusal(
      'class_not_exported',
      `Cannot apply new-class migration to class '${className}' that is not exported by script`,
    )
  }
}

export function newRollout(office: Office, source: string, parts: RolloutRecord['parts'], message?: string) {
  const made = { id: randomUUID(), createdAt: office.clock(), source, parts }
  return message === undefined ? made : { ...made, message }
}

/** The record with a version on top; versions beyond the cap fall off unless they serve. */
export function withVersion(office: Office, record: ProgramRecord, version: VersionRecord): ProgramRecord {
  const serving = new Set(record.rollouts[0]?.parts.map((part) => part.version))
  const versions = [version.id, ...record.versions].filter(
    (id, index) => index < office.limits.versionsPerProgram || serving.has(id),
  )
  return { ...record, versions, nextNumber: version.number + 1, modifiedAt: office.clock() }
}

export function withRollout(office: Office, record: ProgramRecord, rollout: RolloutRecord): ProgramRecord {
  const rollouts = [rollout, ...record.rollouts].slice(0, office.limits.rolloutsPerProgram)
  return { ...record, rollouts, modifiedAt: office.clock() }
}

/**
 * Writes a version and has the program's new record adopted and written. When anything fails the version is gone again and
 * the record before stands. Versions that fell off are removed afterwards.
 */
export async function settle(
  office: Office,
  version: VersionRecord | undefined,
  record: ProgramRecord,
  others: readonly ProgramRecord[] = [],
): Promise<void> {
  const { ledger } = office
  const before = ledger.state.programs.get(record.name)
  if (version !== undefined) await ledger.addVersion(version)
  try {
    const serving = new Map<string, VersionRecord>()
    for (const { version: id } of record.rollouts[0]?.parts ?? [])
      serving.set(
        id,
        id === version?.id ? version : (before?.serving.get(id) ?? (await heldVersion(office, record, id))),
      )
    await ledger.commit((state) => {
      if (before === undefined && state.programs.size >= office.limits.programs)
        throw new Refusal('too_many', `This platform holds ${office.limits.programs} programs, which is its limit.`)
      if (version !== undefined && !isVersionIn(version, programWithin(state, record.name)))
        throw new Refusal('conflict', `Where '${record.name}' may be was changed meanwhile. Try again.`)
      const changed = { name: record.name, record, serving }
      return { programs: [changed, ...others.map((other) => ({ name: other.name, record: other }))] }
    })
  } catch (error) {
    if (version !== undefined) await ledger.dropVersions(record.name, [version.id])
    throw error
  }
  const dropped = before?.record.versions.filter((id) => !record.versions.includes(id)) ?? []
  await ledger.dropVersions(record.name, dropped).catch(() => {})
}
