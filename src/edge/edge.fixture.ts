/**
 * A real edge on real sockets with an engine that answers from a function, for this room's tests.
 */
import { connect, type Socket } from 'node:net'
import type { Readable } from 'node:stream'
import type { TestContext } from 'node:test'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import type { Assets, ProgramAnswer, ProgramRequest } from '#/core/ports.ts'
import type { Deployment, Program, Site, Snapshot } from '#/core/snapshot.ts'
import { createEdge, type Edge, type EdgeOptions } from './edge.ts'
import { createLog } from './log.ts'
import type { LogLine } from './log-line.ts'
import { createMetrics, type Metrics } from './metrics.ts'

export type Run = (request: ProgramRequest) => ProgramAnswer | Promise<ProgramAnswer>

export function aDeployment(change: Partial<Deployment> = {}): Deployment {
  return {
    id: 'd0000000-0000-4000-8000-000000000001',
    program: 'hello',
    number: 1,
    createdAt: 0,
    code: {
      syntax: 'modules',
      mainModule: 'index.js',
      modules: [],
      compatibilityDate: '2026-01-01',
      compatibilityFlags: [],
    },
    bindings: [],
    limits: {},
    ...change,
  }
}

export function aSnapshot(sites: readonly Site[], deployment = aDeployment()): Snapshot {
  const program: Program = { name: 'hello', rollout: [{ deployment, percent: 100 }], objects: [] }
  return { revision: 1, sites, programs: new Map([['hello', program]]) }
}

export function aSite(change: Partial<Site> = {}): Site {
  return {
    name: 'hello',
    hostnames: ['hello.localhost'],
    routes: [],
    target: { kind: 'program', program: 'hello' },
    ...change,
  }
}

export interface Started {
  readonly edge: Edge
  readonly port: number
  readonly tlsPort: number
  readonly lines: LogLine[]
  readonly metrics: Metrics
  /** Requests that reached the engine. */
  readonly seen: ProgramRequest[]
  /** Waits until `count` lines are logged and returns them. */
  logged(count: number): Promise<LogLine[]>
}

export interface StartOptions {
  readonly run?: Run
  readonly limits?: Partial<Limits>
  readonly options?: Partial<EdgeOptions>
}

export async function startEdge(t: TestContext, { run, limits, options }: StartOptions = {}): Promise<Started> {
  const lines: LogLine[] = []
  const seen: ProgramRequest[] = []
  const all = { ...defaultLimits, ...limits }
  const metrics = createMetrics({ limits: all, clock: Date.now })
  const snapshot = aSnapshot([aSite()])
  const edge = await createEdge({
    listen: { http: { host: '127.0.0.1', port: 0 } },
    snapshot: () => snapshot,
    engine: {
      warm() {},
      async run(_program, _deployment, request) {
        seen.push(request)
        return run === undefined ? hello() : await run(request)
      },
    },
    assets: noAssets,
    programFirst: () => true,
    egress: { fetch: () => Promise.reject(new Error('no egress here')) },
    log: createLog({ to: { write: (line) => void lines.push(JSON.parse(line)) }, limits: all, query: 'full' }),
    metrics,
    limits: all,
    clock: Date.now,
    pop: { id: 'fra', country: 'DE' },
    debug: false,
    ...options,
  })
  t.after(() => edge.close())
  return {
    edge,
    port: edge.addresses.http.port,
    tlsPort: edge.addresses.https?.port ?? 0,
    lines,
    metrics,
    seen,
    async logged(count) {
      await until(() => lines.length >= count)
      return lines
    },
  }
}

const noAssets: Assets = {
  match: async () => undefined,
  answer: async () => ({ status: 404, headers: [], body: null }),
}

export function hello(change: Partial<ProgramAnswer> = {}): ProgramAnswer {
  return { status: 200, headers: ['content-type', 'text/plain'], body: Buffer.from('hello'), start: 'warm', ...change }
}

/** Resolves when the condition holds; the test's own time limit ends a wait in vain. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
}

/** Sends bytes and returns everything that comes back until the other side closes. */
export async function rawExchange(port: number, bytes: string | readonly string[]): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' })
  for (const part of typeof bytes === 'string' ? [bytes] : bytes) socket.write(part, 'latin1')
  return readAll(socket)
}

export async function readAll(socket: Socket): Promise<string> {
  let text = ''
  socket.setEncoding('latin1')
  socket.on('data', (chunk: string) => {
    text += chunk
  })
  await new Promise<void>((resolve) => {
    socket.on('close', () => resolve())
    socket.on('error', () => resolve())
  })
  return text
}

export async function textOf(stream: Readable | null): Promise<string> {
  if (stream === null) return ''
  const parts: Buffer[] = []
  for await (const part of stream) parts.push(part as Buffer)
  return Buffer.concat(parts).toString()
}
