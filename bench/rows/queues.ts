/** A message from `send` to its consumer, beside Miniflare. */
import { badAnswers, load } from '../load.ts'
import { ask, miniflareVersion, startMiniflareWith, startOursWith } from '../peers/bound-programs.ts'
import { queueProgram } from '../peers/queue-program.ts'
import type { BenchOptions, BenchRow } from '../row.ts'
import { median, ratio, show } from '../statistics.ts'
import type { Target } from '../target.ts'

interface Measured {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** One connection: requests answered once their message was told. Several: messages sent, and told by the end. */
async function round(
  target: Target,
  connections: number,
  options: BenchOptions,
  failures: string[],
): Promise<Measured> {
  const path = connections === 1 ? '/' : '/send'
  const [, before] = await counts(target)
  const began = performance.now()
  const result = await load({ ...target, path, connections, seconds: options.seconds }, options.generator)
  const bad = badAnswers(result)
  if (bad !== undefined) failures.push(bad)
  const { p50Ms, p99Ms } = result
  if (connections === 1) return { perSecond: result.requests / result.seconds, p50Ms, p99Ms }
  const told = await allTold(target)
  return { perSecond: ((told - before) / (performance.now() - began)) * 1000, p50Ms, p99Ms }
}

/** Messages that were sent and told, ever. */
const counts = async (target: Target) => JSON.parse(await ask(target, '/counts')) as [number, number]

async function allTold(target: Target): Promise<number> {
  const end = performance.now() + 60_000
  for (;;) {
    const [sent, told] = await counts(target)
    if (told >= sent) return told
    if (performance.now() > end) throw new Error(`${sent - told} messages were not told within a minute`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const crowds = [1, 32]

export const queues: BenchRow = {
  name: 'queues',
  versions: { miniflare: miniflareVersion },
  async run(options) {
    const failures: string[] = []
    const contestants = [
      { name: 'miniflare (kept in memory)', target: await startMiniflareWith(queueProgram) },
      { name: 'rimward (on disk before `send` resolves)', target: await startOursWith(queueProgram) },
    ]
    const measured = new Map<string, Measured[]>()
    try {
      for (let number = -1; number < options.rounds; number += 1)
        for (const connections of crowds)
          for (const { name, target } of contestants) {
            options.progress(`${number < 0 ? 'warming' : `round ${number + 1}`}: ${name}, ${connections}`)
            const one = await round(target, connections, options, failures)
            const key = `${name} ${connections}`
            if (number >= 0) measured.set(key, [...(measured.get(key) ?? []), one])
          }
    } finally {
      await Promise.all(contestants.map(({ target }) => target.stop()))
    }
    const middle = (name: string, connections: number, of: keyof Measured) =>
      median((measured.get(`${name} ${connections}`) ?? []).map((one) => one[of]))
    const base = contestants[0]!.name
    return {
      title: 'Queues: from send to consumed',
      how: `One connection: a Worker sends a message and answers once its own consumer was told of it. 32: it answers when it is sent, and messages are counted until all are told; latencies are those of sending. Batches of 10 at most, no waiting. ${options.rounds} rounds of ${options.seconds} s in alternation, medians.`,
      heading: ['server', 'connections', 'messages/s', '× miniflare', 'p50 ms', 'p99 ms'],
      rows: crowds.flatMap((connections) =>
        contestants.map(({ name }) => [
          name,
          String(connections),
          show(middle(name, connections, 'perSecond'), 0),
          ratio(middle(name, connections, 'perSecond'), middle(base, connections, 'perSecond')),
          show(middle(name, connections, 'p50Ms')),
          show(middle(name, connections, 'p99Ms')),
        ]),
      ),
      failures,
    }
  },
}
