/** The Compute engine: WebAssembly programs of Fastly Compute in cells, processes apart from those that hold connections. */
import { mkdir, rename, stat, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { ComputeCode } from '#/core/compute.ts'
import { EdgeError, type ErrorCode, errorTable, toEdgeError } from '#/core/errors.ts'
import type { Answer } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { Blobs, Engine, ProgramAnswer, ProgramRequest, Proof } from '#/core/ports.ts'
import type { Deployment, Program } from '#/core/snapshot.ts'
import type { Clock } from '#/core/units.ts'
import { type ComputeCell, startCell } from './cell.ts'
import type { HostCalls, HostRun } from './host-calls.ts'
import { programFacts, runHead } from './program-facts.ts'
import { type AnswerHead, asHead, type HostHead } from './protocol.ts'
import { InBody, pumpInto, toReadable } from './wire-body.ts'
import { CallFailure, type InCall } from './wire-messages.ts'

export interface ComputeEngineOptions {
  /** Lasting, and derived: prepared modules. */
  readonly folder: string
  /** Sockets; short path, emptied at start. */
  readonly runFolder: string
  readonly blobs: Blobs
  readonly limits: Limits
  readonly clock: Clock
  readonly pop: { readonly id: string; readonly country: string }
  readonly customer: string
  readonly log: (message: string, facts?: object) => void
  readonly hostCalls: HostCalls
}

type ComputeDeployment = Deployment & { readonly compute: ComputeCode }

/** Starts no process before the first program is asked for. */
export async function createComputeEngine(options: ComputeEngineOptions): Promise<Engine> {
  await mkdir(join(options.folder, 'modules'), { recursive: true })
  const cells = createCells(options)
  return {
    run: (program, deployment, request) => run(cells, options, program, needCompute(deployment), request),
    warm(program, deployment) {
      cells
        .pick(deployment.id)
        .then((cell) => cells.load(cell, program, needCompute(deployment)))
        .catch(() => {})
    },
    prove: (program, deployment) => prove(cells, { ...program, rollout: [] }, needCompute(deployment)),
    async adopt(snapshot) {
      const serving = new Set<string>()
      for (const { rollout } of snapshot.programs.values())
        for (const { deployment } of rollout) serving.add(deployment.id)
      cells.retain(serving)
    },
    async forget() {},
    close: () => cells.close(),
  }
}

function needCompute(deployment: Deployment): ComputeDeployment {
  if (deployment.compute === undefined)
    throw new EdgeError('internal', `${deployment.program} is not a Compute program.`)
  return deployment as ComputeDeployment
}

interface Cells {
  pick(deployment: string): Promise<ComputeCell>
  load(cell: ComputeCell, program: Program, deployment: ComputeDeployment): Promise<void>
  /** A number for a request, under which its cell calls back until it says that the program has ended. */
  hold(cell: ComputeCell, run: Omit<HostRun, 'signal'>): number
  /** A cell for one proof. */
  spare(): Promise<ComputeCell>
  retain(serving: ReadonlySet<string>): void
  close(): Promise<void>
}

function createCells(options: ComputeEngineOptions): Cells {
  const { limits, log } = options
  const seats: (Promise<ComputeCell> | undefined)[] = new Array(Math.max(1, availableParallelism() - 1))
  const runs = new Map<number, HeldRun>()
  let nextRun = 1
  let started = 0
  let closed = false

  function open(): Promise<ComputeCell> {
    if (closed) throw new EdgeError('overloaded', 'The engine is closing.')
    const name = `c${started++}`
    return startCell({
      name,
      runFolder: options.runFolder,
      limits,
      onCall: (call) => answerCell(call, runs, options.hostCalls),
      onLine: (line) => log('cell says', { cell: name, line }),
    })
  }

  function seat(index: number): Promise<ComputeCell> {
    const starting = open()
    seats[index] = starting
    const free = () => {
      if (seats[index] === starting) seats[index] = undefined
    }
    starting.then((cell) => {
      cell.gone.then((reason) => {
        if (!closed) log('cell lost', { cell: cell.name, reason })
        for (const [number, held] of runs) if (held.cell === cell) endRun(runs, number)
        free()
      })
    }, free)
    return starting
  }

  return {
    async pick(deployment) {
      // The same program in the same cell, so that its instances are used again.
      const index = Number.parseInt(deployment.slice(0, 8), 16) % seats.length || 0
      return seats[index] ?? seat(index)
    },
    load(cell, program, deployment) {
      const held = cell.loaded.get(deployment.id)
      if (held !== undefined) return held
      const loading = loadInto(cell, options, program, deployment)
      cell.loaded.set(deployment.id, loading)
      loading.catch(() => cell.loaded.delete(deployment.id))
      return loading
    },
    hold(cell, run) {
      const number = nextRun++
      const aborter = new AbortController()
      runs.set(number, { cell, aborter, run: { ...run, signal: aborter.signal } })
      cell.inFlight++
      return number
    },
    spare: open,
    retain(serving) {
      for (const starting of seats)
        starting?.then(
          (cell) => {
            for (const id of cell.loaded.keys())
              if (!serving.has(id)) {
                cell.loaded.delete(id)
                cell.line.call(asHead({ do: 'unload', program: id }), null).reply.catch(() => {})
              }
          },
          () => {},
        )
    },
    async close() {
      closed = true
      await Promise.all(
        seats.map(async (starting) => {
          const cell = await starting?.catch(() => undefined)
          cell?.kill()
          await cell?.gone
        }),
      )
    },
  }
}

async function loadInto(
  cell: ComputeCell,
  options: ComputeEngineOptions,
  program: Program,
  deployment: ComputeDeployment,
): Promise<void> {
  const module = await prepareModule(options, deployment)
  const facts = programFacts(program, deployment, options)
  const head = asHead({ do: 'load', program: deployment.id, module, facts })
  try {
    await cell.line.call(head, null).reply
  } catch (failure) {
    throw toFailure(failure, program.name)
  }
}

/** The module as cells read it, made once and kept: it can always be made again from the blob. */
async function prepareModule({ folder, blobs }: ComputeEngineOptions, { compute }: ComputeDeployment): Promise<string> {
  const file = join(folder, 'modules', `${compute.module}.wasm`)
  if (await stat(file).catch(() => undefined)) return file
  const bytes = await blobs.get(compute.module)
  if (bytes === undefined) throw new EdgeError('internal', `The module ${compute.module} is missing from the blobs.`)
  const half = `${file}.${process.pid}.${performance.now()}`
  await writeFile(half, bytes)
  await rename(half, file)
  return file
}

async function prove(cells: Cells, program: Program, deployment: ComputeDeployment): Promise<Proof> {
  const cell = await cells.spare()
  const began = performance.now()
  try {
    await cells.load(cell, program, deployment)
    return { ok: true, exports: [], startupMs: performance.now() - began }
  } catch (failure) {
    if (failure instanceof EdgeError && failure.code === 'program_start_failed')
      return { ok: false, message: failure.message }
    throw failure
  } finally {
    cell.kill()
  }
}

async function run(
  cells: Cells,
  options: ComputeEngineOptions,
  program: Program,
  deployment: ComputeDeployment,
  request: ProgramRequest,
): Promise<ProgramAnswer> {
  const cell = await cells.pick(deployment.id)
  if (cell.inFlight >= options.limits.computeInFlight)
    throw new EdgeError('overloaded', `${options.limits.computeInFlight} requests are in this program's cell.`)
  if (!cell.loaded.has(deployment.id)) await cells.load(cell, program, deployment)
  else await cell.loaded.get(deployment.id)
  let handedOver: Answer | undefined
  const handOver = (answer: Answer) => {
    handedOver = answer
  }
  const head = runHead(deployment, cells.hold(cell, { program, deployment, request, handOver }), request)
  const call = cell.line.call(asHead(head), request.body === null ? null : 'stream', {
    onNote: ({ status, headers }) => request.onInformational?.(status as number, headers as string[]),
  })
  if (request.body !== null) pumpInto(call.out!, request.body)
  const giveUp = () => call.cancel()
  request.signal.addEventListener('abort', giveUp, { once: true })
  try {
    const { head: answer, body } = await call.reply
    const { status, headers, start } = answer as unknown as AnswerHead
    if (handedOver !== undefined) return { ...handedOver, start }
    return { status, headers, start, body: body instanceof InBody ? toReadable(body) : body }
  } catch (failure) {
    throw toFailure(failure, program.name)
  }
}

function toFailure(failure: unknown, name: string): EdgeError {
  if (!(failure instanceof CallFailure)) return toEdgeError(failure)
  if (failure.code in errorTable) return new EdgeError(failure.code as ErrorCode, failure.message)
  if (failure.code === 'cut') return new EdgeError('program_hung_up', `The process of ${name} ended.`)
  return new EdgeError('internal', failure.message)
}

interface HeldRun {
  readonly cell: ComputeCell
  readonly run: HostRun
  readonly aborter: AbortController
}

function endRun(runs: Map<number, HeldRun>, number: number): void {
  const held = runs.get(number)
  if (held === undefined) return
  runs.delete(number)
  held.cell.inFlight--
  held.aborter.abort()
}

function answerCell(call: InCall, runs: Map<number, HeldRun>, hostCalls: HostCalls): void {
  const { do: name, run: number } = call.head as unknown as HostHead
  if (name === 'over') {
    endRun(runs, number)
    call.reply({ head: {}, body: null })
    return
  }
  const run = runs.get(number)?.run
  const hostCall = Object.hasOwn(hostCalls, name) ? hostCalls[name] : undefined
  if (run === undefined || hostCall === undefined) {
    call.fail(new CallFailure('bad_request', `There is no ${run === undefined ? 'such request' : name}.`))
    return
  }
  Promise.resolve()
    .then(() => hostCall(run, call.head, call))
    .then(
      (reply) => reply && call.reply(reply),
      (thrown) => {
        const { code, message } = thrown instanceof CallFailure ? thrown : toEdgeError(thrown)
        call.fail(new CallFailure(code, message))
      },
    )
}
