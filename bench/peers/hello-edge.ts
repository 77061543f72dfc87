/** An edge with one site and one program, for processes that measure what is behind or in front of it. */
import { defaultLimits, type Limits } from '#/core/limits.ts'
import type { Engine } from '#/core/ports.ts'
import type { Deployment, Snapshot } from '#/core/snapshot.ts'
import { createEdge, type EdgeOptions } from '#/edge/edge.ts'
import { createLog } from '#/edge/log.ts'
import { createMetrics } from '#/edge/metrics.ts'

export const deploymentId = 'd0000000-0000-4000-8000-000000000001'

/** `hello` is the program and its site. */
export function helloSnapshot(what: Pick<Deployment, 'code'> | Pick<Deployment, 'compute'>): Snapshot {
  const common = { id: deploymentId, program: 'hello', number: 1, createdAt: 0, bindings: [], limits: {} }
  const deployment: Deployment = { ...common, ...what }
  return {
    revision: 1,
    sites: [
      { name: 'hello', hostnames: ['hello.localhost'], routes: [], target: { kind: 'program', program: 'hello' } },
    ],
    programs: new Map([['hello', { name: 'hello', rollout: [{ deployment, percent: 100 }], objects: [] }]]),
  }
}

/** One generator holds more connections than one client may. */
export const benchLimits: Limits = { ...defaultLimits, connectionsPerAddress: 20_000 }

export interface HelloEdge extends Pick<EdgeOptions, 'fastHttp1' | 'ownHttp2'> {
  readonly engine: Pick<Engine, 'run' | 'warm'>
  readonly snapshot: Snapshot
  readonly limits: Limits
  /** File of the access log; absent: it goes nowhere. */
  readonly log: string | undefined
  /** Before the process ends. */
  readonly close: () => Promise<void>
}

/** Serves until SIGTERM; prints one line of JSON with the addresses and the process. */
export async function serveHello({ snapshot, log, close, ...options }: HelloEdge): Promise<void> {
  const edge = await createEdge({
    ...options,
    listen: { http: { host: '127.0.0.1', port: 0 } },
    snapshot: () => snapshot,
    assets: { match: async () => undefined, answer: async () => ({ status: 404, headers: [], body: null }) },
    programFirst: () => true,
    egress: { fetch: () => Promise.reject(new Error('nothing to fetch')) },
    log: createLog({ to: log === undefined ? { write() {} } : { file: log }, limits: options.limits }),
    metrics: createMetrics({ limits: options.limits, clock: Date.now }),
    clock: Date.now,
    pop: { id: 'fra', country: 'DE' },
    debug: false,
  })
  process.on(
    'SIGTERM',
    () =>
      void edge
        .close()
        .then(close)
        .then(() => process.exit(0)),
  )
  console.log(JSON.stringify({ ...edge.addresses, pid: process.pid }))
}
