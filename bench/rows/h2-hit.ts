/** Cache hits on HTTP/2 over TLS: the whole node beside nginx, with one and with ten requests at once a connection. */
import { badAnswers } from '../load.ts'
import { nginxH2, rimwardH2 } from '../peers/h2.ts'
import { smallPage } from '../peers/kept-page.ts'
import { cpuSeconds } from '../processes.ts'
import type { BenchOptions, BenchRow, BenchTable } from '../row.ts'
import { median, ratio, show } from '../statistics.ts'
import type { Peer, Target } from '../target.ts'
import { h2load, h2loadVersion } from './h2-load.ts'

const connections = 32
const peers: readonly Peer[] = [nginxH2(smallPage), rimwardH2(smallPage)].filter((peer) => peer !== undefined)
const generator = h2loadVersion()

interface Contestant {
  readonly peer: Peer
  readonly target: Target
  readonly perSecond: number[]
  readonly cpuMicros: number[]
  readonly p99Ms: number[]
}

async function measure(one: Contestant, streams: number, seconds: number): Promise<string | undefined> {
  const before = cpuSeconds(one.target.pid)
  const result = await h2load({ target: one.target, connections, streams, seconds: Math.max(1, Math.round(seconds)) })
  one.cpuMicros.push(((cpuSeconds(one.target.pid) - before) / result.requests) * 1e6)
  one.perSecond.push(result.requests / result.seconds)
  one.p99Ms.push(result.p99Ms)
  const bad = badAnswers(result)
  return bad === undefined ? undefined : `${one.peer.name}: ${bad}`
}

/** Its answers count, its times do not. */
function warmUp(one: Contestant, streams: number, { seconds }: BenchOptions): Promise<string | undefined> {
  const unmeasured = { ...one, perSecond: [], cpuMicros: [], p99Ms: [] }
  return measure(unmeasured, streams, one.peer.warmUpSeconds ?? seconds)
}

async function contest(streams: number, options: BenchOptions): Promise<{ all: Contestant[]; failures: string[] }> {
  const all: Contestant[] = []
  const failures: (string | undefined)[] = []
  try {
    for (const peer of peers) all.push({ peer, target: await peer.start(), perSecond: [], cpuMicros: [], p99Ms: [] })
    for (const one of all) failures.push(await warmUp(one, streams, options))
    for (let round = 0; round < options.rounds; round++)
      for (const one of all) {
        options.progress(`round ${round + 1}: ${one.peer.name}`)
        failures.push(await measure(one, streams, options.seconds))
      }
  } finally {
    await Promise.all(all.map(({ target }) => target.stop()))
  }
  return { all, failures: failures.filter((failure) => failure !== undefined) }
}

async function compare(streams: number, options: BenchOptions): Promise<BenchTable> {
  const missing = generator === undefined ? ['h2load is not installed'] : []
  const { all, failures } = generator === undefined ? { all: [], failures: missing } : await contest(streams, options)
  const first = all[0]
  const against = (one: readonly number[], other: readonly number[]): string => ratio(median(one), median(other))
  return {
    title: `Cache hit: 1 KB, HTTP/2 over TLS, whole node, ${connections} connections, ${streams} at once`,
    how: `${options.rounds} rounds of ${options.seconds} s in alternation after one to warm up, medians; load by h2load ${generator}, TLS 1.3, certificates on P-256, access log to a file. nginx has one worker and the page in its cache.`,
    heading: [
      ...['server', 'requests/s', `× ${first?.peer.name}`, 'CPU µs/request', `× ${first?.peer.name}`, 'p99 ms'],
    ],
    rows: all.map((one) => [
      one.peer.name,
      show(median(one.perSecond), 0),
      against(one.perSecond, first!.perSecond),
      show(median(one.cpuMicros)),
      against(one.cpuMicros, first!.cpuMicros),
      show(median(one.p99Ms)),
    ]),
    failures,
  }
}

const versions = Object.fromEntries(peers.map((peer) => [peer.name.split(',')[0]!, peer.version]))

export const h2Rows: readonly BenchRow[] = [
  { name: 'h2-hit', versions, run: (options) => compare(1, options) },
  { name: 'h2-hit-10', versions, run: (options) => compare(10, options) },
]
