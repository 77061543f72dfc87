/** An engine with programs written in WebAssembly text, for tests. */
import { createHash, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import loadWabt from 'wabt'
import type { ComputeCode } from '#/core/compute.ts'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import type { Blobs, ProgramAnswer, ProgramRequest } from '#/core/ports.ts'
import type { Deployment, Program } from '#/core/snapshot.ts'
import { noteCalled } from './called.fixture.ts'
import { type ComputeEngine, createComputeEngine } from './engine.ts'
import type { HostCalls } from './host-calls.ts'

export interface ComputeStage {
  readonly engine: ComputeEngine
  /** By their hash. */
  readonly blobs: Map<string, Uint8Array>
  readonly logged: object[]
  /** Of everything that the engine keeps. */
  readonly folder: string
  /** Requests in all cells. */
  requests(): number
  cells(): readonly { readonly pid: number; readonly inFlight: number }[]
  add(name: string, wasm: Uint8Array, code?: Partial<ComputeCode>, rest?: Pick<Program, 'lookups'>): Program
  ask(program: Program, path?: string, request?: Partial<ProgramRequest>): Promise<ProgramAnswer>
}

export async function openCompute(
  t: TestContext,
  options: { readonly limits?: Partial<Limits>; readonly hostCalls?: HostCalls } = {},
): Promise<ComputeStage> {
  const folder = mkdtempSync(join(tmpdir(), 'compute-'))
  const blobs = new Map<string, Uint8Array>()
  const logged: object[] = []
  const engine = await createComputeEngine({
    folder: join(folder, 'engine'),
    runFolder: join(folder, 'run'),
    blobs: {
      get: async (hash: string) => blobs.get(hash),
      has: async (hash: string) => blobs.has(hash),
    } as unknown as Blobs,
    limits: { ...defaultLimits, ...options.limits },
    clock: Date.now,
    pop: { id: 'tst', country: 'XX' },
    customer: 'customer',
    log: (message, facts) => void logged.push({ message, ...facts }),
    hostCalls: options.hostCalls ?? {},
    onCalled: noteCalled,
  })
  t.after(async () => {
    await engine.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return {
    engine,
    blobs,
    folder,
    logged,
    cells: () => engine.cells(),
    requests: () => engine.cells().reduce((sum, { inFlight }) => sum + inFlight, 0),
    add(name, wasm, code = {}, rest = {}) {
      const module = createHash('sha256').update(wasm).digest('hex')
      blobs.set(module, wasm)
      const compute: ComputeCode = {
        module,
        bytes: wasm.length,
        service: { id: `service-${name}`, version: 1 },
        backends: [],
        stores: [],
        logs: [],
        ...code,
      }
      const deployment: Deployment = {
        id: randomUUID(),
        program: name,
        number: 1,
        createdAt: 0,
        bindings: [],
        limits: {},
        compute,
      }
      return { name, rollout: [{ deployment, percent: 100 }], objects: [], ...rest }
    },
    ask: (program, path = '/', request = {}) =>
      engine.run(program, program.rollout[0]!.deployment, { ...plainRequest(path), ...request }),
  }
}

export function plainRequest(path: string): ProgramRequest {
  return {
    method: 'GET',
    scheme: 'http',
    authority: 'shop.test',
    path,
    headers: [],
    body: null,
    cf: '{}',
    id: '0123456789abcdef',
    client: { address: '192.0.2.1', port: 40_000 },
    serverAddress: '192.0.2.2',
    httpVersion: '1.1',
    received: [],
    wantsUpgrade: false,
    signal: new AbortController().signal,
  }
}

let wabt: ReturnType<typeof loadWabt> | undefined

/** From WebAssembly text. */
export async function assemble(text: string): Promise<Uint8Array> {
  wabt ??= loadWabt()
  const module = (await wabt).parseWat('program.wat', text, { exceptions: true, tail_call: true })
  return module.toBinary({}).buffer
}

/** A whole program: `body` is the text of `_start`; `imports` its imports, e.g. `(import "fastly_http_body" "new" …)`. */
export function program(body: string, rest = ''): string {
  return `(module
    (import "fastly_http_resp" "new" (func $resp_new (param i32) (result i32)))
    (import "fastly_http_resp" "status_set" (func $status_set (param i32 i32) (result i32)))
    (import "fastly_http_resp" "send_downstream" (func $send (param i32 i32 i32) (result i32)))
    (import "fastly_http_body" "new" (func $body_new (param i32) (result i32)))
    (import "fastly_http_body" "write" (func $write (param i32 i32 i32 i32 i32) (result i32)))
    ${rest}
    (memory (export "memory") 2)
    (data (i32.const 4096) "hello from wasm")
    (global $seen (mut i32) (i32.const 0))
    ;; Answers the bytes at $at with a status.
    (func $answer (param $status i32) (param $at i32) (param $length i32)
      (drop (call $resp_new (i32.const 0)))
      (drop (call $body_new (i32.const 4)))
      (drop (call $write (i32.load (i32.const 4)) (local.get $at) (local.get $length) (i32.const 0) (i32.const 8)))
      (drop (call $status_set (i32.load (i32.const 0)) (local.get $status)))
      (drop (call $send (i32.load (i32.const 0)) (i32.load (i32.const 4)) (i32.const 0))))
    (func (export "_start") ${body}))`
}

export async function textOf({ body }: ProgramAnswer): Promise<string> {
  if (body === null) return ''
  return (body instanceof Uint8Array ? Buffer.from(body) : Buffer.concat(await body.toArray())).toString()
}

/** Waits for what becomes true by itself. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 10_000
  while (!holds()) {
    if (performance.now() > end) throw new Error(`In vain: ${what}.`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
