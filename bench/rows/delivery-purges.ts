/** Purges by key through Fastly's API of a whole node: how soon the last stale answer is out, and what hits feel of many. */
import { type KeptConnection, openConnection, openConnections } from '../kept-connection.ts'
import { badAnswers, type LoadResult, load } from '../load.ts'
import type { OwnNode } from '../peers/timed-caches.ts'
import type { BenchOptions } from '../row.ts'
import { median, ratio, show } from '../statistics.ts'
import { badOf, type Findings, isText, milliseconds, p50And99 } from './delivery-misses.ts'

/** An answer that a client saw while purges ran; times of `performance.now()`. */
export interface Seen {
  readonly version: number
  readonly sentAt: number
  readonly firstByteAt: number
}

/** `version` is what was kept when the call was sent: this and older ones are stale from then on. */
export interface Purge {
  readonly version: number
  readonly calledAt: number
  readonly acknowledgedAt: number
}

/**
 * Milliseconds from the call to the first byte of the last stale answer, 0 when there was none; and how many stale
 * answers went to requests that were sent after the acknowledgement, which must not be.
 */
export function staleAfter({ version, calledAt, acknowledgedAt }: Purge, seen: readonly Seen[]) {
  let lastMs = 0
  let afterAcknowledgement = 0
  for (const one of seen) {
    if (one.version > version) continue
    lastMs = Math.max(lastMs, one.firstByteAt - calledAt)
    if (one.sentAt > acknowledgedAt) afterAcknowledgement++
  }
  return { lastMs, afterAcknowledgement }
}

const purges = 300
const probes = 2
const key = 'product-7'

/** Clients who ask for the purged page on and on, and note which version they got. */
function startProbes(connections: readonly KeptConnection[], path: string) {
  const seen: Seen[] = []
  let isOver = false
  let bad = 0
  async function run(connection: KeptConnection): Promise<void> {
    while (!isOver) {
      const { status, body, sentAt, firstByteAt } = await connection.ask({ path })
      if (status === 200) seen.push({ version: Number(body), sentAt, firstByteAt })
      else bad++
    }
  }
  const running = Promise.all(connections.map(run))
  return {
    seen,
    async stop(): Promise<number> {
      isOver = true
      await running
      return bad
    },
  }
}

/** One purge after the other, each of a page that is hit all the time, while the generator asks for another page. */
export async function measurePurges(node: OwnNode, options: BenchOptions): Promise<Findings> {
  const place = { ...node, authority: node.service.authority }
  const api = await node.openApi()
  const connections = await openConnections(probes, place)
  const path = `/tagged/${key}`
  const probing = startProbes(connections, path)
  const hits = hitsOf(node, 2 * options.seconds, options)
  const done: Purge[] = []
  const failures: (string | undefined)[] = []
  const answers = []
  for (let count = 0; count < purges; count++) {
    const version = await nextVersion(probing.seen, done.at(-1)?.version ?? 0)
    const answer = await api.ask({
      path: `/service/${node.service.id}/purge/${key}`,
      method: 'POST',
      fields: { 'Fastly-Key': node.token },
    })
    answers.push(answer)
    done.push({ version, calledAt: answer.sentAt, acknowledgedAt: answer.doneAt })
  }
  await nextVersion(probing.seen, done.at(-1)!.version)
  const bad = await probing.stop()
  if (bad > 0) failures.push(`${bad} failed answers while purges ran`)
  failures.push(badOf('purges', answers), complaint(await hits))
  for (const connection of [api, ...connections]) connection.close()
  const stale = done.map((purge) => staleAfter(purge, probing.seen))
  const late = stale.reduce((sum, { afterAcknowledgement }) => sum + afterAcknowledgement, 0)
  if (late > 0) failures.push(`${late} stale answers after an acknowledgement`)
  const acknowledged = done.map(({ calledAt, acknowledgedAt }) => acknowledgedAt - calledAt)
  return {
    findings: [
      {
        what: 'purge by key under hits: ms to the acknowledgement, p50 / p99',
        goal: '',
        found: p50And99(acknowledged),
      },
      {
        what: 'the same: ms to the last stale answer, p50 / p99',
        goal: 'p99 ≤ 5',
        found: p50And99(stale.map(({ lastMs }) => lastMs)),
      },
    ],
    failures: failures.filter(isText),
  }
}

/** Resolves with the newest version once somebody saw one above the given, and saw it twice: it is kept then. */
async function nextVersion(seen: readonly Seen[], above: number): Promise<number> {
  const endAt = performance.now() + 20_000
  while (performance.now() < endAt) {
    const newest = seen.at(-1)?.version ?? 0
    if (newest > above && seen.at(-2)?.version === newest) return newest
    await new Promise((resolve) => setImmediate(resolve))
  }
  throw new Error('A purged page did not come back.')
}

/** Requests for a page that no purge touches. */
function hitsOf(node: OwnNode, seconds: number, { generator }: BenchOptions): Promise<LoadResult> {
  const { host, port, service } = node
  return load({ host, port, authorities: [service.authority], path: '/page/hits', connections: 32, seconds }, generator)
}

function complaint(result: LoadResult): string | undefined {
  const bad = badAnswers(result)
  return bad === undefined ? undefined : `hits: ${bad}`
}

const keysInACall = 256
const purgesASecond = 10_000

/** Keeps the pace whatever the answers take, eight calls under way at most. */
async function startManyPurges(node: OwnNode) {
  const idle = await Promise.all(Array.from({ length: 8 }, () => node.openApi()))
  const all = [...idle]
  const startedAt = performance.now()
  let sent = 0
  let failed = 0
  const acknowledged: number[] = []
  function purge(): void {
    const due = ((performance.now() - startedAt) / 1000) * purgesASecond
    while (sent < due && idle.length > 0) void call(idle.pop()!)
  }
  async function call(connection: KeptConnection): Promise<void> {
    const surrogate_keys = Array.from({ length: keysInACall }, () => `distinct-${++sent}`)
    const answer = await connection
      .ask({
        path: `/service/${node.service.id}/purge`,
        method: 'POST',
        fields: { 'Fastly-Key': node.token, 'Content-Type': 'application/json' },
        body: JSON.stringify({ surrogate_keys }),
      })
      .catch(() => undefined)
    if (answer?.status !== 200) failed++
    else acknowledged.push(answer.doneAt - answer.sentAt)
    if (answer !== undefined) idle.push(connection)
  }
  const timer = setInterval(purge, 5)
  return {
    acknowledged,
    async stop(): Promise<{ perSecond: number; failed: number }> {
      clearInterval(timer)
      const seconds = (performance.now() - startedAt) / 1000
      const perSecond = (acknowledged.length * keysInACall) / seconds
      for (const connection of all) connection.close()
      return { perSecond, failed }
    },
  }
}

/** Rounds of hits without and with purges of keys that nothing has, in alternation. */
export async function measureHitsUnderPurges(node: OwnNode, options: BenchOptions): Promise<Findings> {
  const rounds = Math.min(options.rounds, 3)
  const calm: LoadResult[] = []
  const busy: LoadResult[] = []
  const failures: (string | undefined)[] = []
  const rates: number[] = []
  const acknowledged: number[] = []
  await keepObjects(node)
  await hitsOf(node, options.seconds, options)
  for (let round = 0; round < rounds; round++) {
    options.progress(`hits without and with purges, round ${round + 1}`)
    calm.push(await hitsOf(node, options.seconds, options))
    const purging = await startManyPurges(node)
    busy.push(await hitsOf(node, options.seconds, options))
    const { perSecond, failed } = await purging.stop()
    rates.push(perSecond)
    acknowledged.push(...purging.acknowledged)
    if (failed > 0) failures.push(`${failed} calls that purge failed`)
  }
  failures.push(...[...calm, ...busy].map(complaint))
  const speed = (results: readonly LoadResult[]): number => median(results.map((one) => one.requests / one.seconds))
  const p99 = (results: readonly LoadResult[]): string => milliseconds(median(results.map(({ p99Ms }) => p99Ms)))
  const many = `under ${show(purgesASecond)} purges a second`
  return {
    findings: [
      { what: 'hits, 32 connections: requests/s / p99 ms', goal: '', found: `${show(speed(calm))} / ${p99(calm)}` },
      {
        what: `hits ${many}: requests/s / p99 ms`,
        goal: 'not slower',
        found: `${show(speed(busy))} / ${p99(busy)}`,
      },
      { what: 'the same: × without purges', goal: '', found: ratio(speed(busy), speed(calm)) },
      { what: 'the same: purges acknowledged a second', goal: show(purgesASecond), found: show(median(rates)) },
      { what: 'the same: ms to the acknowledgement of 256 keys, p50 / p99', goal: '', found: p50And99(acknowledged) },
    ],
    failures: failures.filter(isText),
  }
}

const keptObjects = 1000

/** What each sweep behind the purges has to go through. */
async function keepObjects(node: OwnNode): Promise<void> {
  const connection = await openConnection(node.host, node.port, node.service.authority)
  for (let index = 0; index < keptObjects; index++) await connection.ask({ path: `/tagged/kept-${index}` })
  connection.close()
}
