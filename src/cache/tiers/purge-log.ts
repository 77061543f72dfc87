/**
 * Which purges this node has applied, of its own and of others, on disk: each bears its origin and a number that grows by
 * one there. Kept for a while for nodes that were away; what is older can only be made up for by purging everything. The
 * cache's own journal is written at the same time; marks in the log say how far it is known to have come.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, open, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { PurgeWish } from '#/core/cache-policy.ts'
import type { Limits } from '#/core/limits.ts'
import type { NodeId } from '#/core/pops.ts'
import type { PurgeOrigin, PurgeVector } from '#/core/tiers.ts'
import type { Clock, EpochMs } from '#/core/units.ts'
import { createMarks, markLine } from './purge-marks.ts'

export interface PurgeEntry {
  readonly origin: PurgeOrigin
  readonly number: number
  readonly at: EpochMs
  readonly wishes: readonly PurgeWish[]
}

/** As it lies in the log and goes over the wire. */
export interface KeptPurge extends Pick<PurgeEntry, 'origin' | 'number' | 'at'> {
  /** JSON with a newline at its end. */
  readonly line: string
}

/** What a vector lacks. */
export interface Missing {
  /** In the order of each origin. */
  readonly purges: readonly KeptPurge[]
  /** Of these origins more is missing than is kept: everything up to the number has to go. */
  readonly cut: PurgeVector
  /** There is more. */
  readonly more: boolean
}

export interface PurgeLog {
  readonly self: PurgeOrigin
  /** It was made just now: what the node's cache holds may be older than purges nobody remembers. */
  readonly isNew: boolean
  /** Logged, and perhaps not in the cache's journal when the process before ended. */
  readonly unfinished: readonly PurgeWish[]
  /** What was taken up, on disk or not yet. */
  readonly vector: PurgeVector
  last(origin: PurgeOrigin): number
  /** Numbers a purge of this node; it is on disk when it was written. */
  number(wishes: readonly PurgeWish[], at: EpochMs): KeptPurge
  /** Takes up the next purge of another origin; undefined when it is known, or one before it is not. */
  take(entry: PurgeEntry): KeptPurge | undefined
  /** Everything up to here counts as applied. Returns what is to be written about it. */
  jump(to: PurgeVector): string
  missing(from: PurgeVector, bytes: number): Missing
  /**
   * Lines of purges that the cache has let go of. Resolves when they are on disk; what comes meanwhile goes with the next
   * write. `journaled` resolves when the cache's journal has them: until then a restart finds them in `unfinished`.
   */
  write(lines: readonly string[], journaled: Promise<unknown>): Promise<void>
  close(): Promise<void>
}

type LogLimits = Pick<Limits, 'purgeLogEntries' | 'purgeLogBytes' | 'purgeLogMs'>

interface Origin {
  last: number
  /** Oldest first, without gaps, up to `last`. */
  kept: KeptPurge[]
}

interface State {
  readonly origins: Map<PurgeOrigin, Origin>
  /** In the order in which they came, oldest first. */
  order: KeptPurge[]
  orderGone: number
  bytes: number
  /** Wishes of each line that no mark has covered. */
  open: (readonly PurgeWish[])[]
}

const fileName = /^(\d+)\.jsonl$/

/** Reads what is in `folder` and goes on there. Rejects when it cannot be written to. */
export async function openPurgeLog(options: {
  readonly folder: string
  readonly node: NodeId
  readonly clock: Clock
  readonly limits: LogLimits
}): Promise<PurgeLog> {
  const { folder, node, clock, limits } = options
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const numbers = (await readdir(folder)).flatMap((name) => fileName.exec(name)?.[1] ?? []).map(Number)
  numbers.sort((a, b) => a - b)
  const state: State = { origins: new Map(), order: [], orderGone: 0, bytes: 0, open: [] }
  let self: PurgeOrigin | undefined
  for (const number of numbers) self = readInto(state, await readFile(pathOf(number), 'utf8'), self)
  const isNew = self === undefined
  const own = self ?? `${node}~${randomBytes(4).toString('hex')}`
  trim()
  const unfinished = state.open.flat()
  /** Files but the last, each with how many purges had come, and lines been written, when it ended. */
  const older: { readonly number: number; readonly until: number; readonly lines: number }[] = []
  let current = (numbers.at(-1) ?? 0) + 1
  let file = await open(pathOf(current), 'ax', 0o600)
  let fileBytes = 0
  let waiting: string[] = []
  let turn: Promise<void> = Promise.resolve()
  let next: Promise<void> | undefined
  const marks = createMarks(unfinished.length > 0 ? 1 : 0, () => {
    turn = turn.then(() => append('')).catch(() => {})
  })
  const kept = state.order.map(({ line }) => line).join('')
  await append(`${header(beforeKept())}${kept}${markLine(0)}`)
  if (unfinished.length > 0) await append(`${JSON.stringify({ unfinished })}\n`, 1)
  await file.datasync()
  for (const number of numbers) await rm(pathOf(number), { force: true })

  function pathOf(number: number): string {
    return join(folder, `${number}.jsonl`)
  }
  function vectorOf(): Record<PurgeOrigin, number> {
    const vector: Record<PurgeOrigin, number> = {}
    for (const [name, { last }] of state.origins) if (last > 0) vector[name] = last
    return vector
  }
  function beforeKept(): PurgeVector {
    return Object.fromEntries([...state.origins].map(([name, { last, kept }]) => [name, last - kept.length]))
  }
  /** Each file begins with what was applied before it, so that older ones may go. */
  function header(applied: PurgeVector): string {
    return `${JSON.stringify({ self: own, applied })}\n`
  }

  function keep(purge: KeptPurge): void {
    remember(state, purge)
    trim()
  }

  function trim(): void {
    const tooOld = clock() - limits.purgeLogMs
    let drop = 0
    let { bytes } = state
    for (const { at, line } of state.order) {
      const left = state.order.length - drop
      if (left <= limits.purgeLogEntries && bytes <= limits.purgeLogBytes && at >= tooOld) break
      drop++
      bytes -= line.length
    }
    // Letting go of a few at a time would move the rest each time.
    if (drop > 0) letGo(state, Math.max(drop, Math.ceil(state.order.length / 16)))
  }

  /** With a mark behind it, where there is news. */
  async function append(lines: string, count = 0): Promise<void> {
    marks.written += count
    const text = lines + marks.take()
    await file.appendFile(text)
    fileBytes += text.length
  }

  async function flush(): Promise<void> {
    next = undefined
    const lines = waiting
    waiting = []
    await append(lines.join(''), lines.length)
    await file.datasync()
    if (fileBytes > limits.purgeLogBytes / 4) await rotate()
  }

  async function rotate(): Promise<void> {
    await file.close()
    older.push({ number: current, until: state.orderGone + state.order.length, lines: marks.written })
    current++
    file = await open(pathOf(current), 'ax', 0o600)
    fileBytes = 0
    await append(header(vectorOf()))
    await file.datasync()
    while (older.length > 0 && older[0]!.until <= state.orderGone && older[0]!.lines <= marks.covered) {
      await rm(pathOf(older[0]!.number), { force: true })
      older.shift()
    }
  }

  function write(lines: readonly string[], journaled: Promise<unknown>): Promise<void> {
    for (const line of lines) waiting.push(line)
    marks.cover(lines.length, journaled)
    if (next === undefined) {
      next = turn.then(flush)
      turn = next.catch(() => {})
    }
    return next
  }

  return {
    self: own,
    isNew,
    unfinished,
    get vector() {
      return vectorOf()
    },
    last: (origin) => state.origins.get(origin)?.last ?? 0,
    number(wishes, at) {
      const number = (state.origins.get(own)?.last ?? 0) + 1
      const purge = { origin: own, number, at, line: lineOf({ origin: own, number, at, wishes }) }
      keep(purge)
      return purge
    },
    take(entry) {
      if (entry.number !== (state.origins.get(entry.origin)?.last ?? 0) + 1) return undefined
      const purge = { origin: entry.origin, number: entry.number, at: entry.at, line: lineOf(entry) }
      keep(purge)
      return purge
    },
    jump(to) {
      jumpTo(state, to)
      return `${JSON.stringify({ applied: to })}\n`
    },
    missing: (from, bytes) => missingFrom(state, from, bytes),
    write,
    async close() {
      await turn
      marks.close()
      await append('')
      await file.close()
    },
  }
}

function lineOf({ origin, number, at, wishes }: PurgeEntry): string {
  return `${JSON.stringify([origin, number, at, wishes])}\n`
}

/** Undefined for a line that was cut off, or is none. */
export function readPurge(line: string): PurgeEntry | undefined {
  try {
    const [origin, number, at, wishes] = JSON.parse(line) as [unknown, unknown, unknown, unknown]
    if (typeof origin !== 'string' || !Number.isSafeInteger(number) || !Number.isFinite(at) || !Array.isArray(wishes))
      return undefined
    return { origin, number: number as number, at: at as number, wishes: wishes as PurgeWish[] }
  } catch {
    return undefined
  }
}

function originOf(state: State, name: PurgeOrigin): Origin {
  let origin = state.origins.get(name)
  if (origin === undefined) {
    origin = { last: 0, kept: [] }
    state.origins.set(name, origin)
  }
  return origin
}

function remember(state: State, purge: KeptPurge): void {
  const origin = originOf(state, purge.origin)
  origin.last = purge.number
  origin.kept.push(purge)
  state.order.push(purge)
  state.bytes += purge.line.length
}

function letGo(state: State, count: number): void {
  const gone = new Map<PurgeOrigin, number>()
  for (const { origin, line } of state.order.splice(0, count)) {
    gone.set(origin, (gone.get(origin) ?? 0) + 1)
    state.bytes -= line.length
  }
  for (const [origin, many] of gone) state.origins.get(origin)!.kept.splice(0, many)
  state.orderGone += count
}

/** What was kept of these origins stands before a gap now: it goes. */
function jumpTo(state: State, to: PurgeVector): void {
  const jumped = new Set<PurgeOrigin>()
  for (const [name, last] of Object.entries(to)) {
    const origin = originOf(state, name)
    if (origin.last >= last) continue
    origin.last = last
    origin.kept = []
    jumped.add(name)
  }
  if (jumped.size === 0) return
  const kept = state.order.filter(({ origin }) => !jumped.has(origin))
  state.orderGone += state.order.length - kept.length
  state.order = kept
  state.bytes = kept.reduce((sum, { line }) => sum + line.length, 0)
}

/**
 * Returns the node's own origin, where the text names it. Of what follows a gap nothing is known, and it is asked for again;
 * but numbers of its own a node never gives twice.
 */
function readInto(state: State, text: string, known: PurgeOrigin | undefined): PurgeOrigin | undefined {
  let self = known
  for (const line of text.split('\n')) {
    if (line.startsWith('{')) {
      const said = readNote(line)
      if (said?.self !== undefined) self = said.self
      if (said?.applied !== undefined) jumpTo(state, said.applied)
      noteOpen(state, said ?? {})
      continue
    }
    const entry = line === '' ? undefined : readPurge(line)
    if (entry === undefined) continue
    const { origin, number, at, wishes } = entry
    state.open.push(wishes)
    if (origin === self && number > originOf(state, origin).last + 1) jumpTo(state, { [origin]: number - 1 })
    if (number === originOf(state, origin).last + 1) remember(state, { origin, number, at, line: `${line}\n` })
  }
  return self
}

/** Who writes here, what was jumped to, what an earlier process left open, a mark. */
interface Note {
  readonly self?: PurgeOrigin
  readonly applied?: PurgeVector
  readonly unfinished?: readonly PurgeWish[]
  readonly open?: number
}

function readNote(line: string): Note | undefined {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

function noteOpen(state: State, { self, applied, unfinished, open }: Note): void {
  if (open !== undefined) state.open = open === 0 ? [] : state.open.slice(-open)
  if (unfinished !== undefined) state.open.push(unfinished)
  // Who jumps purges everything.
  if (applied !== undefined && self === undefined) state.open.push([{ soft: false, what: { kind: 'everything' } }])
}

function missingFrom(state: State, from: PurgeVector, bytes: number): Missing {
  const purges: KeptPurge[] = []
  const cut: Record<PurgeOrigin, number> = {}
  let size = 0
  for (const [name, { last, kept }] of state.origins) {
    const known = from[name] ?? 0
    if (known >= last) continue
    const first = last - kept.length + 1
    if (known + 1 < first) {
      cut[name] = last
      continue
    }
    for (const purge of kept.slice(known + 1 - first)) {
      if (size > bytes) return { purges, cut, more: true }
      purges.push(purge)
      size += purge.line.length
    }
  }
  return { purges, cut, more: false }
}
