/**
 * The records in their buckets: what the log of changes was folded into. They are written after an entry of the log and
 * repaired from it; each says which change made it, so that one that comes late never covers a newer one.
 */
import { setImmediate } from 'node:timers/promises'
import { placedBlobsIn } from '#/core/blob-names.ts'
import { keep } from '#/core/kept-map.ts'
import type { Limits } from '#/core/limits.ts'
import type { Bucket, Entry, Fabric } from '#/core/ports.ts'
import { resourceKey } from '#/core/resources.ts'
import type { BlobHash, ProgramName } from '#/core/snapshot.ts'
import type { Clock } from '#/core/units.ts'
import { type HeldDomain, parseDomainRules } from './domain-rules.ts'
import type { Change, ChangeNumber, Fold, Held, HeldSite, State } from './fold.ts'
import { type PlacedRecords, withinOfRecord } from './placed-records.ts'
import { type HeldPlacement, keyOf, parsePlacement } from './placements.ts'
import { type ProgramRecord, parseRecord, type VersionRecord } from './records.ts'
import { type HeldResource, type HeldResources, parseResource } from './resources.ts'
import { type HeldService, type HeldTable, holdService, serviceBuckets } from './services/held-services.ts'
import { parseService } from './services/service-records.ts'

export interface RecordBooks {
  /** Everything that parses; `unread` says of the rest why it does not, by kind and key (`program shop`). */
  load(): Promise<{ readonly state: State; readonly unread: ReadonlyMap<string, string> }>
  /** Brings the records that a change touched to what the state says. */
  write(change: Change, state: State, revision: ChangeNumber): Promise<void>
  /** Of Snapshots, before changes were numbered. */
  counted(): Promise<ChangeNumber>
  version(program: ProgramName, id: string): Promise<VersionRecord | undefined>
  /** False when there is one already. */
  addVersion(record: VersionRecord): Promise<boolean>
  replaceVersion(record: VersionRecord): Promise<void>
  dropVersion(program: ProgramName, id: string): Promise<void>
  /** Blobs with what stays in countries of sites, services and resources, or of one of them. */
  blobsInUse(of?: RecordOwner): AsyncIterable<BlobHash>
  /** Removes versions of uploads that were cut short: no record names them, and none in flight is as old. */
  dropUnnamed(state: State, unread: ReadonlyMap<string, string>): Promise<void>
}

/** By name, id, or key of a resource. */
export interface RecordOwner {
  readonly kind: 'site' | 'service' | 'resource'
  readonly id: string
}

interface Parts {
  readonly fabric: Pick<Fabric, 'bucket'>
  readonly fold: Fold
  readonly placed: Pick<PlacedRecords, 'pack' | 'unpack'>
  readonly hostnameSuffix: string
  readonly limits: Pick<Limits, 'blobGraceMs'>
  readonly clock: Clock
}

const page = 1000
/** Each attempt fails only when another control plane wrote in between. */
const attempts = 20

export function openRecordBooks({ fabric, fold, placed, hostnameSuffix, limits, clock }: Parts): RecordBooks {
  const ofServices = serviceBuckets(fabric)
  const buckets = {
    programs: fabric.bucket('programs'),
    versions: fabric.bucket('program-versions'),
    sites: fabric.bucket('sites'),
    domains: fabric.bucket('domain-rules'),
    placements: fabric.bucket('placements'),
    resources: fabric.bucket('resources'),
    counters: fabric.bucket('control-counters'),
  }

  const version: RecordBooks['version'] = async (program, id) => {
    const entry = await buckets.versions.get(`${program}/${id}`)
    return entry && parseRecord('version', read(entry).value)
  }

  async function packHeld<Kind extends 'site' | 'service' | 'table' | 'resource'>(
    kind: Kind,
    held: { readonly record: Parameters<typeof placed.pack<Kind>>[1]; readonly revision: ChangeNumber } | undefined,
    { placements }: State,
    owner: string,
  ) {
    if (held === undefined) return undefined
    const within = withinOfRecord(placements, kind, held.record, owner)
    return { record: await placed.pack(kind, held.record, within), revision: held.revision }
  }

  async function readServing(record: ProgramRecord) {
    const serving = new Map<string, VersionRecord>()
    for (const part of record.rollouts[0]?.parts ?? []) {
      const found = await version(record.name, part.version)
      if (found === undefined) throw new Error(`version ${part.version} is missing`)
      serving.set(part.version, found)
    }
    return serving
  }

  return {
    version,
    async load() {
      const unread = new Map<string, string>()
      async function each(what: string, bucket: Bucket, take: (key: string, read: Read) => void | Promise<void>) {
        for await (const entry of everything(bucket)) {
          try {
            await take(entry.key, read(entry))
          } catch (error) {
            const reason = `${what} '${entry.key}' is left out: ${(error as Error).message}`
            unread.set(`${what} ${entry.key}`, reason)
          }
        }
      }
      const programs = new Map<ProgramName, Held>()
      await each('program', buckets.programs, async (_key, { value, revision }) => {
        const record = parseRecord('program', value)
        programs.set(record.name, fold.hold(record, revision, await readServing(record)))
      })
      const sites = new Map<string, HeldSite>()
      await each('site', buckets.sites, async (_key, { value, revision }) => {
        const record = await placed.unpack('site', parseRecord('site', value))
        sites.set(record.name, fold.holdSite(record, revision))
      })
      const tables = new Map<string, Map<string, HeldTable>>()
      await each('table', ofServices.tables, async (key, { value, revision }) => {
        const [service, id] = key.split('/') as [string, string]
        const own = tables.get(service) ?? new Map<string, HeldTable>()
        const record = await placed.unpack('table', parseService('table', value))
        tables.set(service, own.set(id, { record, revision }))
      })
      const services = new Map<string, HeldService>()
      await each('service', ofServices.services, async (key, { value, revision }) => {
        const record = await placed.unpack('service', parseService('service', value))
        services.set(key, holdService(record, revision, tables.get(key) ?? new Map(), hostnameSuffix))
      })
      const domains = new Map<string, HeldDomain>()
      await each('rules of domain', buckets.domains, (key, { value, revision }) => {
        domains.set(key, { record: parseDomainRules(value), revision })
      })
      // Without one of these something would be where it must not be: what does not parse ends the start.
      const placements = new Map<string, HeldPlacement>()
      for await (const entry of everything(buckets.placements)) {
        const { value, revision } = read(entry)
        placements.set(entry.key, { record: parsePlacement(value), revision })
      }
      const resources = new Map<string, HeldResource>()
      await each('resource', buckets.resources, async (key, { value, revision }) => {
        resources.set(key, { record: await placed.unpack('resource', parseResource(value)), revision })
      })
      for (const [name, held] of withoutDoubles(programs))
        programs.set(name, fold.hold(held.record, held.revision, held.serving))
      const ordered = inOrder(resources)
      const state = {
        ...{ programs: keep(programs), sites: keep(sites), services: keep(services) },
        ...{ domains: keep(domains), placements: keep(placements), resources: keep(ordered) },
      }
      return { state, unread }
    },

    async write(change, state, revision) {
      for (const { name } of change.programs ?? [])
        await settle(buckets.programs, name, state.programs.get(name), revision)
      for (const { name } of change.sites ?? []) {
        const packed = await packHeld('site', state.sites.get(name), state, name)
        await settle(buckets.sites, name, packed, revision)
      }
      for (const { domain } of change.domains ?? [])
        await settle(buckets.domains, domain, state.domains.get(domain), revision)
      for (const key of (change.placements ?? []).map(keyOf))
        await settle(buckets.placements, key, state.placements.get(key), revision)
      for (const { kind, id } of change.resources ?? []) {
        const key = resourceKey(kind, id)
        await settle(buckets.resources, key, await packHeld('resource', state.resources.get(key), state, id), revision)
      }
      for (const { id, tables = [] } of change.services ?? []) {
        const held = state.services.get(id)
        const touched =
          held === undefined ? await keysUnder(ofServices.tables, `${id}/`) : tables.map((table) => `${id}/${table.id}`)
        for (const key of touched) {
          const packed = await packHeld('table', held?.tables.get(key.slice(id.length + 1)), state, id)
          await settle(ofServices.tables, key, packed, revision)
        }
        await settle(ofServices.services, id, await packHeld('service', held, state, id), revision)
      }
    },

    async *blobsInUse(of) {
      for (const [bucket, kind] of [
        [buckets.sites, 'site'],
        [ofServices.services, 'service'],
        [ofServices.tables, 'service'],
        [buckets.resources, 'resource'],
      ] as const) {
        if (of !== undefined && of.kind !== kind) continue
        for await (const { key, value } of everything(bucket, of?.id))
          if (of === undefined || key === of.id || key.split('/')[0] === of.id)
            yield* placedBlobsIn(Buffer.from(value).toString())
      }
    },

    async counted() {
      const counter = await buckets.counters.get('snapshot')
      return counter === undefined ? 0 : Number(Buffer.from(counter.value).toString()) || 0
    },

    async addVersion(record) {
      const value = Buffer.from(JSON.stringify(record))
      return (await buckets.versions.put(`${record.program}/${record.id}`, value, { expect: 0 })) !== undefined
    },

    async replaceVersion(record) {
      await buckets.versions.put(`${record.program}/${record.id}`, Buffer.from(JSON.stringify(record)))
    },

    async dropVersion(program, id) {
      await buckets.versions.delete(`${program}/${id}`)
    },

    async dropUnnamed(state, unread) {
      for (const key of await keysUnder(buckets.versions, '')) {
        const [program, id] = key.split('/') as [string, string]
        if (unread.has(`program ${program}`) || state.programs.get(program)?.record.versions.includes(id)) continue
        const made = await version(program, id).catch(() => undefined)
        if (made !== undefined && clock() - made.createdAt < limits.blobGraceMs) continue
        await buckets.versions.delete(key)
      }
    },
  }
}

/** As they were made: the log adds each at the end. */
function inOrder(resources: ReadonlyMap<string, HeldResource>): HeldResources {
  return new Map([...resources].sort(([, one], [, other]) => one.record.createdAt - other.record.createdAt))
}

interface Read {
  readonly value: unknown
  readonly revision: ChangeNumber
}

/** Throws an Error for what is no JSON. */
function read({ value }: Entry): Read {
  const parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(value))
  return { value: parsed, revision: Number(parsed?.changedBy ?? 0) || 0 }
}

/** Writes what is held, or removes what is not; leaves alone what a later change made. */
async function settle(
  bucket: Bucket,
  key: string,
  held: { readonly record: object; readonly revision: ChangeNumber } | undefined,
  revision: ChangeNumber,
): Promise<void> {
  const value = held && Buffer.from(JSON.stringify({ ...held.record, changedBy: held.revision }))
  const isNewer = (there: ChangeNumber) => (held === undefined ? there > revision : there >= held.revision)
  for (let attempt = 0; attempt < attempts; attempt++) {
    const there = await bucket.get(key)
    if (there !== undefined && isNewer(revisionOf(there))) return
    const expect = there?.revision ?? 0
    if (value === undefined) {
      if (there === undefined || (await bucket.delete(key, { expect }))) return
    } else if ((await bucket.put(key, value, { expect })) !== undefined) return
  }
}

function revisionOf(entry: Entry): ChangeNumber {
  try {
    return read(entry).revision
  } catch {
    return 0
  }
}

async function* everything(bucket: Bucket, prefix = '') {
  let after = ''
  while (true) {
    const entries = await bucket.list({ limit: page, prefix, ...(after !== '' && { after }) })
    yield* entries
    if (entries.length < page) return
    after = entries.at(-1)!.key
    await setImmediate()
  }
}

async function keysUnder(bucket: Bucket, prefix: string): Promise<string[]> {
  const keys: string[] = []
  for (;;) {
    const after = keys.at(-1)
    const entries = await bucket.list({ limit: page, keysOnly: true, prefix, ...(after !== undefined && { after }) })
    keys.push(...entries.map(({ key }) => key))
    if (entries.length < page) return keys
  }
}

/**
 * A class handed from one program to another is two records; before changes were logged these were two writes, and a
 * process that ended between them left it to both. The later record wins; returned are the programs that lose a class.
 */
function withoutDoubles(programs: ReadonlyMap<ProgramName, Held>): Map<ProgramName, Held> {
  const owners = new Map<string, ProgramRecord>()
  for (const { record } of programs.values())
    for (const { key } of record.objects)
      if ((owners.get(key)?.modifiedAt ?? -1) < record.modifiedAt) owners.set(key, record)
  const losers = new Map<ProgramName, Held>()
  for (const [name, held] of programs) {
    const objects = held.record.objects.filter(({ key }) => owners.get(key) === held.record)
    if (objects.length === held.record.objects.length) continue
    losers.set(name, { ...held, record: { ...held.record, objects } })
  }
  return losers
}
