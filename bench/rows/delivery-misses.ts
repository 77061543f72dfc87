/** What the origin is asked for and when: misses, a cold key, joiners of a stream, private pages. */
import { type Exchange, type KeptConnection, openConnection, openConnections } from '../kept-connection.ts'
import type { Place, TimedCache, TimedOrigin } from '../peers/timed-caches.ts'
import { median, quantile, show } from '../statistics.ts'

/** One line of the table, for one cache. */
export interface Finding {
  readonly what: string
  readonly goal: string
  readonly found: string
}

export interface Findings {
  readonly findings: readonly Finding[]
  readonly failures: readonly string[]
}

let lastKey = 0
/** A path that nobody asked for before, below the kind of answer. */
const newPath = (kind: string): string => `/${kind}/${++lastKey}`

export const milliseconds = (value: number): string => show(value, 2)
export const p50And99 = (values: readonly number[]): string =>
  `${milliseconds(median(values))} / ${milliseconds(quantile(values, 0.99))}`

/** How many of the answers are not a 200, in words; undefined when all are. */
export function badOf(name: string, answers: readonly (Exchange | undefined)[]): string | undefined {
  const bad = answers.filter((answer) => answer?.status !== 200)
  const first = bad[0]?.status ?? 'a broken connection'
  return bad.length === 0 ? undefined : `${name}: ${bad.length} of ${answers.length} failed, the first with ${first}`
}

const wholeMs = ({ sentAt, doneAt }: Exchange): number => doneAt - sentAt

/** What a miss takes longer than the same request to the origin: medians and 99th percentiles against each other. */
export function addedTime(direct: readonly number[], through: readonly number[]): { p50: number; p99: number } {
  const added = (part: number): number => quantile(through, part) - quantile(direct, part)
  return { p50: added(0.5), p99: added(0.99) }
}

const missesToWarmUp = 300
const missesCounted = 600

/** Direct and through each cache in turn, on one kept connection each, every request for a new key. */
export async function measureMisses(
  origin: Place,
  caches: readonly TimedCache[],
): Promise<ReadonlyMap<string, Findings>> {
  const direct = await openConnection(origin.host, origin.port, origin.authority)
  const through = await Promise.all(
    caches.map(async (cache) => ({
      cache,
      connection: await openConnection(cache.host, cache.port, cache.authority),
      answers: [] as Exchange[],
    })),
  )
  const directly: Exchange[] = []
  for (let index = -missesToWarmUp; index < missesCounted; index++) {
    const exchange = await direct.ask({ path: newPath('page') })
    if (index >= 0) directly.push(exchange)
    for (const { connection, answers } of through) {
      const answer = await connection.ask({ path: newPath('page') })
      if (index >= 0) answers.push(answer)
    }
  }
  direct.close()
  for (const { connection } of through) connection.close()
  const base = directly.map(wholeMs)
  const found = through.map(({ cache, answers }): [string, Findings] => {
    const { p50, p99 } = addedTime(base, answers.map(wholeMs))
    const findings = [
      { what: 'miss: p50 ms beyond the request to the origin itself', goal: '≤ 0.3', found: milliseconds(p50) },
      { what: 'miss: p99 ms beyond', goal: '', found: milliseconds(p99) },
    ]
    return [cache.name, { findings, failures: [badOf(cache.name, answers)].filter(isText) }]
  })
  const itself = { what: 'the origin itself: p50 / p99 ms', goal: '', found: p50And99(base) }
  const [first] = found
  return new Map(
    found.map(([name, one]) => [name, name === first![0] ? { ...one, findings: [itself, ...one.findings] } : one]),
  )
}

export const isText = (text: string | undefined): text is string => text !== undefined

const closeAll = (connections: readonly KeptConnection[]): void => {
  for (const connection of connections) connection.close()
}

/** Each asks once, at the same time; undefined for those whose connection broke. */
function wave(connections: readonly KeptConnection[], path: string): Promise<(Exchange | undefined)[]> {
  return Promise.all(connections.map((connection) => connection.ask({ path }).catch(() => undefined)))
}

/** From the first request to the last answer. */
export function waveMs(answers: readonly (Exchange | undefined)[]): number {
  const whole = answers.filter((answer) => answer !== undefined)
  return Math.max(...whole.map(({ doneAt }) => doneAt)) - Math.min(...whole.map(({ sentAt }) => sentAt))
}

const clients = 1000
const coldKeys = 3

/** All connections are open before the first request is sent. The origin thinks for 100 ms. */
export async function measureColdKey(origin: TimedOrigin, cache: TimedCache): Promise<Findings> {
  const connections = await openConnections(clients, cache)
  const asked: number[] = []
  const times: number[] = []
  const failures: (string | undefined)[] = []
  for (let round = 0; round < coldKeys; round++) {
    const path = newPath('slow')
    const answers = await wave(connections, path)
    failures.push(badOf(`${cache.name}, a cold key`, answers))
    times.push(waveMs(answers))
    asked.push(await origin.asked(path))
  }
  closeAll(connections)
  const most = Math.max(...asked)
  return {
    findings: [
      { what: `${clients} clients on a cold key: requests to the origin, at most`, goal: '1', found: String(most) },
      {
        what: 'the same: ms until all have their answer, of which the origin takes 100',
        goal: '',
        found: show(median(times)),
      },
    ],
    failures: failures.filter(isText),
  }
}

const streams = 12
const joinersEach = 8

/** Joiners come one by one, 5 ms apart, while the first client's answer is still arriving. */
export async function measureJoiners(origin: TimedOrigin, cache: TimedCache): Promise<Findings> {
  const [leader, ...joiners] = await openConnections(joinersEach + 1, cache)
  const failures: (string | undefined)[] = []
  const times: number[] = []
  for (let round = 0; round < streams; round++) {
    const path = newPath('stream')
    const first = leader!.ask({ path })
    await pause(40)
    const joined: Promise<Exchange>[] = []
    for (const joiner of joiners) {
      joined.push(joiner.ask({ path }))
      await pause(5)
    }
    const answers = await Promise.all([first, ...joined])
    failures.push(badOf(`${cache.name}, a joined stream`, answers))
    // The first request of all warms up what only streams pass through.
    if (round > 0) for (const { sentAt, firstByteAt } of answers.slice(1)) times.push(firstByteAt - sentAt)
    if (cache.name === 'rimward' && (await origin.asked(path)) !== 1)
      failures.push('joiners were not served from the stream they joined')
  }
  closeAll([leader!, ...joiners])
  return {
    findings: [{ what: 'joining a stream: ms to the first byte, p50 / p99', goal: 'p50 ≤ 2', found: p50And99(times) }],
    failures: failures.filter(isText),
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const privatePages = 3
/** nginx lets those who wait for its lock go after 5 s: one page of it is enough. */
const privateMs = 3000

/** Twenty clients on a page that the origin takes 200 ms for and that nobody shares; then the same twenty again. */
export async function measurePrivate(cache: TimedCache): Promise<Findings> {
  const connections = await openConnections(20, cache)
  const failures: (string | undefined)[] = []
  const times: [number[], number[]] = [[], []]
  const endAt = performance.now() + privateMs
  for (let round = 0; round < privatePages && performance.now() < endAt; round++) {
    const path = newPath('private')
    for (const waveTimes of times) {
      const answers = await wave(connections, path)
      failures.push(badOf(`${cache.name}, a private page`, answers))
      waveTimes.push(waveMs(answers))
    }
  }
  closeAll(connections)
  const what = (which: string): string => `20 clients on a private page of 200 ms: ${which} wave, ms`
  return {
    findings: [
      { what: what('first'), goal: '', found: show(median(times[0])) },
      { what: what('second'), goal: '≤ 220', found: show(median(times[1])) },
    ],
    failures: failures.filter(isText),
  }
}
