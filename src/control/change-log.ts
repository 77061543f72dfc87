/**
 * The log of changes in the bucket `control-log`: key the revision, value what changed. Writing an entry that was not there is
 * the commit of a change; of two control planes that write the same revision one wins. Each entry names the one before,
 * so that one written into a place that was compacted long ago is found out.
 */
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { placedBlobsIn } from '#/core/blob-names.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Entry, Fabric } from '#/core/ports.ts'
import { resourceKinds } from '#/core/resources.ts'
import type { BlobHash } from '#/core/snapshot.ts'
import type { EpochMs } from '#/core/units.ts'
import { parseDomainRules } from './domain-rules.ts'
import type { Change, ChangeNumber } from './fold.ts'
import { BlobIsLate, type PlacedRecords } from './placed-records.ts'
import { parsePlacement, placedKinds } from './placements.ts'
import { parseRecord, type VersionRecord } from './records.ts'
import { parseResource } from './resources.ts'
import { parseService } from './services/service-records.ts'
import { UnreadableEntry } from './unreadable-entry.ts'

export interface LogEntry {
  readonly revision: ChangeNumber
  /** Random; the next entry's `previous`. */
  readonly id: string
  /** Empty in the first entry. */
  readonly previous: string
  readonly at: EpochMs
  /** Which process decided it, for people. */
  readonly by: string
  /** Nothing of it is served. */
  readonly quiet: boolean
  readonly change: Change
}

export interface ChangeLog {
  /** False when somebody else has written this revision. Rejects as the fabric does, and then nothing is committed. */
  append(entry: Omit<LogEntry, 'id'>): Promise<LogEntry | undefined>
  /** Later entries, oldest first, as many as a page holds, with all of what this process may know. Throws an `UnreadableEntry` where the next one is one. */
  after(revision: ChangeNumber): Promise<readonly LogEntry[]>
  /** As it lies in the log: records that stay in countries are what every node may know of them. */
  read(revision: ChangeNumber): Promise<LogEntry | undefined>
  newest(): Promise<ChangeNumber>
  /** Revisions of all entries before this one. */
  before(revision: ChangeNumber): Promise<readonly ChangeNumber[]>
  /** Called for each later entry, also for one's own. */
  watch(listener: () => void): () => void
  /** The oldest revisions, as many as there are too many; what they say must lie in the records before they are removed. */
  excess(): readonly ChangeNumber[]
  /** `whole`: the blob as well that holds it where it is large. */
  remove(revision: ChangeNumber, how?: { readonly whole?: boolean }): Promise<void>
  /** Of entries that did not fit into the bucket, and all that entries name which stays in countries. */
  blobsInUse(): AsyncIterable<BlobHash>
}

interface Parts {
  readonly fabric: Pick<Fabric, 'bucket' | 'blobs'>
  readonly limits: Pick<Limits, 'controlLogEntries' | 'controlLogBytes' | 'controlEntryBytes'>
  readonly placed: Pick<PlacedRecords, 'unpackChange'>
}

const page = 200
const keyOf = (revision: ChangeNumber) => String(revision).padStart(16, '0')

const stored = z.object({
  id: z.string(),
  previous: z.string(),
  at: z.number(),
  by: z.string(),
  quiet: z.boolean(),
  change: z.exactOptional(z.unknown()),
  /** Holds `change` where that is large. */
  blob: z.exactOptional(z.string()),
})

export function openChangeLog({ fabric, limits, placed }: Parts): ChangeLog {
  const bucket = fabric.bucket('control-log')
  /** Bytes of each entry seen, oldest first. */
  const sizes = new Map<ChangeNumber, number>()

  async function encode(entry: LogEntry): Promise<Buffer> {
    const { revision: _revision, change, ...head } = entry
    const whole = Buffer.from(JSON.stringify({ ...head, change: writeChange(change) }))
    if (whole.length <= limits.controlEntryBytes) return whole
    const { hash } = await fabric.blobs.put(Buffer.from(JSON.stringify(writeChange(change))))
    return Buffer.from(JSON.stringify({ ...head, blob: hash }))
  }

  async function decode({ key, value }: Entry): Promise<LogEntry> {
    try {
      const { change, blob, ...head } = stored.parse(JSON.parse(Buffer.from(value).toString()))
      const large = blob === undefined ? undefined : await fabric.blobs.get(blob)
      if (blob !== undefined && large === undefined) throw new Error(`its blob ${blob} is missing`)
      const read = large === undefined ? change : JSON.parse(Buffer.from(large).toString())
      sizes.set(Number(key), value.byteLength)
      return { revision: Number(key), ...head, change: readChange(read) }
    } catch (error) {
      // What the fabric says of itself is not the entry's fault.
      if (error instanceof EdgeError) throw error
      throw new UnreadableEntry(Number(key), (error as Error).message)
    }
  }

  async function unpack(entry: LogEntry): Promise<LogEntry> {
    try {
      return { ...entry, change: await placed.unpackChange(entry.change) }
    } catch (error) {
      if (error instanceof EdgeError) throw error
      const { message } = error as Error
      throw new UnreadableEntry(entry.revision, message, { isLate: error instanceof BlobIsLate })
    }
  }

  /** Was the place of this entry the end of the log? */
  async function isLast(entry: LogEntry): Promise<boolean> {
    const [next] = await bucket.list({ after: keyOf(entry.revision), limit: 1 })
    if (next === undefined) return true
    const { previous } = stored.parse(JSON.parse(Buffer.from(next.value).toString()))
    return Number(next.key) === entry.revision + 1 && previous === entry.id
  }

  /** An answer that was lost on the way says nothing of whether it was written. */
  async function put(entry: LogEntry, value: Uint8Array): Promise<number | undefined> {
    try {
      return await bucket.put(keyOf(entry.revision), value, { expect: 0 })
    } catch (error) {
      const there = await bucket.get(keyOf(entry.revision)).catch(() => undefined)
      if (there !== undefined && Buffer.compare(there.value, value) === 0) return there.revision
      throw error
    }
  }

  return {
    async append(given) {
      const entry = { ...given, id: randomUUID() }
      const value = await encode(entry)
      const written = await put(entry, value)
      if (written === undefined) return undefined
      if (!(await isLast(entry))) {
        await bucket.delete(keyOf(entry.revision), { expect: written })
        return undefined
      }
      sizes.set(entry.revision, value.length)
      return entry
    },
    async after(revision) {
      const entries = await bucket.list({ after: keyOf(revision), limit: page })
      const read: LogEntry[] = []
      for (const entry of entries)
        try {
          read.push(await unpack(await decode(entry)))
        } catch (error) {
          if (read.length === 0 || !(error instanceof UnreadableEntry)) throw error
          break
        }
      return read
    },
    async read(revision) {
      const entry = await bucket.get(keyOf(revision))
      return entry && decode(entry)
    },
    async newest() {
      let last = 0
      for (;;) {
        const entries = await bucket.list({ after: keyOf(last), limit: 1000, keysOnly: true })
        last = Number(entries.at(-1)?.key ?? last)
        if (entries.length < 1000) return last
      }
    },
    watch: (listener) =>
      bucket.watch('', (change) => {
        if (change.kind === 'put') listener()
        else sizes.delete(Number(change.key))
      }),
    excess() {
      let bytes = 0
      for (const size of sizes.values()) bytes += size
      let count = sizes.size
      if (count <= limits.controlLogEntries && bytes <= limits.controlLogBytes) return []
      // A quarter at once, so that it is not done for each change; the newest always stays.
      const over: ChangeNumber[] = []
      for (const [revision, size] of [...sizes].sort(([one], [other]) => one - other).slice(0, -1)) {
        if (count <= limits.controlLogEntries * 0.75 && bytes <= limits.controlLogBytes * 0.75) break
        over.push(revision)
        bytes -= size
        count -= 1
      }
      return over
    },
    async before(revision) {
      const revisions: ChangeNumber[] = []
      for (let after = ''; ; ) {
        const entries = await bucket.list({ limit: 1000, keysOnly: true, ...(after !== '' && { after }) })
        for (const { key } of entries) if (Number(key) < revision) revisions.push(Number(key))
        if (entries.length < 1000) return revisions
        after = entries.at(-1)!.key
      }
    },
    async remove(revision, { whole = false } = {}) {
      const entry = whole ? await bucket.get(keyOf(revision)) : undefined
      await bucket.delete(keyOf(revision))
      sizes.delete(revision)
      const blob = entry && stored.parse(JSON.parse(Buffer.from(entry.value).toString())).blob
      if (blob !== undefined) await fabric.blobs.delete(blob)
    },
    async *blobsInUse() {
      for (let after = ''; ; ) {
        const entries = await bucket.list({ limit: page, ...(after !== '' && { after }) })
        for (const { value } of entries) {
          const text = Buffer.from(value).toString()
          const { blob } = stored.parse(JSON.parse(text))
          const large = blob === undefined ? undefined : await fabric.blobs.get(blob)
          if (blob !== undefined) yield blob
          yield* placedBlobsIn(large === undefined ? text : Buffer.from(large).toString())
        }
        if (entries.length < page) return
        after = entries.at(-1)!.key
      }
    },
  }
}

/** As JSON holds it: `null` in place of a record that is removed. */
export function writeChange({ programs, sites, services, domains, placements, resources }: Change): object {
  return {
    programs: programs?.map(({ name, record, serving }) => ({
      name,
      record: record ?? null,
      serving: [...(serving?.values() ?? [])],
    })),
    sites: sites?.map(({ name, record }) => ({ name, record: record ?? null })),
    services: services?.map(({ tables, ...rest }) => ({
      ...rest,
      tables: tables?.map(({ id, record }) => ({ id, record: record ?? null })),
    })),
    domains: domains?.map(({ domain, record }) => ({ domain, record: record ?? null })),
    placements: placements?.map(({ kind, id, record }) => ({ kind, id, record: record ?? null })),
    resources: resources?.map(({ kind, id, record }) => ({ kind, id, record: record ?? null })),
  }
}

const named = z.object({ name: z.string(), record: z.unknown() })
const changes = z.object({
  programs: z.exactOptional(z.array(named.extend({ serving: z.array(z.unknown()) }))),
  sites: z.exactOptional(z.array(named)),
  services: z.exactOptional(
    z.array(
      z.object({
        id: z.string(),
        record: z.exactOptional(z.unknown()),
        removed: z.exactOptional(z.literal(true)),
        tables: z.exactOptional(z.array(z.object({ id: z.string(), record: z.unknown() }))),
      }),
    ),
  ),
  domains: z.exactOptional(z.array(z.object({ domain: z.string(), record: z.unknown() }))),
  placements: z.exactOptional(z.array(z.object({ kind: z.enum(placedKinds), id: z.string(), record: z.unknown() }))),
  resources: z.exactOptional(z.array(z.object({ kind: z.enum(resourceKinds), id: z.string(), record: z.unknown() }))),
})

/** Throws an Error that says what does not fit. */
export function readChange(value: unknown): Change {
  const { programs, sites, services, domains, placements, resources } = changes.parse(value)
  return {
    ...(programs && {
      programs: programs.map(({ name, record, serving }) => ({
        name,
        record: record === null ? undefined : parseRecord('program', record),
        serving: new Map(
          serving.map((one): [string, VersionRecord] => {
            const version = parseRecord('version', one)
            return [version.id, version]
          }),
        ),
      })),
    }),
    ...(sites && {
      sites: sites.map(({ name, record }) => ({
        name,
        record: record === null ? undefined : parseRecord('site', record),
      })),
    }),
    ...(services && {
      services: services.map(({ id, record, removed, tables }) => ({
        id,
        ...(record !== undefined && { record: parseService('service', record) }),
        ...(removed && { removed }),
        ...(tables && {
          tables: tables.map((table) => ({
            id: table.id,
            record: table.record === null ? undefined : parseService('table', table.record),
          })),
        }),
      })),
    }),
    ...(domains && {
      domains: domains.map(({ domain, record }) => ({
        domain,
        record: record === null ? undefined : parseDomainRules(record),
      })),
    }),
    ...(placements && {
      placements: placements.map(({ kind, id, record }) => ({
        kind,
        id,
        record: record === null ? undefined : parsePlacement(record),
      })),
    }),
    ...(resources && {
      resources: resources.map(({ kind, id, record }) => ({
        kind,
        id,
        record: record === null ? undefined : parseResource(record),
      })),
    }),
  }
}
