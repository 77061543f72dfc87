/** For tests of this room: an engine with small in-memory stand-ins for the ports of other rooms. */

import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import type { Answer, HeaderList } from '#/core/exchange.ts'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import type {
  EgressRequest,
  Engine,
  KvStores,
  KvValue,
  ProgramAnswer,
  ProgramCache,
  ProgramCall,
  ProgramRequest,
} from '#/core/ports.ts'
import type { Binding, Deployment, Program, ProgramModule, Snapshot } from '#/core/snapshot.ts'
import type { Trace } from '#/core/traces.ts'
import { createWorkerdEngine, type WorkerdEngineOptions } from './engine.ts'

export interface StagedProgram {
  readonly name: string
  /** Module name → content; `main.js` is the main module. A name's ending tells its kind. */
  readonly modules: Readonly<Record<string, string | Uint8Array>>
  readonly bindings?: readonly Binding[]
  readonly date?: string
  readonly flags?: readonly string[]
  /** More than a shared cell allows gives it a cell of its own. */
  readonly cpuMs?: number
  /** It runs in another engine: the stage's `callProgram` answers. */
  readonly compute?: true
  readonly objects?: Program['objects']
  readonly within?: Program['within']
}

export interface Stage {
  readonly engine: Engine
  readonly traces: Trace[]
  readonly traced: Set<string>
  readonly logged: string[]
  egress: (request: EgressRequest) => Promise<Answer>
  callProgram: (program: string, call: ProgramCall) => Promise<Answer>
  readonly folder: string
  add(program: StagedProgram): Promise<Program>
  /** A program as another stage made it. */
  take(program: Program): Promise<Program>
  fetch(program: string, path: string, more?: Partial<ProgramRequest>): Promise<ProgramAnswer>
  /** Process ids of the cells there are, oldest first: the seats' before the spares'. */
  cellPids(): number[]
  /** Of the cells that one program has for itself. */
  ownPids(): number[]
  close(): Promise<void>
}

const kinds: Record<string, ProgramModule['kind']> = {
  js: 'esm',
  cjs: 'cjs',
  txt: 'text',
  bin: 'data',
  json: 'json',
  wasm: 'wasm',
}

/** Starts an engine in a folder of its own. */
export async function openStage(
  limits: Partial<Limits> = {},
  more: Partial<Pick<WorkerdEngineOptions, 'ownCells' | 'pops' | 'homed'>> & {
    /** Shared by the stages of several nodes, which `take` each other's programs. */
    readonly blobs?: Map<string, Uint8Array>
  } = {},
): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'rw-'))
  const { blobs = new Map<string, Uint8Array>(), ...parts } = more
  const programs = new Map<string, Program>()
  const traces: Trace[] = []
  const traced = new Set<string>()
  const logged: string[] = []
  let revision = 0
  const stage: Stage = {
    engine: await createWorkerdEngine({
      folder: join(folder, 'data'),
      runFolder: join(folder, 'run'),
      blobs: { get: async (hash: string) => blobs.get(hash) } as WorkerdEngineOptions['blobs'],
      kv: memoryKv(),
      dialer: {
        dial: async ({ host }) => {
          throw new EdgeError('egress_refused', `${host} cannot be reached from here.`)
        },
      },
      secrets: { get: async () => undefined },
      homed: {
        self: 'local',
        home: async () => 'local',
        serve: () => {},
        call: async ({ kind, id }) => {
          throw new EdgeError('store_unknown', `There is no ${kind} ${id}.`)
        },
      },
      seal: { seal: (text) => `sealed ${text}`, open: (sealed) => sealed.slice(7) },
      assets: {
        match: async () => undefined,
        answer: async (_files, { method, host, path }) => plain(200, `file ${method} ${host}${path}`),
      },
      egress: { fetch: (request) => stage.egress(request), close: async () => {} },
      callProgram: (name, call) => stage.callProgram(name, call),
      programCache: memoryCache(),
      purge: async () => {},
      traces: { emit: (trace) => void traces.push(trace), wanted: (name) => traced.has(name), listen: () => () => {} },
      limits: { ...defaultLimits, ...limits },
      clock: Date.now,
      log: (message, facts) => void logged.push(`${message} ${JSON.stringify(facts)}`),
      ...parts,
    }),
    folder,
    traces,
    traced,
    logged,
    egress: async ({ url }) => plain(200, `outside ${url}`),
    callProgram: async (name) => plain(200, `answered by ${name}`),
    async add(staged) {
      const deployment = deploymentOf(staged, blobs)
      const { name, objects = [], within } = staged
      const rollout = [{ deployment, percent: 100 }]
      return stage.take({ name, rollout, objects, ...(within && { within }) })
    },
    async take(program) {
      programs.set(program.name, program)
      const snapshot: Snapshot = { revision: ++revision, sites: [], programs: new Map(programs) }
      await stage.engine.adopt(snapshot)
      return program
    },
    fetch(name, path, request = {}) {
      const program = programs.get(name)!
      return stage.engine.run(program, program.rollout[0]!.deployment, {
        method: 'GET',
        scheme: 'https',
        authority: `${name}.example`,
        path,
        headers: [],
        body: null,
        cf: '{"colo":"TST"}',
        id: '0123456789abcdef',
        client: { address: '192.0.2.1', port: 40_000 },
        serverAddress: '192.0.2.2',
        httpVersion: '1.1',
        received: [],
        wantsUpgrade: false,
        signal: new AbortController().signal,
        ...request,
      })
    },
    cellPids: () => pidsIn(join(folder, 'run')),
    ownPids: () => pidsIn(join(folder, 'run-own')),
    async close() {
      await stage.engine.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
  return stage
}

function pidsIn(run: string): number[] {
  const names = readdirSync(run).sort((one, other) => Number(one.slice(1)) - Number(other.slice(1)))
  return names.flatMap((name) => {
    try {
      return [Number.parseInt(readFileSync(join(run, name, 'pid'), 'utf8'), 10)]
    } catch {
      return []
    }
  })
}

function deploymentOf(staged: StagedProgram, blobs: Map<string, Uint8Array>): Deployment {
  const modules = Object.entries(staged.modules).map(([name, content]): ProgramModule => {
    const bytes = Buffer.from(content)
    const blob = createHash('sha256').update(bytes).digest('hex')
    blobs.set(blob, bytes)
    return { name, kind: kinds[name.split('.').at(-1)!]!, blob, bytes: bytes.length }
  })
  const head = { id: crypto.randomUUID(), program: staged.name, number: 1, createdAt: 1_700_000_000_000, tag: 'v1' }
  if (staged.compute) {
    const compute = { module: '', bytes: 0, service: { id: '', version: 1 }, backends: [], stores: [], logs: [] }
    return { ...head, compute, bindings: [], limits: {} }
  }
  return {
    ...head,
    code: {
      syntax: 'modules',
      mainModule: 'main.js',
      modules,
      compatibilityDate: staged.date ?? '2026-01-01',
      compatibilityFlags: staged.flags ?? [],
    },
    bindings: staged.bindings ?? [],
    assets: {
      manifest: '',
      files: 1,
      htmlHandling: 'none',
      notFoundHandling: 'none',
      runProgramFirst: true,
    },
    limits: staged.cpuMs === undefined ? {} : { cpuMs: staged.cpuMs },
  }
}

/** A short answer in plain text. */
export function plain(status: number, text: string, headers: HeaderList = []): Answer {
  return { status, headers: ['content-length', String(Buffer.byteLength(text)), ...headers], body: Buffer.from(text) }
}

/** The whole body as text. */
export async function bodyText(answer: Answer): Promise<string> {
  if (answer.body === null) return ''
  if (answer.body instanceof Readable) return Buffer.concat(await answer.body.toArray()).toString()
  return Buffer.from(answer.body).toString()
}

function memoryKv(): KvStores {
  const stores = new Map<string, Map<string, KvValue>>()
  const of = (store: string) => stores.get(store) ?? stores.set(store, new Map()).get(store)!
  return {
    get: async (store, key) => of(store).get(key),
    put: async (store, key, value) => of(store).set(key, value).size,
    delete: async (store, key) => of(store).delete(key),
    clear: async (store) => of(store).clear(),
    async list(store, { prefix = '', cursor = '', limit }) {
      const all = [...of(store)].filter(([name]) => name.startsWith(prefix) && name > cursor).sort()
      const keys = all.slice(0, limit).map(([name, { value: _, ...rest }]) => ({ name, ...rest }))
      return all.length > limit ? { keys, cursor: keys.at(-1)!.name } : { keys }
    },
  }
}

/** Keeps everything; what may be kept and for how long is another room's to decide. */
function memoryCache(): ProgramCache {
  const kept = new Map<string, Answer>()
  const keyOf = ({ program, name }: { program: string; name: string }, url: string) => `${program} ${name} ${url}`
  return {
    match: async (place, { url }) => kept.get(keyOf(place, url)),
    async put(place, url, answer) {
      const { body } = answer
      const bytes = body === null || body instanceof Uint8Array ? body : Buffer.concat(await body.toArray())
      kept.set(keyOf(place, url), { ...answer, body: bytes })
      return true
    },
    delete: async (place, url) => kept.delete(keyOf(place, url)),
  }
}
