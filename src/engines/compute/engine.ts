/** The Compute engine: WebAssembly programs of Fastly Compute in cells, processes apart from those that hold connections. */
import { mkdir } from 'node:fs/promises'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Blobs, Engine, ProgramAnswer, ProgramRequest, Proof } from '#/core/ports.ts'
import type { Deployment, Program } from '#/core/snapshot.ts'
import type { Clock } from '#/core/units.ts'
import type { ComputeCell } from './cell.ts'
import { type Cells, type ComputeDeployment, createCells, toFailure } from './cells.ts'
import type { HostCalls } from './host-calls.ts'
import { runHead } from './program-facts.ts'
import { packRun, unpackAnswer } from './request-heads.ts'
import { missingPageScan } from './wasm/scan-pages.ts'
import { InBody, pumpInto, toReadable } from './wire-body.ts'

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
  /** Hears `module.name` of each host call that programs make, once a cell: which part of the ABI is in use. */
  readonly onCalled?: (name: string) => void
}

export interface ComputeEngine extends Engine {
  /** Why this machine starts each request in a new instance, which is slower; undefined: it resets them. */
  readonly slowReset: string | undefined
  /** What runs now, for figures. */
  cells(): readonly Pick<ComputeCell, 'pid' | 'inFlight' | 'line'>[]
}

/** Starts no process before the first program is asked for. */
export async function createComputeEngine(options: ComputeEngineOptions): Promise<ComputeEngine> {
  await mkdir(options.folder, { recursive: true })
  const cells = createCells(options)
  const slowReset = missingPageScan({ computeDropPages: options.limits.computeDropPages })
  if (slowReset !== undefined) options.log('Compute instances are not reset but made anew', { reason: slowReset })
  return {
    slowReset,
    cells: () => cells.open,
    run: (program, deployment, request) => run(cells, options.limits, program, needCompute(deployment), request),
    deliver: ({ name }, _deployment, { kind }) =>
      Promise.reject(
        new EdgeError(
          'program_start_failed',
          `${name} is a Compute program: it answers requests, and has no ${kind}().`,
        ),
      ),
    warm(program, deployment) {
      cells.warm(program, needCompute(deployment)).catch(() => {})
    },
    prove: (program, deployment) => prove(cells, { ...program, rollout: [] }, needCompute(deployment)),
    adopt: (snapshot) => cells.adopt(snapshot),
    async forget() {},
    close: () => cells.close(),
  }
}

function needCompute(deployment: Deployment): ComputeDeployment {
  if (deployment.compute === undefined)
    throw new EdgeError('internal', `${deployment.program} is not a Compute program.`)
  return deployment as ComputeDeployment
}

/** A module that compiles and links in a cell of its own may serve. */
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
  limits: Limits,
  program: Program,
  deployment: ComputeDeployment,
  request: ProgramRequest,
): Promise<ProgramAnswer> {
  const picked = cells.pick(deployment.id)
  const cell = picked instanceof Promise ? await picked : picked
  if (cell.inFlight >= limits.computeInFlight)
    throw new EdgeError('overloaded', `${limits.computeInFlight} requests are in this program's cell.`)
  const telling = cells.tell(cell, program, deployment)
  if (telling !== undefined) await telling
  const held = cells.hold(cell, program, deployment, request)
  const head = runHead(deployment, held.number, request)
  const call = cell.line.call(packRun(head), request.body === null ? null : 'stream', held)
  held.call = call
  if (request.body !== null) pumpInto(call.out!, request.body)
  try {
    const { packed, body } = await call.reply
    const answer = unpackAnswer(packed)
    if (answer === undefined) throw new EdgeError('internal', `The process of ${program.name} gave no answer.`)
    const { status, headers, start, over } = answer
    if (over === true) cells.release(held.number)
    if (held.handedOver !== undefined) return { ...held.handedOver, start }
    return { status, headers, start, body: body instanceof InBody ? toReadable(body) : body }
  } catch (failure) {
    throw toFailure(failure, program.name)
  }
}
