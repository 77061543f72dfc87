/**
 * The line of changes. A change is decided on the current state, adopted by the nodes of this process, then committed as an
 * entry of the log; the caller hears of success only after both. Of several control planes one wins a revision; the others
 * read what it wrote and decide anew. The state is the fold of the log; records are written after it.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { createPlacementMark } from '#/core/placement-mark.ts'
import { retryAfter } from '#/core/retry-after.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import { type LogEntry, openChangeLog } from './change-log.ts'
import { checkSnapshot } from './check-snapshot.ts'
import { type Change, type ChangeNumber, createFold, type State } from './fold.ts'
import type { Ledger, LedgerDeps } from './ledger-port.ts'
import { createPlacedRecords } from './placed-records.ts'
import { checkPlaced } from './placements.ts'
import { createQueues } from './queues.ts'
import { openRecordBooks } from './record-books.ts'
import { Refusal } from './refusal.ts'
import { sameSites } from './services/held-services.ts'
import { differs, keysOf } from './touched.ts'
import { UnreadableEntry } from './unreadable-entry.ts'

/** How often a change is decided anew because somebody else came first. */
const attempts = 20
/** How often the log is asked for a setting that is known to be in it: for half a second in all. */
const looks = 10

/** Another control plane has changed what this task began with. */
class Overtaken extends Error {}

/** Reads the records and the log, and has the first Snapshot adopted. */
export async function openLedger(deps: LedgerDeps): Promise<Ledger> {
  const { fabric, hostnameSuffix, limits, clock } = deps
  const fold = createFold(hostnameSuffix)
  const placed = createPlacedRecords(fabric)
  const log = openChangeLog({ fabric, limits, placed })
  const books = openRecordBooks({ fabric, fold, placed, hostnameSuffix, limits, clock })
  const mark = createPlacementMark(fabric)
  const listeners = new Set<(snapshot: Snapshot) => void>()
  const inOrder = createQueues()
  const tasks = new AsyncLocalStorage<{ readonly names: ReadonlySet<string>; since: ChangeNumber }>()
  const problems: string[] = []
  let unread: ReadonlyMap<string, string> = new Map()
  let state: State
  let snapshot: Snapshot
  /** The last entry that is folded in. */
  let head: Pick<LogEntry, 'revision' | 'id'>
  let recording: Promise<void> = Promise.resolve()
  let stuck: UnreadableEntry | undefined
  /** How often in a row something had not arrived. */
  let waits = 0
  function checkReadable(): void {
    if (stuck !== undefined) throw stuck.refusal
  }

  function problem(message: string): void {
    if (!problems.includes(message)) problems.push(message)
  }

  /** Entries that arrived while the records were read are in the log still, unless very many came: then once more. */
  async function load(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const newest = await log.newest()
      const loaded = await books.load()
      const counted = await books.counted()
      const folded = await foldLog(loaded.state, counted)
      if (newest !== 0 && folded.oldest > newest + 1 && attempt < attempts) continue
      const mended = new Set(folded.entries.flatMap(({ change }) => keysOf(change)))
      unread = new Map([...loaded.unread].filter(([key]) => !mended.has(key)))
      problems.splice(
        0,
        problems.length,
        ...unread.values(),
        ...(stuck === undefined || stuck.isLate ? [] : [stuck.message]),
      )
      state = folded.state
      head = folded.head
      snapshot = fold.build(folded.served, state)
      repair(folded.entries, loaded.state)
      return
    }
  }

  /** None where the next one cannot be read: what comes after it says nothing without it. */
  async function nextEntries(after: ChangeNumber): Promise<readonly LogEntry[]> {
    try {
      const entries = await log.after(after)
      if (entries.length > 0) stuck = undefined
      waits = 0
      return entries
    } catch (error) {
      if (!(error instanceof UnreadableEntry)) throw error
      if (stuck?.revision !== error.revision) deps.log('later changes are not followed', error)
      stuck = error
      if (error.isLate) wakeLater(++waits)
      else problem(error.message)
      return []
    }
  }

  async function foldLog(base: State, counted: ChangeNumber) {
    let folded = {
      state: base,
      head: { revision: counted, id: '' },
      served: counted,
      oldest: 0,
      entries: [] as LogEntry[],
    }
    for (let after = 0; ; ) {
      const entries = await nextEntries(after)
      for (const entry of entries) {
        // An entry that a control plane wrote into a place compacted long ago, and had no time to take back.
        const follows = entry.revision === folded.head.revision + 1 && entry.previous === folded.head.id
        if (!follows && folded.entries.length > 0) folded = { ...folded, state: base, entries: [] }
        folded.state = fold.apply(folded.state, entry.change, entry.revision)
        folded.head = entry
        if (!entry.quiet) folded.served = entry.revision
        folded.entries.push(entry)
      }
      if (entries.length === 0) return { ...folded, oldest: folded.entries[0]?.revision ?? 0 }
      after = entries.at(-1)!.revision
    }
  }

  /** What a process that ended early has not written into the records. */
  function repair(entries: readonly LogEntry[], before: State): void {
    const missing = entries.filter(({ change }) => differs(change, before, state))
    record(async () => {
      for (const entry of missing) await books.write(entry.change, state, entry.revision)
    })
  }

  /** One after the other; what fails is done at the next start. */
  function record(work: () => Promise<void>): void {
    recording = recording.then(work).catch((error) => deps.log('records were not written', error))
  }

  async function compact(): Promise<void> {
    for (const revision of log.excess()) {
      const entry = await log.read(revision)
      // Who decided it may have ended before it wrote the records.
      if (entry !== undefined) await books.write(entry.change, state, revision)
      await log.remove(revision)
    }
  }

  async function forgetChanges(): Promise<void> {
    await recording
    for (const revision of await log.before(head.revision)) {
      const entry = await log.read(revision)
      if (entry !== undefined) await books.write(entry.change, state, revision)
      await log.remove(revision, { whole: true })
    }
  }

  /** Folds in what others committed. Returns whether there was anything. */
  async function readNews(): Promise<boolean> {
    const before = head.revision
    for (;;) {
      const entries = await nextEntries(head.revision)
      for (const entry of entries) {
        if (entry.revision !== head.revision + 1 || entry.previous !== head.id) {
          await load()
          return true
        }
        state = fold.apply(state, entry.change, entry.revision)
        head = entry
        if (!entry.quiet) snapshot = { ...snapshot, revision: entry.revision }
      }
      if (entries.length === 0) break
    }
    if (head.revision === before) return false
    snapshot = fold.build(snapshot.revision, state)
    return true
  }

  async function catchUp(): Promise<void> {
    const served = snapshot.revision
    try {
      if (!(await readNews()) || snapshot.revision === served) return
    } catch (error) {
      // The fabric being away is not the log's fault.
      if ((error as { code?: string }).code !== 'fabric_away') problem((error as Error).message)
      deps.log('the log of changes was not read', error)
      return
    }
    await deps.follow(snapshot)
    announce()
  }

  function announce(): void {
    for (const listener of listeners) tell(listener, snapshot)
  }

  /** Has another control plane changed what the running task is named after, since it began? */
  function checkTask(change: Change): void {
    const task = tasks.getStore()
    if (task === undefined) return
    const touched: [string, { readonly revision: ChangeNumber } | undefined][] = [
      ...(change.programs ?? []).map(({ name }) => [name, state.programs.get(name)] as [string, undefined]),
      ...(change.sites ?? []).map(({ name }) => [name, state.sites.get(name)] as [string, undefined]),
      ...(change.services ?? []).map(({ id }) => [`service ${id}`, state.services.get(id)] as [string, undefined]),
    ]
    for (const [name, held] of touched)
      if (task.names.has(name) && (held?.revision ?? 0) > task.since) throw new Overtaken(name)
  }

  function checkUnread(change: Change): void {
    const taken = keysOf(change).find((key) => unread.has(key))
    if (taken !== undefined) throw new Refusal('conflict', `There is a record of the ${taken} that cannot be read.`)
  }

  /** The change as it is logged: with the versions that serve, so that it can be applied to an older state too. */
  function complete(change: Change): Change {
    if (change.programs === undefined) return change
    const programs = change.programs.map((one) => ({
      ...one,
      serving: one.serving ?? state.programs.get(one.name)?.serving ?? new Map(),
    }))
    return { ...change, programs }
  }

  /** False when somebody else came first. `trial` says whether the nodes serve what is not committed. */
  async function attempt(given: Change, trial: { isServed: boolean }): Promise<boolean> {
    const change = complete(given)
    const revision = head.revision + 1
    const next = fold.apply(state, change, revision)
    const { programs, sites, domains, placements, resources } = change
    const quiet =
      !programs && !sites && !domains && !placements && !resources && sameSites(state.services, next.services)
    const proposed = quiet ? snapshot : fold.build(revision, next)
    if (!quiet) {
      checkSnapshot(proposed, snapshot, limits)
      checkPlaced(proposed, snapshot)
      trial.isServed = true
      await deps.adopt(proposed)
    }
    const packed = await placed.packChange(change, next)
    const entry = await log.append({ revision, previous: head.id, at: clock(), by: deps.by, quiet, change: packed })
    if (entry === undefined) return false
    state = next
    head = entry
    snapshot = proposed
    const task = tasks.getStore()
    if (task !== undefined) task.since = revision
    record(() => books.write(change, state, revision).then(compact))
    if (!quiet) announce()
    if (placements !== undefined) await mark.note(revision)
    return true
  }

  async function commit(decide: (state: State) => Change, { fresh = false } = {}): Promise<void> {
    const trial = { isServed: false }
    checkReadable()
    try {
      // One change at most waits for its records.
      await recording
      for (let turn = 1; turn <= attempts; turn++) {
        const change = decide(state)
        if (Object.values(change).every((part) => part === undefined || part.length === 0)) return
        checkUnread(change)
        if (!fresh) checkTask(change)
        if (await attempt(change, trial)) {
          trial.isServed = false
          return
        }
        const isNew = await readNews()
        checkReadable()
        if (!isNew) await pause(turn * 10)
      }
      throw new Refusal('conflict', 'Others change this platform all the time. Try again.')
    } finally {
      if (trial.isServed) {
        await deps.follow(snapshot)
        announce()
      }
    }
  }

  async function upToDate(): Promise<void> {
    const newest = await mark.newest()
    for (let turn = 1; head.revision < newest; turn++) {
      await inOrder([''], catchUp)
      if (head.revision >= newest) return
      checkReadable()
      if (turn === looks)
        throw new Refusal(
          'conflict',
          'This node has not heard yet of a setting that says where something may be. Try again.',
        )
      await pause(turn * 10)
    }
  }

  async function again<Result>(names: readonly string[], task: () => Promise<Result>): Promise<Result> {
    for (let turn = 1; ; turn++) {
      try {
        return await tasks.run({ names: new Set(names), since: head.revision }, task)
      } catch (error) {
        if (!(error instanceof Overtaken)) throw error
        if (turn === attempts) throw new Refusal('conflict', `'${error.message}' is changed by others all the time.`)
      }
    }
  }

  // Told of what is written while the records are read.
  let isLoaded = false
  let isWaiting = false
  function wake(): void {
    if (!isLoaded || isWaiting) return
    isWaiting = true
    void inOrder([''], async () => {
      isWaiting = false
      await catchUp()
    })
  }
  let waking: NodeJS.Timeout | undefined
  function wakeLater(tries: number): void {
    clearTimeout(waking)
    waking = setTimeout(wake, retryAfter(tries, limits))
    waking.unref()
  }
  const stopWatching = log.watch(wake)
  const stopState = fabric.onState((now) => {
    if (now === 'here') wake()
  })
  await load()
  isLoaded = true
  await deps.follow(snapshot!, { isPartial: stuck !== undefined })
  // Who cannot read a change does not know what it names.
  if (stuck === undefined) record(() => books.dropUnnamed(state, unread))
  wake()

  return {
    get state() {
      return state
    },
    get snapshot() {
      return snapshot
    },
    problems,
    get stuck() {
      return stuck?.message
    },
    onSnapshot(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    exclusively: (names, task) => inOrder(names, () => again(names, task)),
    commit: (decide, how) => inOrder([''], () => commit(decide, how)),
    upToDate,
    version: books.version,
    async versions(record) {
      const read = await Promise.all(record.versions.map((id) => books.version(record.name, id).catch(() => undefined)))
      return read.filter((one) => one !== undefined)
    },
    async addVersion(record) {
      if (!(await books.addVersion(record))) throw new Refusal('conflict', `There is a version ${record.id} already.`)
    },
    async dropVersions(program, ids) {
      for (const id of ids) await books.dropVersion(program, id)
    },
    replaceVersion: books.replaceVersion,
    forgetChanges: () => inOrder([''], forgetChanges),
    async *blobsInUse() {
      yield* log.blobsInUse()
      if (state.placements.size > 0) yield* books.blobsInUse()
    },
    async blobsOfRecords(kind, id) {
      await recording
      return Array.fromAsync(books.blobsInUse({ kind, id }))
    },
    recorded: () => recording,
    close() {
      clearTimeout(waking)
      stopWatching()
      stopState()
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
