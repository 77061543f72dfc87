/** A Worker that reads and writes values of 1 KB in a namespace, beside Miniflare. */
import { ask, type BoundProgram, miniflareVersion, startBoth } from '../peers/bound-programs.ts'
import type { BenchRow } from '../row.ts'
import { howMeasured, measureOperations } from './operations.ts'

const keys = 1000

const source = `
const value = 'x'.repeat(1000)
const any = () => 'key ' + Math.floor(Math.random() * ${keys})
export default {
  async fetch(request, { KV }) {
    const { pathname } = new URL(request.url)
    if (pathname === '/setup')
      for (let first = 0; first < ${keys}; first += 50)
        await Promise.all(Array.from({ length: 50 }, (_, index) => KV.put('key ' + (first + index), value)))
    else if (pathname === '/put') await KV.put(any(), value)
    else return new Response(await KV.get(any()))
    return new Response('stored')
  },
}
`

const program: BoundProgram = {
  name: 'pairs',
  source,
  miniflare: { kvNamespaces: { KV: 'bench' } },
  async make(node) {
    const { id } = await node.call<{ id: string }>('POST', '/storage/kv/namespaces', { title: 'bench' })
    return { bindings: [{ type: 'kv_namespace', name: 'KV', namespace_id: id }] }
  },
}

export const kvRow: BenchRow = {
  name: 'kv',
  versions: { miniflare: miniflareVersion },
  async run(options) {
    const contestants = await startBoth(program)
    try {
      for (const { target } of contestants) await ask(target, '/setup')
      const operations = ['get', 'put'].map((name) => ({ name, path: `/${name}` }))
      const { heading, rows, failures } = await measureOperations(contestants, operations, options)
      const how = `A Worker and ${keys} keys with values of 1 KB; ${howMeasured(options)} Rimward's writes are on the disk when they are told.`
      return { title: 'KV: get and put', how, heading, rows, failures }
    } finally {
      await Promise.all(contestants.map(({ target }) => target.stop()))
    }
  },
}
