/**
 * Proves that a program starts: in a cell of its own, without traffic, with storage in memory, gone when the answer is
 * there.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { ProgramExport, Proof } from '#/core/ports.ts'
import type { Deployment, ObjectNamespace, Program, ProgramName, Sealed } from '#/core/snapshot.ts'
import { type Cell, cellSocket, startCell } from './cell.ts'
import { createCellClient } from './cell-client.ts'
import { cellConfig, socketOf } from './cell-config.ts'
import { type BlobSource, readFiles } from './cell-files.ts'
import { openHeld } from './open-held.ts'
import { cpuOf } from './process-cpu.ts'
import { readFailure } from './start-failure.ts'

export interface ProverOptions {
  /** For the proofs' private folders; short, because unix sockets lie in it. */
  readonly folder: string
  readonly blobs: BlobSource
  readonly open: (sealed: Sealed) => string
  readonly objectsOf: (program: ProgramName) => readonly ObjectNamespace[] | undefined
  readonly limits: Limits
}

export type Prove = (program: Pick<Program, 'name' | 'objects'>, deployment: Deployment) => Promise<Proof>

/** Makes `Engine.prove`. At most `limits.proofsAtOnce` run; others wait in line. */
export function createProver(options: ProverOptions): Prove {
  const waiting: (() => void)[] = []
  let running = 0
  let made = 0

  async function turn(): Promise<void> {
    if (running < options.limits.proofsAtOnce) running++
    else await new Promise<void>((resolve) => waiting.push(resolve))
  }

  /** The place goes straight to the next in line. */
  function done(): void {
    const next = waiting.shift()
    if (next === undefined) running--
    else next()
  }

  return async (program, deployment) => {
    if (deployment.code === undefined) return { ok: true, exports: [], startupMs: 0 }
    await turn()
    try {
      return await proveOnce(options, join(options.folder, `proof-${++made}`), program, deployment)
    } finally {
      done()
    }
  }
}

/** The kernel counts processor time in steps of so long. */
const cpuStepMs = 10

async function proveOnce(
  options: ProverOptions,
  folder: string,
  program: Pick<Program, 'name' | 'objects'>,
  deployment: Deployment,
): Promise<Proof> {
  const lines: string[] = []
  const { limits } = options
  let cell: Cell | undefined
  try {
    const { config, files } = cellConfig({
      program,
      deployments: [await openHeld(options.blobs, deployment)],
      open: options.open,
      objectsOf: options.objectsOf,
      socket: (name) => cellSocket(folder, name),
      backplane: join(folder, 'nobody'),
      storage: 'memory',
      purpose: 'prove',
      tails: false,
    })
    const begun = performance.now()
    cell = await startCell({
      name: `proof of ${program.name}`,
      config,
      folder,
      files: await readFiles(options.blobs, files),
      startMs: limits.programStartMs + limits.cellStartMs,
      experimental: false,
      onLine: (line) => lines.push(line),
    })
    // What it keeps a thread busy, not what a busy machine lets it wait.
    const startupMs = Math.min(Math.round(performance.now() - begun), cpuOf(cell.pid) + cpuStepMs)
    const exports = await exportsOf(cell, deployment, limits)
    return missingClass(program, lines) ?? withoutEvents(deployment, exports) ?? { ok: true, exports, startupMs }
  } catch (error) {
    if (!(error instanceof EdgeError) || error.code !== 'program_start_failed') throw error
    return readFailure(error.message, lines, { deployment, startMs: limits.programStartMs })
  } finally {
    cell?.kill()
    await cell?.exited
    rmSync(folder, { recursive: true, force: true })
  }
}

/** workerd only warns of this one, and would fail at the first call. */
function missingClass(program: Pick<Program, 'objects'>, lines: readonly string[]): Proof | undefined {
  const warned = lines.map((line) => /referenced the class "([^"]+)", but no such/.exec(line)?.[1])
  const missing = program.objects.find(({ className }) => warned.includes(className))
  if (missing === undefined) return undefined
  return {
    ok: false,
    message: `The program has Durable Objects of class ${missing.className} but exports no such class.`,
  }
}

function withoutEvents(deployment: Deployment, exports: readonly ProgramExport[]): Proof | undefined {
  if (deployment.code?.syntax !== 'script' || exports.some(({ handlers }) => handlers.length > 0)) return undefined
  return { ok: false, message: 'No event handlers were registered: the script does nothing.' }
}

async function exportsOf(cell: Cell, deployment: Deployment, limits: Limits): Promise<ProgramExport[]> {
  const client = createCellClient(cell.socket(socketOf(deployment)), limits)
  try {
    const signal = AbortSignal.timeout(limits.programStartMs)
    const request = { method: 'GET', path: '/', authority: 'proof', headers: [], body: null, signal }
    const { status, body } = await client.request(request)
    const bytes = body === null || body instanceof Uint8Array ? body : Buffer.concat(await body.toArray())
    if (status !== 200) throw new EdgeError('program_start_failed', 'The program does not say what it exports.')
    return JSON.parse(Buffer.from(bytes ?? '[]').toString()) as ProgramExport[]
  } finally {
    client.close()
  }
}
