/** The cells of one node: which program runs where, what is in flight in them, and what is done with one that hangs. */
import { availableParallelism } from 'node:os'
import type { ComputeCode } from '#/core/compute.ts'
import { EdgeError, type ErrorCode, errorTable, toEdgeError } from '#/core/errors.ts'
import type { ProgramRequest } from '#/core/ports.ts'
import type { Deployment, Program, Snapshot } from '#/core/snapshot.ts'
import { answerCell, endRun, hearCell, type Runs } from './answer-cell.ts'
import { type ComputeCell, type LoadedProgram, startCell } from './cell.ts'
import type { ComputeEngineOptions } from './engine.ts'
import { HeldRun } from './held-run.ts'
import { ping } from './hung-cells.ts'
import { createSheets, type Sheets } from './prepare-sheets.ts'
import { programFacts } from './program-facts.ts'
import { asHead } from './protocol.ts'
import { Slots } from './slots.ts'
import { CallFailure } from './wire-messages.ts'

export type ComputeDeployment = Deployment & { readonly compute: ComputeCode }

export interface Cells {
  /** Started cells, for tests and figures. */
  readonly open: readonly ComputeCell[]
  /** At once where it runs already. */
  pick(deployment: string): ComputeCell | Promise<ComputeCell>
  /**
   * Undefined where the cell was told of the program, else resolves when it was: a request may go to the cell right behind
   * that, and waits there. Rejects with what makes it impossible.
   */
  tell(cell: ComputeCell, program: Program, deployment: ComputeDeployment): Promise<void> | undefined
  /** Resolves when the program can run there. Rejects with `program_start_failed`. */
  load(cell: ComputeCell, program: Program, deployment: ComputeDeployment): Promise<void>
  /** As `load`, ahead of the first request: its code is compiled too. */
  warm(program: Program, deployment: ComputeDeployment): Promise<void>
  /** Gives a request a number, under which its cell calls back until it says that the program has ended. */
  hold(cell: ComputeCell, program: Program, deployment: ComputeDeployment, request: ProgramRequest): HeldRun
  /** The program has ended. */
  release(run: number): void
  /** A cell for one proof; the caller kills it. */
  spare(): Promise<ComputeCell>
  /** Warms what takes the place of loaded programs, unloads what no longer serves, tells cells of changed dictionaries. */
  adopt(snapshot: Snapshot): Promise<void>
  close(): Promise<void>
}

/** A cell's place; empty until a program is first asked for. */
interface Seat {
  readonly starting: Promise<ComputeCell>
  cell: ComputeCell | undefined
}

/** A client that has left is noticed after one to two of these. */
const attendMs = 50

export function createCells(options: ComputeEngineOptions): Cells {
  const { limits, log } = options
  // One core is left to the node itself.
  const seats: (Seat | undefined)[] = new Array(Math.max(1, availableParallelism() - 1)).fill(undefined)
  const cells = new Set<ComputeCell>()
  const runs: Runs = new Slots()
  const sheets = createSheets(options, () => open({ checks: true }))
  let started = 0
  /** `erased` of the Snapshot for which prepared modules were looked through. */
  let swept = 0
  let closed = false

  async function open(purpose: { readonly checks: boolean } = { checks: false }): Promise<ComputeCell> {
    if (closed) throw new EdgeError('overloaded', 'The engine is closing.')
    const name = `c${started++}`
    let asker: ComputeCell | undefined
    const cell = await startCell({
      name,
      runFolder: options.runFolder,
      limits,
      ...purpose,
      onCall: (call) => answerCell(call, asker, runs, options.hostCalls),
      tellCalls: options.onCalled !== undefined,
      onTell: (head) => hearCell(head, asker, runs, options),
      onLine: (line) => log('cell says', { cell: name, line }),
    })
    asker = cell
    cells.add(cell)
    cell.gone.then((reason) => {
      cells.delete(cell)
      if (!closed && !cell.ended) log('cell lost', { cell: name, reason })
      for (const held of runs.all()) if (held.cell === cell) endRun(runs, held.number)
    })
    return cell
  }

  function seat(index: number): Promise<ComputeCell> {
    const seat: Seat = { starting: open(), cell: undefined }
    seats[index] = seat
    const free = () => {
      if (seats[index] === seat) seats[index] = undefined
    }
    seat.starting.then((cell) => {
      seat.cell = cell
      cell.gone.then(free)
    }, free)
    return seat.starting
  }

  const pinging = setInterval(() => {
    for (const cell of cells) if (cell.inFlight > 0) ping(cell, options)
  }, limits.computePingMs)
  pinging.unref()

  let attending: NodeJS.Timeout | undefined
  function attend(): void {
    const held = runs.all()
    for (const run of held) run.attend()
    attending = held.length > 0 ? setTimeout(attend, attendMs) : undefined
  }

  function pick(deployment: string): ComputeCell | Promise<ComputeCell> {
    // The same program in the same cell, so that its instances are used again; a busy one shares with the others.
    const home = Number.parseInt(deployment.slice(0, 8), 16) % seats.length || 0
    let best = home
    const busy = (index: number) => seats[index]?.cell?.inFlight ?? 0
    if (busy(home) >= limits.computeSpread)
      for (let index = 0; index < seats.length; index++) if (busy(index) < busy(best)) best = index
    const chosen = seats[best]
    return chosen?.cell ?? chosen?.starting ?? seat(best)
  }

  function load(
    cell: ComputeCell,
    program: Program,
    deployment: ComputeDeployment,
    ahead: { readonly rehearse: boolean } = { rehearse: false },
  ): LoadedProgram {
    const held = cell.loaded.get(deployment.id)
    if (held !== undefined) return held
    const { promise: told, resolve: onTold, reject } = Promise.withResolvers<void>()
    const ready = loadInto(cell, options, program, deployment, { sheets, onTold, ...ahead })
    const loading: LoadedProgram = { told, ready, program: program.name, lookups: program.lookups }
    cell.loaded.set(deployment.id, loading)
    const settle = () => {
      loading.told = undefined
    }
    told.then(settle, settle)
    ready.catch((failure) => {
      reject(failure)
      cell.loaded.delete(deployment.id)
      unload(cell, deployment.id)
    })
    return loading
  }

  async function warm(program: Program, deployment: ComputeDeployment): Promise<void> {
    const cell = await pick(deployment.id)
    await load(cell, program, deployment, { rehearse: true }).ready
  }

  /** Deployments that take the place of loaded ones. What fails here fails again, and is told, when it is asked for. */
  async function warmSuccessors(snapshot: Snapshot): Promise<void> {
    const held = new Set([...cells].flatMap((cell) => [...cell.loaded.values()].map(({ program }) => program)))
    const warming = [...held].flatMap((name) => {
      const program = snapshot.programs.get(name)
      const next = program?.rollout.filter(({ deployment }) => deployment.compute !== undefined) ?? []
      return next.map(({ deployment }) => warm(program!, deployment as ComputeDeployment))
    })
    if (warming.length === 0) return
    const enough = Promise.withResolvers<void>()
    const timer = setTimeout(enough.resolve, limits.computeStartMs)
    await Promise.race([Promise.allSettled(warming), enough.promise])
    clearTimeout(timer)
  }

  return {
    get open() {
      return [...cells]
    },
    pick,
    tell: (cell, program, deployment) => load(cell, program, deployment).told,
    load: (cell, program, deployment) => load(cell, program, deployment).ready,
    warm,
    hold(cell, program, deployment, request) {
      const held = new HeldRun(cell, program, deployment, request)
      held.number = runs.add(held)
      cell.inFlight++
      attending ??= setTimeout(attend, attendMs)
      return held
    },
    release: (run) => endRun(runs, run),
    spare: () => open(),
    async adopt(snapshot) {
      await warmSuccessors(snapshot)
      for (const cell of cells) refresh(cell, snapshot)
      const { erased = 0 } = snapshot
      if (erased <= swept) return
      await sheets.sweep()
      swept = erased
    },
    async close() {
      closed = true
      clearInterval(pinging)
      clearTimeout(attending)
      await Promise.allSettled(seats.map((one) => one?.starting))
      const ending = [...cells]
      for (const cell of ending) cell.kill()
      await Promise.all(ending.map(({ exited }) => exited))
    },
  }
}

function refresh(cell: ComputeCell, snapshot: Snapshot): void {
  for (const [id, held] of cell.loaded) {
    const program = snapshot.programs.get(held.program)
    const isServed = program?.rollout.some(({ deployment }) => deployment.id === id)
    if (program === undefined || !isServed) {
      cell.loaded.delete(id)
      unload(cell, id)
    } else if (program.lookups !== held.lookups) {
      held.lookups = program.lookups
      const head = { do: 'dictionaries', program: id, dictionaries: program.lookups?.tables ?? {} }
      cell.line.call(asHead(head), null).reply.catch(() => {})
    }
  }
}

function unload(cell: ComputeCell, id: string): void {
  cell.line.call(asHead({ do: 'unload', program: id }), null).reply.catch(() => {})
}

interface LoadOptions {
  readonly sheets: Pick<Sheets, 'of'>
  readonly rehearse: boolean
  readonly onTold: () => void
}

async function loadInto(
  cell: ComputeCell,
  options: ComputeEngineOptions,
  program: Program,
  deployment: ComputeDeployment,
  { sheets, rehearse, onTold }: LoadOptions,
): Promise<void> {
  const sheet = await sheets.of(deployment.compute)
  const facts = programFacts(program, deployment, options)
  try {
    const { reply } = cell.line.call(asHead({ do: 'load', program: deployment.id, sheet, facts, rehearse }), null)
    onTold()
    await reply
  } catch (failure) {
    throw toFailure(failure, program.name)
  }
}

/** What a cell says of a failure, as the node's own. */
export function toFailure(failure: unknown, name: string): EdgeError {
  if (!(failure instanceof CallFailure)) return toEdgeError(failure)
  if (Object.hasOwn(errorTable, failure.code)) return new EdgeError(failure.code as ErrorCode, failure.message)
  if (failure.code === 'cut') return new EdgeError('program_hung_up', `The process of ${name} ended.`)
  if (failure.code === 'cancelled') return new EdgeError('client_gone', 'The client left.')
  return new EdgeError('internal', failure.message)
}
