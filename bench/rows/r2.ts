/** A Worker that reads and writes objects of 1 KB and 10 MB in a bucket, beside Miniflare. */
import { ask, type BoundProgram, miniflareVersion, startBoth } from '../peers/bound-programs.ts'
import type { BenchRow } from '../row.ts'
import { howMeasured, measureOperations, type Operation } from './operations.ts'

const sizes = { small: 1000, large: 10_000_000 }

const source = `
const small = new Uint8Array(${sizes.small}).fill(120)
const large = new Uint8Array(${sizes.large}).fill(120)
const any = (most) => Math.floor(Math.random() * most)
export default {
  async fetch(request, { BUCKET }) {
    const { pathname } = new URL(request.url)
    if (pathname === '/setup') {
      for (let first = 0; first < 1000; first += 50)
        await Promise.all(Array.from({ length: 50 }, (_, index) => BUCKET.put('small ' + (first + index), small)))
      for (let index = 0; index < 8; index++) await BUCKET.put('large ' + index, large)
    }
    else if (pathname === '/put-small') await BUCKET.put('small ' + any(1000), small)
    else if (pathname === '/put-large') await BUCKET.put('large ' + any(8), large)
    else if (pathname === '/get-small') return new Response((await BUCKET.get('small ' + any(1000))).body)
    else return new Response((await BUCKET.get('large ' + any(8))).body)
    return new Response('stored')
  },
}
`

const program: BoundProgram = {
  name: 'objects',
  source,
  miniflare: { r2Buckets: { BUCKET: 'bench' } },
  async make(node) {
    await node.call('POST', '/r2/buckets', { name: 'bench' })
    return { bindings: [{ type: 'r2_bucket', name: 'BUCKET', bucket_name: 'bench' }] }
  },
}

const small = [
  { name: 'get of 1 KB', path: '/get-small' },
  { name: 'put of 1 KB', path: '/put-small' },
]
const large = [
  { name: 'get of 10 MB', path: '/get-large', bytes: sizes.large },
  { name: 'put of 10 MB', path: '/put-large', bytes: sizes.large },
]

function row(name: string, title: string, operations: readonly Operation[]): BenchRow {
  return {
    name,
    versions: { miniflare: miniflareVersion },
    async run(options) {
      const contestants = await startBoth(program)
      try {
        for (const { target } of contestants) await ask(target, '/setup')
        const { heading, rows, failures } = await measureOperations(contestants, operations, options)
        const how = `A Worker and a bucket; ${howMeasured(options)} Rimward's objects are on the disk when a put is answered.`
        return { title, how, heading, rows, failures }
      } finally {
        await Promise.all(contestants.map(({ target }) => target.stop()))
      }
    },
  }
}

/** Every large one that begins in a round is waited for. */
export const r2Rows: readonly BenchRow[] = [
  row('r2', 'R2: get and put of 1 KB', small),
  row('r2-10mb', 'R2: get and put of 10 MB', large),
]
