/**
 * `delivery-times`: how long clients wait for what is not kept, and what purges do, against a whole node as `rimward up`
 * starts it. Beside it, where they are installed, nginx and Varnish in front of the same origin.
 */
import { peerVersions, startOwnNode, startPeers, startTimedOrigin, type TimedCache } from '../peers/timed-caches.ts'
import type { BenchOptions, BenchRow, BenchTable } from '../row.ts'
import { type Findings, measureColdKey, measureJoiners, measureMisses, measurePrivate } from './delivery-misses.ts'
import { measureHitsUnderPurges, measurePurges } from './delivery-purges.ts'

/** A line for each thing found, in the order of the first who has it, with a column for each cache. */
export function mergeFindings(found: ReadonlyMap<string, readonly Findings[]>): string[][] {
  const lines = new Map<string, string[]>()
  const all = [...found.values()]
  for (const [index, ofOne] of all.entries())
    for (const { what, goal, found: cell } of ofOne.flatMap(({ findings }) => findings)) {
      const line = lines.get(what) ?? [what, goal, ...all.map(() => '')]
      line[2 + index] = cell
      lines.set(what, line)
    }
  return [...lines.values()]
}

async function run(options: BenchOptions): Promise<BenchTable> {
  const stops: (() => Promise<void>)[] = []
  const found = new Map<string, Findings[]>()
  const note = (cache: TimedCache, findings: Findings): void => {
    found.set(cache.name, [...(found.get(cache.name) ?? []), findings])
  }
  try {
    const origin = await startTimedOrigin()
    stops.push(origin.stop)
    const node = await startOwnNode(origin)
    stops.push(node.stop)
    const caches = [node, ...(await startPeers(origin))]
    stops.push(...caches.slice(1).map(({ stop }) => stop))
    options.progress('misses')
    const misses = await measureMisses(origin, caches)
    for (const cache of caches) note(cache, misses.get(cache.name)!)
    for (const cache of caches) {
      options.progress(`cold keys, streams, private pages: ${cache.name}`)
      note(cache, await measureColdKey(origin, cache))
      note(cache, await measureJoiners(origin, cache))
      note(cache, await measurePrivate(cache))
    }
    options.progress('purges by key')
    note(node, await measurePurges(node, options))
    note(node, await measureHitsUnderPurges(node, options))
  } finally {
    await Promise.all(stops.map((stop) => stop()))
  }
  return {
    title: 'Delivery: misses, sharing, purges',
    how: 'The origin is a process of its own; ours is a node as `rimward up` starts it, with its purge journal, nginx has `proxy_cache_lock` and kept connections to the origin, Varnish its built-in rules. Misses: 600 keys on one kept connection to each in turn. Cold keys: 3, after all connections were opened. Streams: 11, with 8 joiners each. Private pages: up to 3; nginx lets those who wait for its lock go after 5 s. Purges: 300 of a page that two clients ask for without pause, the last stale answer as they saw it. Hits: rounds without and with purges in alternation, medians.',
    heading: ['', 'goal', ...found.keys()],
    rows: mergeFindings(found),
    failures: [...found.values()].flat().flatMap(({ failures }) => failures),
  }
}

export const deliveryTimes: BenchRow = { name: 'delivery-times', versions: peerVersions, run }
