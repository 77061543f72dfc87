/** The front under load, answering from memory as a cache hit would: what reading, answering and logging cost. */
import { badAnswers, load } from '../load.ts'
import { frontFast, frontNode, nginxCache } from '../peers/front.ts'
import { cpuSeconds } from '../processes.ts'
import type { BenchOptions, BenchRow, BenchTable } from '../row.ts'
import { median, ratio, show } from '../statistics.ts'
import type { Peer, Target } from '../target.ts'

const peers: readonly Peer[] = [nginxCache, frontNode, frontFast].filter((peer) => peer !== undefined)

interface Contestant {
  readonly peer: Peer
  readonly target: Target
  readonly perSecond: number[]
  readonly cpuMicros: number[]
  readonly p99Ms: number[]
}

async function measure(one: Contestant, connections: number, options: BenchOptions): Promise<string | undefined> {
  const before = cpuSeconds(one.target.pid)
  const result = await load({ ...one.target, connections, seconds: options.seconds }, options.generator)
  one.cpuMicros.push(((cpuSeconds(one.target.pid) - before) / result.requests) * 1e6)
  one.perSecond.push(result.requests / result.seconds)
  one.p99Ms.push(result.p99Ms)
  const bad = badAnswers(result)
  return bad === undefined ? undefined : `${one.peer.name}: ${bad}`
}

async function compare(connections: number, options: BenchOptions): Promise<BenchTable> {
  const failures: (string | undefined)[] = []
  const contestants: Contestant[] = []
  for (const peer of peers)
    contestants.push({ peer, target: await peer.start(), perSecond: [], cpuMicros: [], p99Ms: [] })
  try {
    for (const one of contestants)
      failures.push(await measure({ ...one, perSecond: [], cpuMicros: [], p99Ms: [] }, connections, options))
    for (let round = 0; round < options.rounds; round++)
      for (const one of contestants) {
        options.progress(`round ${round + 1}: ${one.peer.name}`)
        failures.push(await measure(one, connections, options))
      }
  } finally {
    await Promise.all(contestants.map(({ target }) => target.stop()))
  }
  const first = contestants[0]!
  return {
    title: `Front: 1 KB from memory, ${connections} connections`,
    how: `${options.rounds} rounds of ${options.seconds} s in alternation after one to warm up, medians; one process each, access log to a file. The program behind our front is a function that answers at once.`,
    heading: ['server', 'requests/s', `× ${first.peer.name}`, 'CPU µs/request', `× ${first.peer.name}`, 'p99 ms'],
    rows: contestants.map((one) => [
      one.peer.name,
      show(median(one.perSecond), 0),
      ratio(median(one.perSecond), median(first.perSecond)),
      show(median(one.cpuMicros)),
      ratio(median(one.cpuMicros), median(first.cpuMicros)),
      show(median(one.p99Ms)),
    ]),
    failures: failures.filter((failure) => failure !== undefined),
  }
}

const versions = Object.fromEntries(peers.map((peer) => [peer.name.split(',')[0]!, peer.version]))

export const frontHit: BenchRow = { name: 'front-hit', versions, run: (options) => compare(32, options) }
export const frontHitMany: BenchRow = { name: 'front-hit-256', versions, run: (options) => compare(256, options) }
