/**
 * The front alone, a process of its own: an edge whose engine answers at once from memory, as a cache hit would.
 * Arguments: `--log FILE`, `--parser fast|node`; prints one line of JSON with its addresses.
 */
import { parseArgs } from 'node:util'
import { defaultLimits } from '#/core/limits.ts'
import type { ProgramAnswer } from '#/core/ports.ts'
import type { Deployment, Snapshot } from '#/core/snapshot.ts'
import { createEdge } from '#/edge/edge.ts'
import { createLog } from '#/edge/log.ts'
import { createMetrics } from '#/edge/metrics.ts'

const { values } = parseArgs({ options: { log: { type: 'string' }, parser: { type: 'string', default: 'fast' } } })
const body = Buffer.alloc(1024, 'x')
const fields = [
  ...['content-type', 'text/html; charset=utf-8', 'cache-control', 'public, max-age=3600', 'etag', '"5f3c-1a2b3c"'],
  ...['last-modified', 'Mon, 02 Nov 2026 10:00:00 GMT', 'vary', 'Accept-Encoding', 'age', '12'],
]
const deployment: Deployment = {
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
}
const snapshot: Snapshot = {
  revision: 1,
  sites: [{ name: 'hello', hostnames: ['hello.localhost'], routes: [], target: { kind: 'program', program: 'hello' } }],
  programs: new Map([['hello', { name: 'hello', rollout: [{ deployment, percent: 100 }], objects: [] }]]),
}
const limits = { ...defaultLimits, connectionsPerAddress: 20_000 }
const edge = await createEdge({
  listen: { http: { host: '127.0.0.1', port: 0 } },
  snapshot: () => snapshot,
  engine: {
    warm() {},
    async run(): Promise<ProgramAnswer> {
      return { status: 200, headers: fields, body, start: 'warm' }
    },
  },
  assets: { match: async () => undefined, answer: async () => ({ status: 404, headers: [], body: null }) },
  programFirst: () => true,
  egress: { fetch: () => Promise.reject(new Error('nothing to fetch')) },
  log: createLog({ to: values.log === undefined ? { write() {} } : { file: values.log }, limits }),
  metrics: createMetrics({ limits }),
  limits,
  clock: Date.now,
  pop: { id: 'fra', country: 'DE' },
  debug: false,
  fastHttp1: values.parser === 'fast',
  ownHttp2: values.parser === 'fast',
})
process.on('SIGTERM', () => void edge.close().then(() => process.exit(0)))
console.log(JSON.stringify({ ...edge.addresses, pid: process.pid }))
