/** A Worker that calls methods of Durable Objects, beside Miniflare. */
import { type BoundProgram, miniflareVersion, startBoth } from '../peers/bound-programs.ts'
import type { BenchRow } from '../row.ts'
import { howMeasured, measureOperations } from './operations.ts'

const source = `
import { DurableObject } from 'cloudflare:workers'
export class Counter extends DurableObject {
  count = 0
  add(by) {
    this.count += by
    return this.count
  }
}
export default {
  async fetch(request, { COUNTERS }) {
    const { pathname } = new URL(request.url)
    const name = pathname === '/one' ? 'one' : 'any ' + Math.floor(Math.random() * 100)
    return new Response(String(await COUNTERS.get(COUNTERS.idFromName(name)).add(1)))
  },
}
`

const program: BoundProgram = {
  name: 'counters',
  source,
  miniflare: { durableObjects: { COUNTERS: 'Counter' } },
  make: async () => ({
    bindings: [{ type: 'durable_object_namespace', name: 'COUNTERS', class_name: 'Counter' }],
    migrations: { new_tag: 'v1', steps: [{ new_classes: ['Counter'] }] },
  }),
}

const operations = [
  { name: 'one object', path: '/one' },
  { name: '100 objects', path: '/any' },
]

export const objectsRow: BenchRow = {
  name: 'objects-rpc',
  versions: { miniflare: miniflareVersion },
  async run(options) {
    const contestants = await startBoth(program)
    try {
      const { heading, rows, failures } = await measureOperations(contestants, operations, options)
      const how = `A Worker calls a method of an object, which counts in memory; ${howMeasured(options)}`
      return { title: 'Durable Objects: a call', how, heading, rows, failures }
    } finally {
      await Promise.all(contestants.map(({ target }) => target.stop()))
    }
  },
}
