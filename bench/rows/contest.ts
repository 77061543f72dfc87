/** Servers take turns under the same load: requests, CPU and the slowest hundredth of each, against the first. */
import { badAnswers, type LoadResult, load } from '../load.ts'
import { cpuSeconds } from '../processes.ts'
import type { BenchOptions, BenchRow, BenchTable } from '../row.ts'
import { median, ratio, show } from '../statistics.ts'
import type { Peer, Target } from '../target.ts'

export interface Contest {
  readonly name: string
  readonly title: string
  /** A sentence on who takes part. */
  readonly how: string
  /** Of each answer; from 1 MiB on the table counts bytes instead of requests. */
  readonly pageBytes: number
  readonly peers: readonly (Peer | undefined)[]
  /** A round. Rejects where its generator is missing. */
  readonly load: (target: Target, seconds: number, options: BenchOptions) => Promise<LoadResult>
}

/** Requests on so many kept connections, one at a time on each. */
export const withConnections =
  (connections: number): Contest['load'] =>
  (target, seconds, { generator }) =>
    load({ ...target, connections, seconds }, generator)

interface Contestant {
  readonly peer: Peer
  readonly target: Target
  readonly perSecond: number[]
  readonly cpuMicros: number[]
  readonly p99Ms: number[]
}

async function measure(
  one: Contestant,
  seconds: number,
  contest: Contest,
  options: BenchOptions,
): Promise<string | undefined> {
  const before = cpuSeconds(one.target.pid)
  const result = await contest.load(one.target, seconds, options)
  one.cpuMicros.push(((cpuSeconds(one.target.pid) - before) / result.requests) * 1e6)
  one.perSecond.push(result.requests / result.seconds)
  one.p99Ms.push(result.p99Ms)
  const bad = badAnswers(result)
  return bad === undefined ? undefined : `${one.peer.name}: ${bad}`
}

async function compare(contest: Contest, peers: readonly Peer[], options: BenchOptions): Promise<BenchTable> {
  const failures: (string | undefined)[] = []
  const all: Contestant[] = []
  try {
    for (const peer of peers) all.push({ peer, target: await peer.start(), perSecond: [], cpuMicros: [], p99Ms: [] })
    for (const one of all) {
      // Its answers count, its times do not.
      const unmeasured = { ...one, perSecond: [], cpuMicros: [], p99Ms: [] }
      failures.push(await measure(unmeasured, one.peer.warmUpSeconds ?? options.seconds, contest, options))
    }
    for (let round = 0; round < options.rounds; round++)
      for (const one of all) {
        options.progress(`round ${round + 1}: ${one.peer.name}`)
        failures.push(await measure(one, options.seconds, contest, options))
      }
  } finally {
    await Promise.all(all.map(({ target }) => target.stop()))
  }
  const first = all[0]!
  const mebibytes = contest.pageBytes / 1024 / 1024
  const against = (one: readonly number[], other: readonly number[]): string => ratio(median(one), median(other))
  return {
    title: contest.title,
    how: `${options.rounds} rounds of ${options.seconds} s in alternation after one to warm up, medians; access log to a file. ${contest.how}`,
    heading: [
      ...['server', mebibytes >= 1 ? 'MiB/s' : 'requests/s', `× ${first.peer.name}`],
      ...['CPU µs/request', `× ${first.peer.name}`, 'p99 ms'],
    ],
    rows: all.map((one) => [
      one.peer.name,
      show(median(one.perSecond) * Math.max(mebibytes, 1), 0),
      against(one.perSecond, first.perSecond),
      show(median(one.cpuMicros)),
      against(one.cpuMicros, first.cpuMicros),
      show(median(one.p99Ms)),
    ]),
    failures: failures.filter((failure) => failure !== undefined),
  }
}

/** The first of the peers that are installed is what the others are compared with. */
export function contestRow(contest: Contest): BenchRow {
  const peers = contest.peers.filter((peer) => peer !== undefined)
  const versions = Object.fromEntries(peers.map((peer) => [peer.name.split(',')[0]!, peer.version]))
  return { name: contest.name, versions, run: (options) => compare(contest, peers, options) }
}
