/** Hello world under load: every peer in alternation, medians of short rounds. */
import { badAnswers, type LoadResult, load } from '../load.ts'
import { miniflare, wranglerDev } from '../peers/developer-tools.ts'
import { rimwardHot, rimwardShared } from '../peers/rimward.ts'
import { bareWorkerd, loaderWorkerd } from '../peers/workerd.ts'
import { cpuSeconds } from '../processes.ts'
import type { BenchOptions, BenchRow } from '../row.ts'
import { median, ratio, show } from '../statistics.ts'
import type { Peer, Target } from '../target.ts'

const connections = 32
const peers: readonly Peer[] = [bareWorkerd, loaderWorkerd, miniflare, wranglerDev, rimwardShared, rimwardHot]

interface Round {
  readonly perSecond: number
  readonly cpuMicros: number
  readonly p99Ms: number
}

async function round(target: Target, options: BenchOptions): Promise<{ round: Round; result: LoadResult }> {
  const before = cpuSeconds(target.pid)
  const result = await load({ ...target, connections, seconds: options.seconds }, options.generator)
  const cpu = cpuSeconds(target.pid) - before
  return {
    result,
    round: {
      perSecond: result.requests / result.seconds,
      cpuMicros: (cpu / result.requests) * 1e6,
      p99Ms: result.p99Ms,
    },
  }
}

interface Contestant {
  readonly peer: Peer
  readonly target: Target
  readonly rounds: Round[]
}

async function startAll(options: BenchOptions, failures: string[]): Promise<Contestant[]> {
  const started: Contestant[] = []
  for (const peer of peers) {
    options.progress(`starting ${peer.name}`)
    try {
      started.push({ peer, target: await peer.start(), rounds: [] })
    } catch (error) {
      failures.push(`${peer.name} did not start: ${(error as Error).message}`)
    }
  }
  return started
}

async function alternate(contestants: Contestant[], options: BenchOptions, failures: string[]): Promise<void> {
  for (let number = -1; number < options.rounds; number += 1) {
    for (const { peer, target, rounds } of contestants) {
      options.progress(number < 0 ? `warming ${peer.name}` : `round ${number + 1}: ${peer.name}`)
      const seconds = number < 0 ? (peer.warmUpSeconds ?? options.seconds) : options.seconds
      const { round: measured, result } = await round(target, { ...options, seconds })
      const bad = badAnswers(result)
      if (bad !== undefined) failures.push(`${peer.name}: ${bad}`)
      if (number >= 0) rounds.push(measured)
    }
  }
}

export const workersWarm: BenchRow = {
  name: 'workers-warm',
  versions: Object.fromEntries(peers.map((peer) => [peer.name.split(',')[0]!, peer.version])),
  async run(options) {
    const failures: string[] = []
    const contestants = await startAll(options, failures)
    await alternate(contestants, options, failures).finally(() =>
      Promise.all(contestants.map(({ target }) => target.stop())),
    )
    const middle = contestants.map(({ peer, rounds }) => ({
      name: peer.name,
      perSecond: median(rounds.map((one) => one.perSecond)),
      cpu: median(rounds.map((one) => one.cpuMicros)),
      p99: median(rounds.map((one) => one.p99Ms)),
    }))
    const bare = middle.find((one) => one.name === bareWorkerd.name)
    const loader = middle.find((one) => one.name === loaderWorkerd.name)
    return {
      title: 'Workers, warm: hello world',
      how: `${connections} connections, ${options.rounds} rounds of ${options.seconds} s in alternation after one to warm up, medians. CPU is that of the whole process tree.`,
      heading: ['server', 'requests/s', '× bare', '× loader', 'CPU µs/request', '× loader', 'p99 ms'],
      rows: middle.map((one) => [
        one.name,
        show(one.perSecond, 0),
        bare ? ratio(one.perSecond, bare.perSecond) : '-',
        loader ? ratio(one.perSecond, loader.perSecond) : '-',
        show(one.cpu),
        loader ? ratio(one.cpu, loader.cpu) : '-',
        show(one.p99),
      ]),
      failures,
    }
  },
}
