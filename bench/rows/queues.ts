/** A message from `send` to its consumer, beside Miniflare. */
import { get } from 'node:http'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { badAnswers, load } from '../load.ts'
import { startNode } from '../peers/rimward.ts'
import { compatibilityDate, queueSource } from '../programs.ts'
import type { BenchOptions, BenchRow } from '../row.ts'
import { median, ratio, show } from '../statistics.ts'
import { launch, type Target } from '../target.ts'

const { version } = createRequire(import.meta.url)('miniflare/package.json') as { version: string }

async function startMiniflare(): Promise<Target> {
  const script = fileURLToPath(new URL('../peers/miniflare-queue-process.ts', import.meta.url))
  const running = launch(process.execPath, [script])
  const [, port] = await running.until(/listening (\d+)/)
  const target = { host: '127.0.0.1', port: Number(port), authorities: ['bench.localhost'], path: '/' }
  return { ...target, pid: running.child.pid!, stop: running.stop }
}

async function startRimward(): Promise<Target> {
  const node = await startNode()
  const account = `${node.env.CLOUDFLARE_API_BASE_URL}/accounts/${node.env.CLOUDFLARE_ACCOUNT_ID}`
  const call = async (method: string, path: string, body: FormData | object): Promise<{ queue_id: string }> => {
    const answer = await fetch(`${account}${path}`, {
      method,
      body: body instanceof FormData ? body : JSON.stringify(body),
      headers: { authorization: `Bearer ${node.env.CLOUDFLARE_API_TOKEN}` },
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 300)}`)
    return (JSON.parse(text) as { result: { queue_id: string } }).result
  }
  const { queue_id: id } = await call('POST', '/queues', { queue_name: 'bench' })
  const form = new FormData()
  const bindings = [{ type: 'queue', name: 'Q', queue_name: 'bench' }]
  form.append('metadata', JSON.stringify({ main_module: 'index.js', bindings, compatibility_date: compatibilityDate }))
  form.append('index.js', new File([queueSource], 'index.js', { type: 'application/javascript+module' }))
  await call('PUT', '/workers/scripts/bench?excludeScript=true', form)
  await call('POST', '/workers/scripts/bench/subdomain', { enabled: true })
  const settings = { batch_size: 10, max_wait_time_ms: 0 }
  await call('POST', `/queues/${id}/consumers`, { type: 'worker', script_name: 'bench', settings })
  const { hostname, port } = node.http
  const authorities = [`bench.localhost:${port}`]
  return { host: hostname, port: Number(port), authorities, path: '/', pid: node.pid, stop: node.stop }
}

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
function counts({ host, port, authorities }: Target): Promise<[number, number]> {
  return new Promise((resolve, reject) => {
    const headers = { host: authorities[0]! }
    get({ host, port, path: '/counts', headers, agent: false }, (answer) => {
      let text = ''
      answer.on('data', (chunk: Buffer) => {
        text += String(chunk)
      })
      answer.on('end', () => resolve(JSON.parse(text) as [number, number]))
    }).on('error', reject)
  })
}

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
  versions: { miniflare: version },
  async run(options) {
    const failures: string[] = []
    const contestants = [
      { name: 'miniflare (kept in memory)', target: await startMiniflare() },
      { name: 'rimward (on disk before `send` resolves)', target: await startRimward() },
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
