/** Seats for shared cells and blank spares behind them: a cell that ends is replaced from the spares at once. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { BackplaneHandler } from './backplane.ts'
import { clearLeftovers } from './cell.ts'
import { readLoaderSources } from './loader-cell.ts'
import { residentBytes } from './process-memory.ts'
import { type SharedCell, startSharedCell } from './shared-cell.ts'

export interface Seat {
  readonly seat: number
  /** The cell that sits here now; pending while a new one comes. */
  cell: Promise<SharedCell>
}

export interface CellPool {
  readonly seats: readonly Seat[]
  /** A blank cell for the caller alone, who drops it. */
  takeSpare(): Promise<SharedCell>
  close(): Promise<void>
}

export interface CellPoolOptions {
  /** Short: sockets lie two levels below. */
  readonly runFolder: string
  readonly handlers: Readonly<Record<string, BackplaneHandler>>
  readonly limits: Limits
  readonly onLine: (cell: string, line: string) => void
  /** A seat's cell ended; its replacement is on its way. */
  readonly onLost: (cell: SharedCell, reason: string) => void
}

/** A cell starts in about 30 ms; several failures in a row are a fault of the machine. */
const startTries = 4
const refillMs = 1_000
const sweepMs = 1_000

/**
 * Says workerd this, or a program through its console? What programs write is for whoever follows them, not for the
 * node's log, which they could fill.
 */
const isOfRuntime = (line: string): boolean => /^\S+\.(c\+\+|h):\d+: |^\*\*\* /.test(line)

/** Starts all seats and spares; resolves when every seat can serve. */
export async function createCellPool(options: CellPoolOptions): Promise<CellPool> {
  const { limits, runFolder } = options
  clearLeftovers(runFolder)
  const sources = readLoaderSources()
  const all = new Set<SharedCell>()
  const spares: Promise<SharedCell>[] = []
  let count = 0
  let closing = false

  async function start(): Promise<SharedCell> {
    const name = `s${count++}`
    const folder = join(runFolder, name)
    const onLine = (line: string) => void (isOfRuntime(line) && options.onLine(name, line))
    const cell = await startSharedCell({ folder, name, sources, handlers: options.handlers, limits, onLine })
    all.add(cell)
    void cell.gone.then(() => {
      all.delete(cell)
      rmSync(folder, { recursive: true, force: true })
    })
    if (closing) cell.drop()
    return cell
  }

  function startSpare(): void {
    const spare = start()
    // Whoever takes it hears of the failure.
    spare.catch(() => {})
    spares.push(spare)
  }

  /** Spares that failed or died while they waited are passed over; a fresh cell that fails is tried again. */
  async function takeSpare(): Promise<SharedCell> {
    let failure: unknown
    for (let tries = 0; tries < startTries; tries++) {
      if (closing) throw new EdgeError('overloaded', 'The engine is closing.')
      const next = spares.shift() ?? start()
      while (spares.length < limits.spareCells) startSpare()
      try {
        const cell = await next
        if (all.has(cell)) return cell
      } catch (error) {
        failure = error
      }
    }
    throw new EdgeError('overloaded', 'No cell could be started.', { cause: failure })
  }

  /** Puts a cell on a seat, and the next one when that has ended. */
  function fill(seat: Seat): void {
    const taken = takeSpare()
    seat.cell = taken
    taken.then(
      (cell) =>
        void cell.gone.then((reason) => {
          if (closing || seat.cell !== taken) return
          fill(seat)
          options.onLost(cell, reason)
        }),
      (error: unknown) => {
        if (closing) return
        options.onLine('pool', String(error))
        setTimeout(() => closing || fill(seat), refillMs).unref()
      },
    )
  }

  const seats = Array.from({ length: limits.cells }, (_, seat) => ({ seat }) as Seat)
  for (let index = 0; index < limits.spareCells; index++) startSpare()
  for (const seat of seats) fill(seat)
  await Promise.all(seats.map((seat) => seat.cell))

  /** Cells that grew too large finish what they have in flight, then end. */
  const retired = new Map<SharedCell, number>()
  async function sweep(): Promise<void> {
    for (const seat of seats) {
      const cell = await seat.cell.catch(() => undefined)
      const bytes = cell === undefined ? 0 : residentBytes(cell.cell.pid)
      if (cell === undefined || bytes <= limits.cellBytes || closing) continue
      if (bytes > 2 * limits.cellBytes) {
        // Growing faster than it could be replaced in peace: what is in flight there is under suspicion.
        cell.hung = true
        cell.drop()
        continue
      }
      options.onLine(cell.cell.name, 'grew beyond its limit and is replaced')
      fill(seat)
      retired.set(cell, performance.now() + limits.drainMs)
    }
    for (const [cell, until] of retired) {
      if (cell.busy.size > 0 && performance.now() < until) continue
      retired.delete(cell)
      cell.drop()
    }
  }
  const sweeping = setInterval(() => void sweep(), sweepMs)
  sweeping.unref()

  return {
    seats,
    takeSpare,
    async close() {
      closing = true
      clearInterval(sweeping)
      await Promise.allSettled(spares)
      const ending = [...all]
      for (const cell of ending) cell.drop()
      await Promise.all(ending.map((cell) => cell.gone))
    },
  }
}
