/**
 * A node with one Compute program, a process of its own: edge and engine, no control plane.
 * Arguments: `--module FILE`, `--folder D`, `--log FILE`, `--new` (an instance a request, none is kept); prints one line of
 * JSON with its addresses.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Blobs } from '#/core/ports.ts'
import { createComputeEngine } from '#/engines/compute/engine.ts'
import { benchLimits, helloSnapshot, serveHello } from './hello-edge.ts'

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
const limits = { ...benchLimits, ...kept }
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
const snapshot = helloSnapshot({
  compute: { module, bytes: bytes.length, service: { id: 'hello', version: 1 }, backends: [], stores: [], logs: [] },
})
await serveHello({ engine, snapshot, limits, log: values.log, close: engine.close })
