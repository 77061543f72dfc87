/**
 * A node with one Compute program, a process of its own: edge and engine, no control plane.
 * Arguments: `--module FILE`, `--folder D`, `--log FILE`, `--new` (an instance a request, none is kept); prints one line of
 * JSON with its addresses.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { defaultLimits } from '#/core/limits.ts'
import type { Blobs } from '#/core/ports.ts'
import type { Deployment, Snapshot } from '#/core/snapshot.ts'
import { createEdge } from '#/edge/edge.ts'
import { createLog } from '#/edge/log.ts'
import { createMetrics } from '#/edge/metrics.ts'
import { createComputeEngine } from '#/engines/compute/engine.ts'

const { values } = parseArgs({
  options: {
    log: { type: 'string' },
    module: { type: 'string', default: '' },
    folder: { type: 'string', default: '' },
    new: { type: 'boolean', default: false },
  },
})
const bytes = readFileSync(values.module)
const module = createHash('sha256').update(bytes).digest('hex')
const kept = values.new ? { computeIdleInstances: 0 } : {}
const limits = { ...defaultLimits, connectionsPerAddress: 20_000, ...kept }
const engine = await createComputeEngine({
  folder: join(values.folder, 'engine'),
  runFolder: join(values.folder, 'run'),
  blobs: { get: async () => bytes } as unknown as Blobs,
  limits,
  clock: Date.now,
  pop: { id: 'fra', country: 'DE' },
  customer: 'bench',
  log: () => {},
  hostCalls: {},
})
const deployment: Deployment = {
  id: 'd0000000-0000-4000-8000-000000000001',
  program: 'hello',
  number: 1,
  createdAt: 0,
  compute: { module, bytes: bytes.length, service: { id: 'hello', version: 1 }, backends: [], stores: [], logs: [] },
  bindings: [],
  limits: {},
}
const snapshot: Snapshot = {
  revision: 1,
  sites: [{ name: 'hello', hostnames: ['hello.localhost'], routes: [], target: { kind: 'program', program: 'hello' } }],
  programs: new Map([['hello', { name: 'hello', rollout: [{ deployment, percent: 100 }], objects: [] }]]),
}
const edge = await createEdge({
  listen: { http: { host: '127.0.0.1', port: 0 } },
  snapshot: () => snapshot,
  engine,
  assets: { match: async () => undefined, answer: async () => ({ status: 404, headers: [], body: null }) },
  programFirst: () => true,
  egress: { fetch: () => Promise.reject(new Error('nothing to fetch')) },
  log: createLog({ to: values.log === undefined ? { write() {} } : { file: values.log }, limits }),
  metrics: createMetrics({ limits }),
  limits,
  clock: Date.now,
  pop: { id: 'fra', country: 'DE' },
  debug: false,
})
process.on('SIGTERM', () => void edge.close().then(() => engine.close().then(() => process.exit(0))))
console.log(JSON.stringify({ ...edge.addresses, pid: process.pid }))
