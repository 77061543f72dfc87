/**
 * Processes of databases, and who runs in which: each runs one database at a time, and what came for that one meanwhile is
 * given to it together. A database whose process is busy with another one goes to a free one, so that a slow query holds
 * up nobody else as long as there are processes left.
 */
import type { Limits } from '#/core/limits.ts'
import { type DatabaseProcess, type DatabaseProcessOptions, startDatabaseProcess } from './database-process.ts'
import type { Frame } from './frames.ts'

export interface SqlAnswer {
  /** JSON in the vendor's words. */
  readonly body: Uint8Array
  /** Why the database did not do it; `body` says the same. */
  readonly refused?: string
  readonly head: Frame['head']
}

export interface DatabasePool {
  /** Resolves once what was asked is durable. Never rejects for what the SQL, or the process that runs it, does wrong. */
  run(file: string, head: Frame['head'], body: Uint8Array): Promise<SqlAnswer>
  /** Runs `work` while nobody has the file open. Requests meanwhile get `refusal`, or wait where there is none. */
  alone<Value>(file: string, work: () => Promise<Value>, refusal?: string): Promise<Value>
  close(): Promise<void>
}

export interface DatabasePoolOptions extends Omit<DatabaseProcessOptions, 'onFrame' | 'limits'> {
  readonly limits: Limits
  readonly clock: () => number
}

interface Job {
  readonly number: number
  readonly head: Frame['head']
  readonly body: Uint8Array
  readonly queuedAt: number
  readonly resolve: (answer: SqlAnswer) => void
}

/** One database. */
interface Lane {
  readonly file: string
  readonly waiting: Job[]
  readonly running: Map<number, Job>
  /** Where it runs, or ran last. */
  seat: Seat | undefined
  /** Nobody else may run: somebody has it alone, or waits for that. */
  held: { readonly refusal: string | undefined } | undefined
  /** The last of those who want it alone is done. */
  turn: Promise<unknown>
  /** Told when nothing runs any more. */
  idle: (() => void)[]
}

/** One process. */
interface Seat {
  readonly process: DatabaseProcess
  /** Whom it works for. */
  lane: Lane | undefined
  readonly open: Set<string>
  /** The only job that it was given. */
  only: number | undefined
  isReady: boolean
  late: boolean
  timer: NodeJS.Timeout | undefined
}

/** Jobs that are given to a process together. */
const mostTogether = 64
const mostTogetherBytes = 1024 * 1024

const refused = (error: string): SqlAnswer => ({
  body: Buffer.from(JSON.stringify({ success: false, error })),
  refused: error,
  head: {},
})

export function createDatabasePool(options: DatabasePoolOptions): DatabasePool {
  const { limits, clock, servedBy } = options
  const lanes = new Map<string, Lane>()
  const seats = new Set<Seat>()
  /** On their way to end; files may be open there yet. */
  const leaving = new Set<Seat>()
  /** Lanes with work for which there was no process. */
  const standing = new Set<Lane>()
  /** Told when a process has closed a file, by the number that it was asked under. */
  const closing = new Map<number, () => void>()
  let lastNumber = 0
  let isClosed = false

  function laneOf(file: string): Lane {
    let lane = lanes.get(file)
    if (lane === undefined) {
      lane = {
        file,
        waiting: [],
        running: new Map(),
        seat: undefined,
        held: undefined,
        turn: Promise.resolve(),
        idle: [],
      }
      lanes.set(file, lane)
    }
    return lane
  }

  function startSeat(): Seat {
    const process = startDatabaseProcess({ limits, servedBy, onFrame: (frame) => take(seat, frame) })
    const seat: Seat = {
      process,
      lane: undefined,
      open: new Set(),
      only: undefined,
      isReady: false,
      late: false,
      timer: undefined,
    }
    seats.add(seat)
    process.exited.then(() => leave(seat))
    return seat
  }

  /** Its own when that is free, then any that is free, then a new one. */
  function seatFor(lane: Lane): Seat | undefined {
    if (lane.seat !== undefined && seats.has(lane.seat) && lane.seat.lane === undefined) return lane.seat
    for (const seat of seats) if (seat.lane === undefined) return seat
    return seats.size < limits.sqlProcesses ? startSeat() : undefined
  }

  function dispatch(lane: Lane): void {
    if (lane.running.size > 0 || lane.held !== undefined) return
    dropLate(lane)
    if (lane.waiting.length === 0) {
      standing.delete(lane)
      return
    }
    const seat = seatFor(lane)
    if (seat === undefined) {
      standing.add(lane)
      return
    }
    standing.delete(lane)
    if (lane.seat !== undefined && lane.seat !== seat) closeAt(lane.seat, lane.file)
    lane.seat = seat
    begin(seat, lane)
  }

  function dropLate(lane: Lane): void {
    const before = clock() - limits.sqlQueueMs
    while (lane.waiting.length > 0 && lane.waiting[0]!.queuedAt < before)
      lane.waiting.shift()!.resolve(refused('D1 DB is overloaded. Requests queued for too long.'))
  }

  function begin(seat: Seat, lane: Lane): void {
    let bytes = 0
    let count = 0
    while (count < lane.waiting.length && count < mostTogether && bytes < mostTogetherBytes)
      bytes += lane.waiting[count++]!.body.length
    const jobs = lane.waiting.splice(0, count)
    for (const job of jobs) lane.running.set(job.number, job)
    makeRoom(seat, lane.file)
    seat.lane = lane
    seat.only = jobs.length === 1 ? jobs[0]!.number : undefined
    watch(seat)
    const more = { file: lane.file, single: jobs.length === 1 }
    seat.process.send(jobs.map(({ head, body, number }) => ({ head: { ...head, ...more, number }, body })))
  }

  /** The time of a query begins when its process has started, which has a time of its own. */
  function watch(seat: Seat): void {
    clearTimeout(seat.timer)
    const stop = () => {
      seat.late = true
      seat.process.kill()
    }
    seat.timer = setTimeout(stop, seat.isReady ? limits.sqlQueryMs : limits.sqlStartMs)
  }

  /** The database that was used longest ago is closed when a process has too many open. */
  function makeRoom(seat: Seat, file: string): void {
    seat.open.delete(file)
    if (seat.open.size >= limits.sqlOpenDatabases) closeAt(seat, [...seat.open][0]!)
    seat.open.add(file)
  }

  function closeAt(seat: Seat, file: string, told?: () => void): void {
    if (!seat.open.delete(file) || !seats.has(seat)) {
      told?.()
      return
    }
    const number = ++lastNumber
    if (told !== undefined) closing.set(number, told)
    seat.process.send([{ head: { kind: 'close', number, file }, body: new Uint8Array(0) }])
  }

  function take(seat: Seat, { head, body }: Frame): void {
    const { lane } = seat
    const number = head.number as number
    if (head.kind === 'ready') {
      seat.isReady = true
      if (seat.lane !== undefined) watch(seat)
      return
    }
    closing.get(number)?.()
    closing.delete(number)
    const job = lane?.running.get(number)
    if (lane === undefined || job === undefined) return
    lane.running.delete(number)
    seat.timer?.refresh()
    job.resolve({ body, head, ...(head.refused !== undefined && { refused: head.refused as string }) })
    if (lane.running.size === 0) rest(seat, lane)
  }

  /** The process has nothing to do: others first, then the same database again. */
  function rest(seat: Seat, lane: Lane): void {
    seat.lane = undefined
    seat.only = undefined
    clearTimeout(seat.timer)
    seat.timer = setTimeout(() => dismiss(seat), limits.sqlIdleMs)
    seat.timer.unref()
    for (const told of lane.idle.splice(0)) told()
    const next = [...standing][0]
    if (lane.waiting.length > 0) standing.add(lane)
    if (next !== undefined) dispatch(next)
    dispatch(lane)
  }

  /** Only databases that are open somewhere, or wanted, are known. */
  function forget(file: string): void {
    const lane = lanes.get(file)
    if (lane === undefined || lane.waiting.length > 0 || lane.running.size > 0 || lane.held !== undefined) return
    if (![...seats].some((seat) => seat.open.has(file))) lanes.delete(file)
  }

  /** Nobody gets it any more; it closes what it has open, and ends. */
  function dismiss(seat: Seat): void {
    seats.delete(seat)
    leaving.add(seat)
    seat.process.end()
  }

  /** It is gone: what it had not begun runs elsewhere, what it was at is answered with why. */
  function leave(seat: Seat): void {
    seats.delete(seat)
    leaving.delete(seat)
    clearTimeout(seat.timer)
    const { lane } = seat
    if (lane !== undefined) {
      const left = [...lane.running.values()]
      lane.running.clear()
      // Killed while it ran a query, it had committed nothing that it had not told; after a crash nobody knows.
      const begun = seat.only ?? seat.process.begun()
      const again = seat.late ? left.filter(({ number }) => number !== begun) : []
      const lost = seat.late
        ? 'D1 DB storage operation exceeded timeout which caused object to be reset.'
        : 'Internal error in D1 DB storage caused object to be reset.'
      for (const job of left) if (!again.includes(job)) job.resolve(refused(lost))
      lane.waiting.unshift(...again)
      rest(seat, lane)
      clearTimeout(seat.timer)
    }
    for (const other of [...standing]) dispatch(other)
    for (const file of seat.open) forget(file)
  }

  /** Resolves when no process has the file open. */
  async function closeEverywhere(file: string): Promise<void> {
    const having = [...seats].filter((seat) => seat.open.has(file))
    const closed = (seat: Seat) => new Promise<void>((resolve) => closeAt(seat, file, resolve))
    const left = [...leaving].filter((seat) => seat.open.has(file)).map((seat) => seat.process.exited)
    await Promise.all([...having.map((seat) => Promise.race([closed(seat), seat.process.exited])), ...left])
  }

  async function holdAlone<Value>(lane: Lane, work: () => Promise<Value>, refusal: string | undefined) {
    lane.held = { refusal }
    if (lane.running.size > 0) await new Promise<void>((resolve) => lane.idle.push(resolve))
    try {
      await closeEverywhere(lane.file)
      return await work()
    } finally {
      lane.held = undefined
      dispatch(lane)
      forget(lane.file)
    }
  }

  return {
    run: (file, head, body) =>
      new Promise((resolve) => {
        const lane = laneOf(file)
        if (isClosed) return resolve(refused('The database is closed.'))
        if (lane.held?.refusal !== undefined) return resolve(refused(lane.held.refusal))
        if (lane.waiting.length >= limits.sqlQueue)
          return resolve(refused('D1 DB is overloaded. Too many requests queued.'))
        lane.waiting.push({ number: ++lastNumber, head, body, queuedAt: clock(), resolve })
        dispatch(lane)
      }),
    alone(file, work, refusal) {
      const lane = laneOf(file)
      const done = lane.turn.then(() => holdAlone(lane, work, refusal))
      lane.turn = done.catch(() => {})
      return done
    },
    async close() {
      isClosed = true
      for (const { waiting } of lanes.values())
        for (const job of waiting.splice(0)) job.resolve(refused('The database is closed.'))
      await Promise.all(
        [...seats, ...leaving].map(async (seat) => {
          seat.process.end()
          await seat.process.exited
        }),
      )
    },
  }
}
