/** Compute programs: the whole path under load, and what a fresh sandbox costs on the path of one request. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defaultLimits } from '#/core/limits.ts'
import type { Blobs, ProgramRequest } from '#/core/ports.ts'
import type { Deployment, Program } from '#/core/snapshot.ts'
import { type ComputeEngine, createComputeEngine } from '#/engines/compute/engine.ts'
import {
  newScriptProgram,
  nodeHello,
  scriptModule,
  scriptProgram,
  sdkVersion,
  smallModule,
  smallProgram,
} from '../peers/compute.ts'
import type { BenchRow, BenchTable } from '../row.ts'
import { median, quantile, show } from '../statistics.ts'
import { contestRow, withConnections } from './contest.ts'

const warm = contestRow({
  name: 'compute-warm',
  title: 'Compute, warm: hello world, 32 connections',
  how: 'Edge and engine without a control plane; CPU is that of the whole process tree. Each request has a fresh sandbox.',
  pageBytes: 15,
  load: withConnections(32),
  peers: [nodeHello, smallProgram, scriptProgram, newScriptProgram],
})

const requests = 2_000

/**
 * One program and its engine in this process, asked one at a time. The call that runs nothing comes after each answer, and is
 * answered when the instance was made as new; `wait` lets time go by after either.
 */
async function sandbox(
  name: string,
  module: Uint8Array,
  wait: (() => Promise<unknown>) | undefined,
): Promise<{ row: string[]; failures: string[] }> {
  const { engine, end } = await openEngine(async () => module)
  try {
    const program = programOf(name, 'module')
    const failures: string[] = []
    const asked: number[] = []
    const pinged: number[] = []
    for (let count = 0; count < requests; count++) {
      const began = performance.now()
      const answer = await engine.run(program, program.rollout[0]!.deployment, request)
      const answered = performance.now()
      if (answer.status !== 200) failures.push(`${name}: status ${answer.status}`)
      await wait?.()
      const before = performance.now()
      await ping(engine)
      pinged.push((performance.now() - before) * 1000)
      if (count > 200) asked.push((answered - began) * 1000)
      await wait?.()
    }
    const line = median(pinged)
    return {
      row: [
        name,
        show(median(asked)),
        show(line),
        show(median(asked) - line),
        show(quantile(asked, 0.99) - quantile(pinged, 0.99)),
      ],
      failures,
    }
  } finally {
    await end()
  }
}

async function openEngine(get: Blobs['get']): Promise<{ engine: ComputeEngine; end(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-sandbox-'))
  const engine = await createComputeEngine({
    folder: join(folder, 'engine'),
    runFolder: join(folder, 'run'),
    blobs: { get } as unknown as Blobs,
    limits: defaultLimits,
    clock: Date.now,
    pop: { id: 'fra', country: 'DE' },
    customer: 'bench',
    log: () => {},
    hostCalls: {},
  })
  return {
    engine,
    async end() {
      await engine.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 1))
const longPause = () => new Promise((resolve) => setTimeout(resolve, 10))

function ping(engine: ComputeEngine): Promise<unknown> {
  return engine.cells()[0]!.line.call({ do: 'ping' }, null).reply
}

function programOf(name: string, module: string): Program {
  const deployment: Deployment = {
    id: `d0000000-0000-4000-8000-${name.replace(/\D/g, '').padStart(12, '0')}`,
    program: name,
    number: 1,
    createdAt: 0,
    compute: {
      module,
      bytes: 0,
      service: { id: 'hello', version: 1 },
      backends: [],
      stores: [],
      logs: [],
    },
    bindings: [],
    limits: {},
  }
  return { name, rollout: [{ deployment, percent: 100 }], objects: [] }
}

const request: ProgramRequest = {
  method: 'GET',
  scheme: 'http',
  authority: 'hello.localhost',
  path: '/',
  headers: [],
  body: null,
  cf: '{}',
  id: '0123456789abcdef',
  client: { address: '127.0.0.1', port: 40_000 },
  serverAddress: '127.0.0.1',
  httpVersion: '1.1',
  received: [],
  wantsUpgrade: false,
  signal: new AbortController().signal,
}

const sandboxes: BenchRow = {
  name: 'compute-sandbox',
  versions: { 'js-compute': sdkVersion },
  async run({ progress }): Promise<BenchTable> {
    const measured: Awaited<ReturnType<typeof sandbox>>[] = []
    for (const [name, module] of [
      ['small module', await smallModule()] as const,
      ['JavaScript SDK', scriptModule()] as const,
    ]) {
      progress(name)
      measured.push(await sandbox(`${name}, a millisecond apart`, module, pause))
      measured.push(await sandbox(`${name}, one after the other`, module, undefined))
    }
    return {
      title: 'Compute: one request in a fresh sandbox, one at a time',
      how: `${requests} requests of each; the line is a call to the cell that runs nothing. What is left is the sandbox, the program itself, and what a request says more than nothing. A millisecond apart, the processor's caches hold other things each time.`,
      heading: ['program', 'p50 µs', 'of which the line', 'sandbox and program p50 µs', 'p99 less p99 of the line µs'],
      rows: measured.map(({ row }) => row),
      failures: measured.flatMap(({ failures }) => failures),
    }
  },
}

const coldPrograms = 20

/** First requests to programs that this process has prepared but never run; another program of the same code runs already. */
async function cold(name: string, module: Uint8Array): Promise<string[]> {
  const modules = new Map<string, Uint8Array>()
  for (let index = 0; index < coldPrograms + 1; index++) modules.set(`module${index}`, withNumber(module, index))
  const { engine, end } = await openEngine(async (hash) => modules.get(hash)!)
  try {
    const programs = [...modules.keys()].map((hash, index) => programOf(`${name} ${index}`, hash))
    for (const program of programs) await engine.prove(program, program.rollout[0]!.deployment)
    const times: number[] = []
    for (const [index, program] of programs.entries()) {
      const began = performance.now()
      await engine.run(program, program.rollout[0]!.deployment, request)
      // The first starts the process and compiles the code that all share.
      if (index > 0) times.push(performance.now() - began)
      await longPause()
    }
    return [name, show(median(times), 2), show(quantile(times, 0.9), 2)]
  } finally {
    await end()
  }
}

/** The same program with another text in its memory. */
function withNumber(module: Uint8Array, index: number): Uint8Array {
  const changed = Buffer.from(module)
  const at = changed.lastIndexOf('hello from')
  changed.write(`hello ${String(index).padStart(4, '0')}`, at)
  return changed
}

const coldStarts: BenchRow = {
  name: 'compute-cold',
  versions: { 'js-compute': sdkVersion },
  async run({ progress }): Promise<BenchTable> {
    progress('small modules')
    const small = await cold('small module', await smallModule())
    progress('the JavaScript SDK')
    const script = await cold('JavaScript SDK', scriptModule())
    return {
      title: 'Compute, cold: first request to a program that never ran here',
      how: `${coldPrograms} programs of each, 10 ms apart, prepared at their deploy, in a process that runs another program of the same SDK; from the engine's call to its answer.`,
      heading: ['program', 'p50 ms', 'p90 ms'],
      rows: [small, script],
      failures: [],
    }
  },
}

export const computeRows: readonly BenchRow[] = [warm, coldStarts, sandboxes]
