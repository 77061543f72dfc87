/** The first request to a program that never ran on this node, against workerd's own loader, and behind a TLS handshake. */
import { requestOnce, requestOverTls, type Timed } from '../one-request.ts'
import { type Node, startNode } from '../peers/rimward.ts'
import { loaderWorkerd } from '../peers/workerd.ts'
import { type Size, sizes, sourceOf } from '../programs.ts'
import type { BenchOptions, BenchRow } from '../row.ts'
import { median, quantile, ratio, show } from '../statistics.ts'
import type { Target } from '../target.ts'

/** Programs of each size: each can be cold only once. */
const programs = 30
const pauseMs = 10

type Ask = (authority: string) => Promise<Timed>

interface Samples {
  readonly cold: number[]
  readonly warm: number[]
}

const nameOf = (size: Size, index: number): string => `${size.replace(' ', '').toLowerCase()}-${index}`

async function deployAll(node: Node, options: BenchOptions): Promise<void> {
  for (const size of sizes) {
    options.progress(`deploying ${programs + 1} programs, ${size}`)
    const source = sourceOf(size)
    for (let index = 0; index <= programs; index += 1) await node.deploy(nameOf(size, index), `${source}// ${index}`)
  }
}

/** A cold request, then three warm ones whose median is kept. */
async function sample(ask: Ask, authority: string, samples: Samples, failures: string[]): Promise<void> {
  const answers: Timed[] = []
  for (let count = 0; count < 4; count += 1) answers.push(await ask(authority))
  const bad = answers.find((answer) => answer.status !== 200)
  if (bad) failures.push(`${authority} answered ${bad.status}`)
  samples.cold.push(answers[0]!.firstByteMs)
  samples.warm.push(median(answers.slice(1).map((answer) => answer.firstByteMs)))
}

/** Contestants take turns, program by program; number 0 of each size warms the path and is not kept. */
async function alternate(asks: readonly Ask[], size: Size, failures: string[]): Promise<Samples[]> {
  const kept = asks.map((): Samples => ({ cold: [], warm: [] }))
  for (let index = 0; index <= programs; index += 1) {
    for (const [turn, ask] of asks.entries()) {
      const into = index === 0 ? { cold: [], warm: [] } : kept[turn]!
      await sample(ask, `${nameOf(size, index)}.localhost`, into, failures)
    }
  }
  return kept
}

const added = ({ cold, warm }: Samples): number => median(cold) - median(warm)

const rowOf = (name: string, size: Size, samples: Samples, base: Samples): string[] => [
  `${name}, ${size}`,
  show(median(samples.cold), 2),
  show(quantile(samples.cold, 0.9), 2),
  show(median(samples.warm), 2),
  show(added(samples), 2),
  ratio(added(samples), added(base)),
]

const over =
  ({ host, port, path }: Pick<Target, 'host' | 'port' | 'path'>): Ask =>
  (authority) =>
    requestOnce({ host, port, path, authority })

export const workersCold: BenchRow = {
  name: 'workers-cold',
  versions: { [loaderWorkerd.name]: loaderWorkerd.version },
  async run(options) {
    const node = await startNode()
    const loader = await loaderWorkerd.start()
    const failures: string[] = []
    const rows: string[][] = []
    try {
      await deployAll(node, options)
      const ours = over({ host: node.http.hostname, port: Number(node.http.port), path: '/' })
      for (const size of sizes) {
        options.progress(`first requests, ${size}`)
        const [theirs, own] = await alternate([over(loader), ours], size, failures)
        rows.push(rowOf(loaderWorkerd.name, size, theirs!, theirs!), rowOf('rimward', size, own!, theirs!))
      }
    } finally {
      await Promise.all([node.stop(), loader.stop()])
    }
    return {
      title: 'Workers, cold: first request to a program that never ran',
      how: `First byte of the first request, ${programs} programs of each size in alternation, deployed before; «added» is the cold median minus the warm one.`,
      heading: ['server and code', 'cold p50 ms', 'cold p90 ms', 'warm p50 ms', 'added ms', '× loader'],
      rows,
      failures,
    }
  },
}

export const workersColdTls: BenchRow = {
  name: 'workers-cold-tls',
  async run(options) {
    const node = await startNode(['--https', '127.0.0.1:0'])
    const failures: string[] = []
    const rows: string[][] = []
    try {
      await deployAll(node, options)
      const { hostname, port } = node.https!
      const ask: Ask = (authority) =>
        requestOverTls({ host: hostname, port: Number(port), path: '/', authority }, pauseMs)
      for (const size of sizes) {
        options.progress(`first requests over TLS, ${size}`)
        const [own] = await alternate([ask], size, failures)
        rows.push(rowOf('rimward', size, own!, own!).slice(0, 5))
      }
    } finally {
      await node.stop()
    }
    return {
      title: 'Workers, cold, behind a TLS handshake',
      how: `As above over TLS; the request follows the handshake after ${pauseMs} ms, as over a network with that round trip, and is timed from its sending.`,
      heading: ['server and code', 'cold p50 ms', 'cold p90 ms', 'warm p50 ms', 'added ms'],
      rows,
      failures,
    }
  },
}
