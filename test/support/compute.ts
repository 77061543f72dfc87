/** Compute programs with real backends: the engine, the egress and the shared cache wired as in `pop.ts`. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { createSharedCache } from '#/cache/shared-cache.ts'
import { createCacheStore } from '#/cache/two-tiers.ts'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import type { Origin, OriginState } from '#/core/origin.ts'
import type { Program } from '#/core/snapshot.ts'
import { type ComputeStage, openCompute } from '#/engines/compute/compute.fixture.ts'
import { computeHostCalls } from '#/engines/compute/host-table.ts'
import { withAnswerRules } from '#/origin/answer-rules.ts'
import { createEgress } from '#/origin/egress.ts'
import { createHealthChecks } from '#/origin/health-checks.ts'
import { withOwnPrograms } from '#/origin/own-programs.ts'
import { createPoolEgress } from '#/origin/pool-egress.ts'

export interface BackendStage extends ComputeStage {
  readonly cache: ReturnType<typeof createSharedCache>
  /** Programs that answer hosts of this platform. */
  readonly sites: Map<string, Program>
  /** What health checks are to have found, by backend. */
  readonly states: OriginState[]
  /** All that the cache has written to disk so far. */
  onDisk(): string
  /** Moves the cache's clock. */
  sleep(seconds: number): void
}

/** Programs named `trusted` may reach loopback by dynamic backends; the key `purge-key` may purge. */
export async function openBackends(t: TestContext, given: Partial<Limits> = {}): Promise<BackendStage> {
  const limits = { ...defaultLimits, ...given }
  const folder = mkdtempSync(join(tmpdir(), 'compute-cache-'))
  let now = Date.now()
  const clock = () => now
  let sealed = 0
  // No two are alike, as of a real one.
  const seal = { seal: (text: string) => `${sealed++} ${text}`, open: (text: string) => text.replace(/^\d+ /, '') }
  const direct = createEgress({
    rules: {
      grants: (by) => ('program' in by && by.program === 'trusted' ? [{ names: 'network', port: false }] : []),
    },
    ownSite: () => undefined,
    limits,
    clock,
    seal,
  })
  const states: OriginState[] = []
  const checks = createHealthChecks({ egress: direct, limits, clock: Date.now, random: Math.random })
  t.after(() => checks.close())
  const health = { isHealthy: () => true, note() {} }
  const pools = createPoolEgress({ egress: direct, health, limits, random: Math.random })
  const store = await createCacheStore({
    ...{ folder, memoryBytes: 64 * 1024 * 1024, diskBytes: 64 * 1024 * 1024 },
    ...{ limits, clock, log() {} },
  })
  const sites = new Map<string, Program>()
  const own = withOwnPrograms(pools, {
    programAt(host) {
      const program = sites.get(host)
      return program && { program, deployment: program.rollout[0]!.deployment }
    },
    engine: () => stage.engine,
    limits,
  })
  const cache = createSharedCache({ next: withAnswerRules(own), store, limits, clock })
  const stage = await openCompute(t, {
    limits,
    hostCalls: computeHostCalls({
      ...{ cache, seal, limits },
      backendStates: () => states,
      lentHealth: (program, origin) => checks.lent(program, origin),
      mayPurge: (key) => key === 'purge-key',
    }),
  })
  t.after(async () => {
    await cache.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return {
    ...stage,
    cache,
    sites,
    states,
    onDisk: () =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
        .join(''),
    sleep(seconds) {
      now += seconds * 1000
    },
  }
}

export interface TestOrigin {
  readonly server: Server
  readonly port: number
  /** As a service's backend. */
  readonly backend: Origin
  /** Heads of what it was asked, oldest first. */
  readonly asked: IncomingMessage[]
}

/** An HTTP server on loopback that ends with the test; as a backend it is called `origin`. */
export async function openOrigin(t: TestContext, answer: RequestListener): Promise<TestOrigin> {
  const asked: IncomingMessage[] = []
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    asked.push(request)
    // The cache's clock is not that of this machine.
    response.sendDate = false
    answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { server, port, asked, backend: { name: 'origin', url: `http://127.0.0.1:${port}/`, weight: 100 } }
}

/** A JavaScript program, compiled with the vendor's SDK: seconds. */
export async function compileScript(source: string, ...flags: string[]): Promise<Uint8Array> {
  const folder = mkdtempSync(join(tmpdir(), 'compute-js-'))
  try {
    writeFileSync(join(folder, 'in.js'), source)
    const tool = join(import.meta.dirname, '../../node_modules/@fastly/js-compute/dist/cli/js-compute-runtime-cli.js')
    await promisify(execFile)(process.execPath, [tool, ...flags, join(folder, 'in.js'), join(folder, 'out.wasm')])
    return readFileSync(join(folder, 'out.wasm'))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
