/**
 * Says where something may be. Of programs and services that are there, code and values are taken along first; what is
 * left of them where they were is removed, and every node is told to rewrite what its disk had of it.
 */
import { EdgeError } from '#/core/errors.ts'
import { allows, type CountryCode, type NodeId, type Within } from '#/core/pops.ts'
import { describeWithin, sameWithin } from '#/core/residency.ts'
import {
  isSecretKind,
  type Resource,
  type ResourceKind,
  resourceKey,
  resourceKinds,
  type SecretKind,
} from '#/core/resources.ts'
import type { BlobHash } from '#/core/snapshot.ts'
import type { Change, State } from './fold.ts'
import type { Office } from './office.ts'
import { blobsOfVersion, placeBlob, placeVersion } from './place-versions.ts'
import { type HeldPlacement, keyOf, type Placed, type PlacementChange, type PlacementRecord } from './placements.ts'
import type { VersionRecord } from './records.ts'
import { Refusal } from './refusal.ts'
import type { ServicePart, ServiceRecord } from './services/service-records.ts'
import { createServiceVersions } from './services/service-versions.ts'

export interface PlacementOffice extends Office {
  /** Removes those of these blobs that nothing names any more. */
  readonly forgetBlobs: (names: readonly BlobHash[]) => Promise<void>
  /** Has keys of certificates moved to where sites are now; returns how many moved. */
  readonly moveKeys: () => Promise<number>
  /** Where objects of a namespace live, or the one with this id. */
  readonly homesOf: (key: string, id?: string) => Promise<readonly ObjectHome[]>
}

/** Objects that live at one node. */
export interface ObjectHome {
  readonly node: NodeId
  readonly country: CountryCode
  readonly objects: number
}

/** What moves with a setting. */
interface Luggage {
  /** What the change says besides the placement. */
  readonly change: (state: State) => Omit<Change, 'placements'>
  /** Blobs that were named before. */
  readonly left: readonly BlobHash[]
  /** Records that the change does not hold. */
  write(): Promise<void>
}

/** Undefined: anywhere. Throws a `Refusal` (`misplaced`, `too_many`). */
export async function setPlacement(office: PlacementOffice, placed: Placed, within: Within | undefined): Promise<void> {
  const { kind, id } = placed
  if (kind === 'program') return office.ledger.exclusively([id], () => place(office, placed, within, packProgram))
  if (kind === 'service')
    return office.ledger.exclusively([`service ${id}`], () => place(office, placed, within, packService))
  if (kind === 'site') return office.ledger.exclusively([id], () => place(office, placed, within, packSite))
  if (isSecretKind(kind)) return place(office, placed, within, packResource(kind))
  if (isHomed(kind)) checkHome(office, { kind, id }, await office.homesOf(`store-${kind}`, id), within)
  await office.ledger.commit(({ placements }) => placementChange(office, placements.get(keyOf(placed)), placed, within))
}

const isHomed = (kind: Placed['kind']): kind is ResourceKind & Placed['kind'] =>
  (resourceKinds as readonly string[]).includes(kind)

/** Like objects, a store stays with the node that it lives on. */
function checkHome(
  { ledger }: Office,
  { kind, id }: Pick<Resource, 'kind' | 'id'>,
  homes: readonly ObjectHome[],
  within: Within | undefined,
): void {
  const outside = homes.find(({ country }) => !allows(within, country))
  if (outside === undefined) return
  const name = ledger.state.resources.get(resourceKey(kind, id))?.record.name ?? id
  throw new Refusal(
    'misplaced',
    `The ${kind} '${name}' lives at ${outside.node} (${outside.country}), outside of ${describeWithin(within)}, and cannot move. Name that country too, or make another one that stays there from the start.`,
  )
}

/** Moves on with what a process that ended early left unfinished, and with settings from before code moved. Never rejects. */
export async function finishPlacements(
  office: PlacementOffice,
  log: (message: string, error: unknown) => void,
): Promise<void> {
  for (const { record } of office.ledger.state.placements.values()) {
    const { kind, id, within, erasedAt } = record
    const isWhole = kind === 'program' ? erasedAt !== undefined : (erasedAt ?? 0) > 0
    const { sites, services, resources } = office.ledger.state
    const isThere =
      kind === 'program' ||
      (kind === 'site' && sites.has(id)) ||
      (kind === 'service' && services.has(id)) ||
      (isSecretKind(kind) && resources.has(resourceKey(kind, id)))
    if (isWhole || !isThere) continue
    await setPlacement(office, { kind, id }, within).catch((error) =>
      log(`what belongs to '${id}' is not all where it stays`, error),
    )
  }
}

type Pack = (office: PlacementOffice, id: string, within: Within | undefined) => Promise<Luggage | undefined>

async function place(office: PlacementOffice, placed: Placed, within: Within | undefined, pack: Pack): Promise<void> {
  const luggage = await pack(office, placed.id, within).catch((error) => {
    throw refusalFor(placed, within, error)
  })
  const before = office.ledger.state.placements.get(keyOf(placed))
  const erasedAt = luggage === undefined ? (before?.record.erasedAt ?? 0) : undefined
  await office.ledger.commit((state) => ({
    ...luggage?.change(state),
    ...placementChange(office, state.placements.get(keyOf(placed)), placed, within, erasedAt),
  }))
  if (luggage !== undefined) {
    await luggage.write()
    await office.ledger.forgetChanges()
    await office.forgetBlobs(luggage.left)
  }
  if ((await office.moveKeys()) === 0 && luggage === undefined) return
  await office.ledger.commit(({ placements }) => {
    const held = placements.get(keyOf(placed))
    if (held === undefined || !sameWithin(held.record.within, within)) return {}
    return { placements: [{ ...placed, record: { ...held.record, erasedAt: office.clock() } }] }
  })
}

/** Something was removed that did not move with a setting: every node is told to rewrite what its disk had of it. */
export async function noteErased({ ledger, clock }: Office): Promise<void> {
  await ledger.commit(({ placements }) => {
    const [held] = placements.values()
    if (held === undefined) return {}
    const { kind, id } = held.record
    return { placements: [{ kind, id, record: { ...held.record, erasedAt: clock() } }] }
  })
}

function placementChange(
  { limits, clock, ledger }: Office,
  known: HeldPlacement | undefined,
  placed: Placed,
  within: Within | undefined,
  erasedAt?: number,
): { readonly placements?: readonly PlacementChange[] } {
  if (within === undefined) return known === undefined ? {} : { placements: [{ ...placed, record: undefined }] }
  const { size } = ledger.state.placements
  if (known === undefined && size >= limits.placements)
    throw new Refusal('too_many', `${size} placements are as many as are allowed.`)
  const record: PlacementRecord = {
    ...{ ...placed, within, modifiedAt: clock() },
    ...(erasedAt !== undefined && { erasedAt }),
  }
  return { placements: [{ ...placed, record }] }
}

function refusalFor({ id }: Placed, within: Within | undefined, error: unknown): unknown {
  if (!(error instanceof EdgeError) || error.code !== 'not_here') return error
  return new Refusal(
    'misplaced',
    `'${id}' has code or secrets that have to move to ${describeWithin(within)}, which no node of this process may take from where it is. Make this change at the API of a node that is in both, or go by way of countries that have one of each.`,
  )
}

/** Undefined where nothing has to move. */
async function packProgram(
  office: PlacementOffice,
  name: string,
  within: Within | undefined,
): Promise<Luggage | undefined> {
  const { ledger } = office
  const held = ledger.state.programs.get(name)
  if (held === undefined) return undefined
  for (const object of held.record.objects) checkHomes(name, object.className, await office.homesOf(object.key), within)
  for (const { record } of ledger.state.resources.values())
    if (record.kind === 'workflow' && record.settings.program === name)
      checkHome(office, record, await office.homesOf('store-workflow', record.id), within)
  if (held.record.versions.length === 0) return undefined
  const moved = new Map<string, VersionRecord>()
  const left: BlobHash[] = []
  for (const id of held.record.versions) {
    const version = await ledger.version(name, id)
    if (version === undefined) continue
    const next = await placeVersion(office, version, within)
    if (next === version) continue
    moved.set(id, next)
    left.push(...blobsOfVersion(version), ...(await filesOf(office, version)))
  }
  // Also where a process ended after its commit.
  if (
    moved.size === 0 &&
    ledger.state.placements.get(keyOf({ kind: 'program', id: name }))?.record.erasedAt !== undefined
  )
    return undefined
  const serving = new Map([...held.serving].map(([id, version]) => [id, moved.get(id) ?? version]))
  return {
    change: () => ({ programs: [{ name, record: held.record, serving }] }),
    left,
    async write() {
      for (const version of moved.values()) await ledger.replaceVersion(version)
    },
  }
}

/** Their storage lies with the node that they live on, and stays. */
function checkHomes(name: string, className: string, homes: readonly ObjectHome[], within: Within | undefined): void {
  const outside = homes.filter(({ country }) => !allows(within, country))
  if (outside.length === 0) return
  const where = outside.map(({ node, country, objects }) => `${objects} at ${node} (${country})`).join(', ')
  throw new Refusal(
    'misplaced',
    `Durable Objects of class '${className}' of '${name}' live outside of ${describeWithin(within)} and cannot move: ${where}. Name their countries too, or delete the class first.`,
  )
}

async function filesOf({ fabric }: Office, { assets }: VersionRecord): Promise<BlobHash[]> {
  const manifest = assets && (await fabric.blobs.get(assets.manifest))
  if (manifest === undefined) return []
  const files = JSON.parse(Buffer.from(manifest).toString('utf8')) as Record<string, { readonly blob: BlobHash }>
  return Object.values(files).map(({ blob }) => blob)
}

/** Where it may be, and where it was: all of its record is written anew, in blobs where it stays in countries. */
function hasMoved(office: PlacementOffice, placed: Placed, within: Within | undefined): boolean {
  const before = office.ledger.state.placements.get(keyOf(placed))?.record
  return !sameWithin(before?.within, within) || (before !== undefined && !before.erasedAt)
}

async function packSite(
  office: PlacementOffice,
  name: string,
  within: Within | undefined,
): Promise<Luggage | undefined> {
  const held = office.ledger.state.sites.get(name)
  if (held === undefined || !hasMoved(office, { kind: 'site', id: name }, within)) return undefined
  checkWhole([held])
  const left = await office.ledger.blobsOfRecords('site', name)
  return { change: () => ({ sites: [{ name, record: held.record }] }), left, async write() {} }
}

/** Resources with secrets. What others change meanwhile goes along. */
const packResource =
  (kind: SecretKind): Pack =>
  async (office, id, within) => {
    const key = resourceKey(kind, id)
    const held = office.ledger.state.resources.get(key)
    if (held === undefined || !hasMoved(office, { kind, id }, within)) return undefined
    checkWhole([held])
    const left = await office.ledger.blobsOfRecords('resource', key)
    return {
      left,
      change({ resources }) {
        const now = resources.get(key)
        if (now !== undefined) checkWhole([now])
        return now === undefined ? {} : { resources: [{ kind, id, record: now.record }] }
      },
      async write() {},
    }
  }

/** Throws `not_here` where this process has only what every node may know. */
function checkWhole(held: Iterable<{ readonly record: { readonly held?: BlobHash } }>): void {
  for (const { record } of held)
    if (record.held !== undefined) throw new EdgeError('not_here', 'What stays elsewhere is known there only.')
}

async function packService(
  office: PlacementOffice,
  id: string,
  within: Within | undefined,
): Promise<Luggage | undefined> {
  const held = office.ledger.state.services.get(id)
  const placed = { kind: 'service', id } as const
  if (held === undefined || !hasMoved(office, placed, within)) return undefined
  checkWhole([held, ...held.tables.values()])
  const { record } = held
  const before = office.ledger.state.placements.get(keyOf(placed))?.record.within
  const versions = createServiceVersions(office)
  const names = new Map<BlobHash, BlobHash>()
  const take = async (name: BlobHash) => {
    const next = await placeBlob(office.fabric.blobs, name, within)
    if (next !== name) names.set(name, next)
  }
  for (const made of [record.program, record.staged?.program]) if (made !== undefined) await take(made.module)
  for (const { number } of record.versions) {
    const parts = await versions.parts(id, number)
    for (const { blobs = [] } of parts) for (const name of blobs) await take(name)
    if (!sameWithin(before, within)) await versions.copy(id, number, renameParts(parts, names), within)
  }
  const tables = [...held.tables.values()].map((table) => ({ id: table.record.id, record: table.record }))
  return {
    change: () => ({ services: [{ id, record: renamed(record, names), tables }] }),
    left: [...names.keys(), ...(await office.ledger.blobsOfRecords('service', id))],
    async write() {
      if (!sameWithin(before, within))
        for (const { number } of record.versions) await versions.leave(id, number, before)
    },
  }
}

function renamed(record: ServiceRecord, names: ReadonlyMap<BlobHash, BlobHash>): ServiceRecord {
  const { program, staged } = record
  if (program === undefined) return record
  const moved = (made: typeof program) => ({ ...made, module: names.get(made.module) ?? made.module })
  return {
    ...record,
    program: moved(program),
    ...(staged && { staged: { ...staged, program: moved(staged.program) } }),
  }
}

function renameParts(parts: readonly ServicePart[], names: ReadonlyMap<BlobHash, BlobHash>): readonly ServicePart[] {
  return parts.map((part) => {
    if (!part.blobs?.some((name) => names.has(name))) return part
    const fields = Object.entries(part.fields).map(([field, value]) => [field, names.get(String(value)) ?? value])
    return { ...part, blobs: part.blobs.map((name) => names.get(name) ?? name), fields: Object.fromEntries(fields) }
  })
}
