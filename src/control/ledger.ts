/**
 * Records in the fabric and the Snapshot made of them, kept in step: a change is decided on the current state, adopted by
 * the data plane, then written; the caller hears of success only after both. One change at a time, so that Snapshots form a line.
 */
import { setImmediate } from 'node:timers/promises'
import type { Bucket, Fabric, Revision } from '#/core/ports.ts'
import type { Program, ProgramName, Site, Snapshot } from '#/core/snapshot.ts'
import { buildOriginSite, buildProgram, buildProgramSite } from './build-snapshot.ts'
import {
  applyToDomains,
  type DomainChange,
  domainBucket,
  type HeldDomains,
  loadDomains,
  servedRules,
  withDomainRules,
  writeDomains,
} from './domain-rules.ts'
import {
  applyToPlacements,
  checkPlaced,
  type HeldPlacements,
  loadPlacements,
  type PlacementChange,
  placementBucket,
  withPlacements,
  writePlacements,
} from './placements.ts'
import { decodeRecord, encodeRecord, type ProgramRecord, type SiteRecord, type VersionRecord } from './records.ts'
import { Refusal } from './refusal.ts'
import {
  applyToServices,
  type HeldServices,
  loadServices,
  type ServiceChange,
  sameSites,
  serviceBuckets,
  writeServices,
} from './services/held-services.ts'

/** A program as the control plane holds it: its record, and the versions that serve. */
export interface Held {
  readonly record: ProgramRecord
  readonly revision: Revision
  readonly serving: ReadonlyMap<string, VersionRecord>
  readonly program: Program
  readonly site: Site | undefined
}

export interface HeldSite {
  readonly record: SiteRecord
  readonly revision: Revision
  readonly site: Site
}

export interface State {
  readonly programs: ReadonlyMap<ProgramName, Held>
  readonly sites: ReadonlyMap<string, HeldSite>
  /** By id. */
  readonly services: HeldServices
  readonly domains: HeldDomains
  readonly placements: HeldPlacements
}

/** What a decision writes; `undefined` in place of a record removes it. `serving` must hold the rollout's versions. */
export interface Change {
  readonly programs?: readonly {
    readonly name: ProgramName
    readonly record: ProgramRecord | undefined
    readonly serving?: ReadonlyMap<string, VersionRecord>
  }[]
  readonly sites?: readonly { readonly name: string; readonly record: SiteRecord | undefined }[]
  readonly services?: readonly ServiceChange[]
  readonly domains?: readonly DomainChange[]
  readonly placements?: readonly PlacementChange[]
}

export interface Ledger {
  readonly state: State
  readonly snapshot: Snapshot
  /** Records left out at start, each with the reason. */
  readonly problems: readonly string[]
  onSnapshot(listener: (snapshot: Snapshot) => void): () => void
  /** Runs alone among all tasks with one of these names. */
  exclusively<Result>(names: readonly string[], task: () => Promise<Result>): Promise<Result>
  /** `decide` sees the state that the change will be applied to; what it throws changes nothing. */
  commit(decide: (state: State) => Change): Promise<void>
  version(program: ProgramName, id: string): Promise<VersionRecord | undefined>
  /** Newest first; those that do not parse are left out. */
  versions(record: ProgramRecord): Promise<readonly VersionRecord[]>
  addVersion(record: VersionRecord): Promise<void>
  dropVersions(program: ProgramName, ids: readonly string[]): Promise<void>
}

interface LedgerDeps {
  readonly fabric: Fabric
  /** Domain below which programs have names, e.g. `localhost`. */
  readonly hostnameSuffix: string
  readonly adopt: (snapshot: Snapshot) => Promise<void>
}

const page = 1000

/** Reads every record, drops versions that no program names, and has the first Snapshot adopted. */
export async function openLedger({ fabric, hostnameSuffix, adopt }: LedgerDeps): Promise<Ledger> {
  const buckets = {
    programs: fabric.bucket('programs'),
    versions: fabric.bucket('program-versions'),
    sites: fabric.bucket('sites'),
    counters: fabric.bucket('control-counters'),
  }
  const ofServices = serviceBuckets(fabric)
  const ofDomains = domainBucket(fabric)
  const ofPlacements = placementBucket(fabric)
  const problems: string[] = []
  const listeners = new Set<(snapshot: Snapshot) => void>()
  const inOrder = createQueues()

  const hold = (record: ProgramRecord, revision: Revision, serving: ReadonlyMap<string, VersionRecord>): Held => ({
    record,
    revision,
    serving,
    program: buildProgram(record, serving),
    site: buildProgramSite(record, hostnameSuffix),
  })

  const version: Ledger['version'] = async (program, id) => {
    const entry = await buckets.versions.get(`${program}/${id}`)
    return entry && decodeRecord('version', entry.value)
  }

  const readServing = async (record: ProgramRecord) => {
    const serving = new Map<string, VersionRecord>()
    for (const part of record.rollouts[0]?.parts ?? []) {
      const read = await version(record.name, part.version)
      if (read === undefined) throw new Error(`version ${part.version} is missing`)
      serving.set(part.version, read)
    }
    return serving
  }

  const load = async (): Promise<State> => {
    const programs = new Map<ProgramName, Held>()
    const sites = new Map<string, HeldSite>()
    const unread = new Set<ProgramName>()
    for await (const { key, value, revision } of everything(buckets.programs)) {
      try {
        const record = decodeRecord('program', value)
        programs.set(record.name, hold(record, revision, await readServing(record)))
      } catch (error) {
        unread.add(key)
        problems.push(`program '${key}' is left out: ${(error as Error).message}`)
      }
    }
    for await (const { key, value, revision } of everything(buckets.sites)) {
      try {
        const record = decodeRecord('site', value)
        sites.set(record.name, { record, revision, site: buildOriginSite(record, hostnameSuffix) })
      } catch (error) {
        problems.push(`site '${key}' is left out: ${(error as Error).message}`)
      }
    }
    await dropUnnamed(buckets.versions, programs, unread)
    for (const [name, held] of withoutDoubles(programs))
      programs.set(name, hold(held.record, held.revision, held.serving))
    const services = await loadServices(ofServices, hostnameSuffix, (problem) => problems.push(problem))
    const domains = await loadDomains(ofDomains, (problem) => problems.push(problem))
    const placements = await loadPlacements(ofPlacements)
    return { programs, sites, services, domains, placements }
  }

  const build = (revision: number, state: State): Snapshot => {
    const programs = new Map<ProgramName, Program>()
    const sites: Site[] = []
    const cacheRules = servedRules(state.domains)
    for (const held of state.programs.values()) {
      programs.set(held.record.name, held.program)
      if (held.site !== undefined) sites.push(held.site)
    }
    for (const held of state.sites.values()) sites.push(withDomainRules(held.site, cacheRules))
    for (const { site, program } of state.services.values()) {
      if (site !== undefined) sites.push(site)
      if (program !== undefined) programs.set(program.name, program)
    }
    const unplaced = { revision, programs, sites, ...(cacheRules !== undefined && { cacheRules }) }
    return withPlacements(unplaced, state.placements, state.services)
  }

  let state = await load()
  const counter = await buckets.counters.get('snapshot')
  let snapshot = build(counter === undefined ? 0 : Number(new TextDecoder().decode(counter.value)) || 0, state)
  await adopt(snapshot)

  const apply = (change: Change): State => {
    const programs = new Map(state.programs)
    const sites = new Map(state.sites)
    for (const { name, record, serving } of change.programs ?? []) {
      const before = programs.get(name)
      if (record === undefined) programs.delete(name)
      else programs.set(name, hold(record, before?.revision ?? 0, serving ?? before?.serving ?? new Map()))
    }
    for (const { name, record } of change.sites ?? []) {
      const revision = sites.get(name)?.revision ?? 0
      if (record === undefined) sites.delete(name)
      else sites.set(name, { record, revision, site: buildOriginSite(record, hostnameSuffix) })
    }
    const services = applyToServices(state.services, change.services ?? [], hostnameSuffix)
    const domains = applyToDomains(state.domains, change.domains ?? [])
    const placements = applyToPlacements(state.placements, change.placements ?? [])
    return { programs, sites, services, domains, placements }
  }

  const writeOne = async (bucket: Bucket, key: string, expect: Revision, value: Uint8Array | undefined) => {
    const revision = value === undefined ? undefined : await bucket.put(key, value, { expect })
    const done = value === undefined ? await bucket.delete(key, { expect }) : revision !== undefined
    if (!done) throw new Refusal('conflict', `'${key}' was changed by somebody else at the same time. Try again.`)
    return revision ?? 0
  }

  /** Writes and returns the state with the new revisions. Programs come in the order of the change. */
  const write = async (change: Change, next: State): Promise<State> => {
    await buckets.counters.put('snapshot', new TextEncoder().encode(String(snapshot.revision + 1)))
    const programs = new Map(next.programs)
    const sites = new Map(next.sites)
    for (const { name, record } of change.programs ?? []) {
      const expect = state.programs.get(name)?.revision ?? 0
      const revision = await writeOne(buckets.programs, name, expect, record && encodeRecord(record))
      const held = programs.get(name)
      if (held !== undefined) programs.set(name, { ...held, revision })
    }
    for (const { name, record } of change.sites ?? []) {
      const expect = state.sites.get(name)?.revision ?? 0
      const revision = await writeOne(buckets.sites, name, expect, record && encodeRecord(record))
      const held = sites.get(name)
      if (held !== undefined) sites.set(name, { ...held, revision })
    }
    const services = await writeServices(ofServices, state.services, next.services, change.services ?? [])
    const domains = await writeDomains(ofDomains, state.domains, next.domains, change.domains ?? [])
    const moved = change.placements ?? []
    const placements = await writePlacements(ofPlacements, state.placements, next.placements, moved)
    return { programs, sites, services, domains, placements }
  }

  const commit = async (decide: (state: State) => Change) => {
    const change = decide(state)
    const next = apply(change)
    const { programs, sites, domains, placements } = change
    const quiet = !programs && !sites && !domains && !placements && change.services !== undefined
    if (quiet && sameSites(state.services, next.services)) {
      // Drafts: nothing of it is served.
      const services = await writeServices(ofServices, state.services, next.services, change.services ?? [])
      state = { ...next, services }
      return
    }
    const proposed = build(snapshot.revision + 1, next)
    checkPlaced(proposed)
    await adopt(proposed)
    try {
      state = await write(change, next)
    } catch (error) {
      await adopt(snapshot).catch(() => {})
      throw error
    }
    snapshot = proposed
    for (const listener of listeners) tell(listener, snapshot)
  }

  return {
    get state() {
      return state
    },
    get snapshot() {
      return snapshot
    },
    problems,
    onSnapshot(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    exclusively: inOrder,
    commit: (decide) => inOrder([''], () => commit(decide)),
    version,
    async versions(record) {
      const read = await Promise.all(record.versions.map((id) => version(record.name, id).catch(() => undefined)))
      return read.filter((one) => one !== undefined)
    },
    async addVersion(record) {
      const written = await buckets.versions.put(`${record.program}/${record.id}`, encodeRecord(record), { expect: 0 })
      if (written === undefined) throw new Refusal('conflict', `There is a version ${record.id} already.`)
    },
    async dropVersions(program, ids) {
      for (const id of ids) await buckets.versions.delete(`${program}/${id}`)
    },
  }
}

/** The change is done; a listener that throws must not make it look failed. */
function tell(listener: (snapshot: Snapshot) => void, snapshot: Snapshot): void {
  try {
    listener(snapshot)
  } catch (error) {
    process.emitWarning(`A listener for Snapshots threw: ${String(error)}`)
  }
}

async function* everything(bucket: Bucket) {
  let after = ''
  while (true) {
    const entries = await bucket.list({ limit: page, ...(after !== '' && { after }) })
    yield* entries
    if (entries.length < page) return
    after = entries.at(-1)!.key
    await setImmediate()
  }
}

/** Removes versions whose upload was cut short by the end of the process: no program's record names them. */
async function dropUnnamed(bucket: Bucket, programs: ReadonlyMap<ProgramName, Held>, unread: ReadonlySet<ProgramName>) {
  let after = ''
  while (true) {
    const entries = await bucket.list({ limit: page, keysOnly: true, ...(after !== '' && { after }) })
    for (const { key } of entries) {
      const [program, id] = key.split('/') as [string, string]
      if (unread.has(program) || programs.get(program)?.record.versions.includes(id)) continue
      await bucket.delete(key)
    }
    if (entries.length < page) return
    after = entries.at(-1)!.key
  }
}

/**
 * A class handed from one program to another is two records, the receiver's first: when the process ended between them,
 * both have it. The later record wins; returned are the programs that lose a class.
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

/** One queue a name; a task waits in all of its queues, taken in one order so that no two tasks wait for each other. */
function createQueues(): Ledger['exclusively'] {
  const tails = new Map<string, Promise<void>>()
  return async (names, task) => {
    const mine = Promise.withResolvers<void>()
    const wanted = [...new Set(names)].sort()
    const before = wanted.map((name) => tails.get(name))
    for (const name of wanted) tails.set(name, mine.promise)
    await Promise.all(before)
    try {
      return await task()
    } finally {
      mine.resolve()
      for (const name of wanted) if (tails.get(name) === mine.promise) tails.delete(name)
    }
  }
}
