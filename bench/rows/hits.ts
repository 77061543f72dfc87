/**
 * Hits under load. `front-hit`: what reading, answering and logging cost, with a function behind the front. `cache-hit`:
 * the whole node with a plain site, whose page lies in its cache. Both beside what Node's sockets cost alone.
 */
import { badAnswers, load } from '../load.ts'
import { constantAnswer } from '../peers/constant.ts'
import { frontFast, frontNode } from '../peers/front.ts'
import { type KeptPage, largePage, smallPage } from '../peers/kept-page.ts'
import { nginxCache } from '../peers/nginx.ts'
import { rimwardCache } from '../peers/rimward.ts'
import { varnishCache } from '../peers/varnish.ts'
import { cpuSeconds } from '../processes.ts'
import type { BenchOptions, BenchRow, BenchTable } from '../row.ts'
import { median, ratio, show } from '../statistics.ts'
import type { Peer, Target } from '../target.ts'

export interface Contest {
  readonly name: string
  readonly title: string
  /** A sentence on who takes part. */
  readonly how: string
  readonly page: KeptPage
  readonly connections: number
  readonly peers: readonly (Peer | undefined)[]
}

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

async function compare(contest: Contest, peers: readonly Peer[], options: BenchOptions): Promise<BenchTable> {
  const { connections, page } = contest
  const failures: (string | undefined)[] = []
  const contestants: Contestant[] = []
  try {
    for (const peer of peers)
      contestants.push({ peer, target: await peer.start(), perSecond: [], cpuMicros: [], p99Ms: [] })
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
  const isLarge = page.bytes >= 1024 * 1024
  const speed = (perSecond: number): string =>
    isLarge ? show((perSecond * page.bytes) / 1024 / 1024, 0) : show(perSecond, 0)
  return {
    title: contest.title,
    how: `${options.rounds} rounds of ${options.seconds} s in alternation after one to warm up, medians; access log to a file. ${contest.how}`,
    heading: [
      'server',
      isLarge ? 'MiB/s' : 'requests/s',
      `× ${first.peer.name}`,
      'CPU µs/request',
      `× ${first.peer.name}`,
      'p99 ms',
    ],
    rows: contestants.map((one) => [
      one.peer.name,
      speed(median(one.perSecond)),
      ratio(median(one.perSecond), median(first.perSecond)),
      show(median(one.cpuMicros)),
      ratio(median(one.cpuMicros), median(first.cpuMicros)),
      show(median(one.p99Ms)),
    ]),
    failures: failures.filter((failure) => failure !== undefined),
  }
}

/** A row in which servers take turns under the same load; the first is what the others are compared with. */
export function contestRow(contest: Contest): BenchRow {
  const peers = contest.peers.filter((peer) => peer !== undefined)
  const versions = Object.fromEntries(peers.map((peer) => [peer.name.split(',')[0]!, peer.version]))
  return { name: contest.name, versions, run: (options) => compare(contest, peers, options) }
}

const frontPeers = [nginxCache(smallPage), constantAnswer(smallPage), frontNode, frontFast]
const nodePeers = (page: KeptPage) => [nginxCache(page), varnishCache(page), constantAnswer(page), rimwardCache(page)]
const onSockets = 'The constant answer reads, decides and logs nothing: it is the floor for a server in Node.'
const aboutFront = `One process each. The program behind our front is a function that answers at once. ${onSockets}`
const aboutNode = `Ours is a node as \`rimward up\` starts it with a plain site. nginx has one worker, Varnish its threads and its logger; each has the page in memory. ${onSockets}`

const front = { how: aboutFront, page: smallPage, peers: frontPeers }
const whole = { how: aboutNode, page: smallPage, peers: nodePeers(smallPage) }
const large = { how: aboutNode, page: largePage, peers: nodePeers(largePage) }

export const hitRows: readonly BenchRow[] = [
  contestRow({ ...front, name: 'front-hit', title: 'Front: 1 KB from memory, 32 connections', connections: 32 }),
  contestRow({ ...front, name: 'front-hit-256', title: 'Front: 1 KB from memory, 256 connections', connections: 256 }),
  contestRow({ ...whole, name: 'cache-hit', title: 'Cache hit: 1 KB, whole node, 32 connections', connections: 32 }),
  contestRow({
    ...whole,
    name: 'cache-hit-256',
    title: 'Cache hit: 1 KB, whole node, 256 connections',
    connections: 256,
  }),
  contestRow({
    ...large,
    name: 'cache-hit-1mb',
    title: 'Cache hit: 1 MiB, whole node, 16 connections',
    connections: 16,
  }),
]
