/** One process that runs Compute programs, and the line to it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Program } from '#/core/snapshot.ts'
import type { CellLimits } from './inside/program.ts'
import { openLine } from './wire.ts'
import type { Head, InCall, Line } from './wire-messages.ts'

export interface LoadedProgram {
  /** Until the cell was told of it: requests may go behind that. */
  told: Promise<void> | undefined
  readonly ready: Promise<void>
  readonly program: string
  lookups: Program['lookups']
}

export interface ComputeCell {
  readonly name: string
  readonly pid: number
  readonly line: Line
  /** Ids of the deployments it has loaded, or is loading. */
  readonly loaded: Map<string, LoadedProgram>
  /** Requests in it. */
  inFlight: number
  /** A ping is on its way. */
  pinged: boolean
  /** It was ended on purpose. */
  ended: boolean
  /** It takes no more calls: its line is cut, or it has ended. */
  readonly gone: Promise<string>
  readonly exited: Promise<string>
  kill(): void
}

export interface CellOptions {
  readonly name: string
  /** For its socket: short (< 80 bytes), existing. */
  readonly runFolder: string
  readonly limits: Limits
  /** It compiles modules that nobody has checked: everything is validated at once, not when it is first called. */
  readonly checks: boolean
  readonly onCall: (call: InCall) => void
  readonly onTell: (head: Head) => void
  readonly onLine: (line: string) => void
  /** The cell tells which host calls are made. */
  readonly tellCalls: boolean
}

/** MiB. V8's own choice keeps 50 MiB more of a busy cell's memory, at the same speed. */
const youngGeneration = 2

/**
 * V8's own choice is 13 million: a function that each request calls once then runs for thousands of requests as the
 * first compiler made it.
 */
const tieringBudget = 1_300_000

const entry = fileURLToPath(new URL('inside/cell.ts', import.meta.url))

/** Resolves when the cell has called back. Rejects with `program_start_failed`. */
export async function startCell(options: CellOptions): Promise<ComputeCell> {
  const { name, limits } = options
  mkdirSync(options.runFolder, { recursive: true, mode: 0o700 })
  const path = join(options.runFolder, `${name}.s`)
  rmSync(path, { force: true })
  const server = createServer()
  const connected = new Promise<Socket>((resolve) => server.once('connection', resolve))
  server.listen(path)
  const flags = ['--disable-warning=ExperimentalWarning', `--max-semi-space-size=${youngGeneration}`]
  flags.push(`--wasm-max-mem-pages=${limits.computeMemoryPages}`)
  flags.push(`--wasm-tiering-budget=${tieringBudget}`)
  if (!options.checks) flags.push('--wasm-lazy-validation')
  const child = spawn(process.execPath, [...flags, entry, path, JSON.stringify(cellLimits(options))], {
    env: {},
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  for (const stream of [child.stdout!, child.stderr!]) tellLines(stream, options.onLine)
  const exited = exitOf(child)
  try {
    const socket = await Promise.race([connected, failure(exited), timeout(limits.computeStartMs)])
    const { promise: cut, resolve: onCut } = Promise.withResolvers<string>()
    const line = openLine(socket, {
      frameBytes: limits.computeFrameBytes,
      windowBytes: limits.computeWindowBytes,
      onCall: options.onCall,
      onTell: options.onTell,
      onCut,
    })
    cut.then(() => child.kill('SIGKILL'))
    const cell: ComputeCell = {
      name,
      pid: child.pid!,
      line,
      loaded: new Map(),
      inFlight: 0,
      pinged: false,
      ended: false,
      gone: Promise.race([cut, exited]),
      exited,
      kill() {
        cell.ended = true
        child.kill('SIGKILL')
      },
    }
    return cell
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  } finally {
    server.close()
    rmSync(path, { force: true })
  }
}

function cellLimits({ limits, tellCalls }: CellOptions): CellLimits {
  return {
    cpuMs: limits.computeCpuMs,
    warmUpMs: limits.computeWarmUpMs,
    wallMs: limits.computeWallMs,
    handles: limits.computeHandles,
    bodyBytes: limits.computeBodyBytes,
    fetches: limits.computeFetches,
    headerBytes: limits.headerBytes,
    urlBytes: limits.urlBytes,
    frameBytes: limits.computeFrameBytes,
    windowBytes: limits.computeWindowBytes,
    logBytes: limits.computeLogBytes,
    idleInstances: limits.computeIdleInstances,
    idleMs: limits.computeIdleMs,
    reuseRequests: limits.computeReuseRequests,
    reuseMs: limits.computeReuseMs,
    reuseIdleMs: limits.computeReuseIdleMs,
    dropPages: limits.computeDropPages,
    tellCalls,
  }
}

function exitOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('close', (code, signal) => resolve(signal === null ? `exited with code ${code}` : `killed by ${signal}`))
    child.once('error', (error) => resolve(error.message))
  })
}

async function failure(exited: Promise<string>): Promise<never> {
  throw new EdgeError('program_start_failed', `The cell ended before it was ready: ${await exited}.`)
}

function timeout(ms: number): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new EdgeError('program_start_failed', `The cell was not ready in ${ms} ms.`)), ms).unref()
  })
}

function tellLines(stream: NodeJS.ReadableStream, tell: (line: string) => void): void {
  let rest = ''
  stream.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop()!.slice(-4096)
    for (const line of lines) tell(line)
  })
}
