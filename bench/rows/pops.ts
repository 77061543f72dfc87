/** Three points of presence in processes of their own with round trips of 80 and 160 ms: deploys, purges, key-value writes, requests handed over. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { loadavg } from 'node:os'
import { setTimeout as wait } from 'node:timers/promises'
import { type PopName, popNames } from '../../test/support/distant-pops.ts'
import type { KeptConnection } from '../kept-connection.ts'
import { type Pops, startPops } from '../peers/pops.ts'
import type { BenchOptions, BenchRow } from '../row.ts'
import { median, quantile, show } from '../statistics.ts'

/** Of every kind, for each round that was asked for. */
const timesARound = 20
const clients = 256
/** The longest round trip from the node that is asked: to nrt. */
const longest = 160
const away = ['iad', 'nrt'] as const
const roundTrip = { iad: 80, nrt: longest } as const

const lookMs = 3

interface Finding {
  readonly what: string
  readonly goal: string
  readonly found: string
  /** Did it hold, where that can be said? */
  readonly holds?: boolean
}

const p50And99 = (values: readonly number[]): string => `${show(median(values))} / ${show(quantile(values, 0.99))}`

/** Asks again and again until an answer is that text; when that answer was whole, to within `lookMs`. */
async function untilAnswered(connection: KeptConnection, path: string, text: string): Promise<number> {
  const endAt = performance.now() + 30_000
  while (performance.now() < endAt) {
    const { body, doneAt } = await connection.ask({ path })
    if (body === text) return doneAt
    // Asked without a pause, three programs take all there is of a small machine.
    await wait(lookMs)
  }
  throw new Error(`${path} does not become ${text}.`)
}

function openAll<Name extends PopName>(pops: Pops, names: readonly Name[], host: string) {
  const opening = names.map(async (name) => ({ name, connection: await pops.open(name, host) }))
  return Promise.all(opening)
}

const workerSource = (version: string): string => `export default {
  async fetch(request, env) {
    const key = new URL(request.url).pathname.slice(1)
    if (key === '') return new Response(${JSON.stringify(version)})
    if (request.method !== 'PUT') return new Response((await env.KV.get(key)) ?? 'nothing')
    await env.KV.put(key, await request.text())
    return new Response('kept')
  },
}
`

async function measureDeploys(pops: Pops, namespace: string, times: number): Promise<Finding[]> {
  await pops.deploy('worker', workerSource('first'), namespace)
  const all = await openAll(pops, popNames, 'worker.localhost')
  for (const { connection } of all) await untilAnswered(connection, '/', 'first')
  const served: number[] = []
  for (let count = 0; count < times; count++) {
    const version = `version ${count}`
    const answered = Promise.all(all.map(({ connection }) => untilAnswered(connection, '/', version)))
    const acknowledgedAt = await pops.deploy('worker', workerSource(version), namespace)
    served.push(Math.max(...(await answered)) - acknowledgedAt)
  }
  for (const { connection } of all) connection.close()
  const what = 'deploy of a Worker: ms from the acknowledgement until every PoP answers with it, p50 / p99'
  const p99 = quantile(served, 0.99)
  return [{ what, goal: `p99 ≤ ${longest + 100}`, found: p50And99(served), holds: p99 <= longest + 100 }]
}

async function measureValues(pops: Pops, times: number): Promise<Finding[]> {
  const writer = await pops.open('fra', 'worker.localhost')
  const readers = await openAll(pops, away, 'worker.localhost')
  const readable: Record<(typeof away)[number], number[]> = { iad: [], nrt: [] }
  for (let count = 0; count < times; count++) {
    const value = `value ${count}`
    const reading = readers.map(({ name, connection }) =>
      untilAnswered(connection, '/key', value).then((doneAt) => ({ name, doneAt })),
    )
    const { doneAt: acknowledgedAt } = await writer.ask({ path: '/key', method: 'PUT', body: value })
    for (const { name, doneAt } of await Promise.all(reading)) readable[name].push(doneAt - acknowledgedAt)
  }
  for (const connection of [writer, ...readers.map((one) => one.connection)]) connection.close()
  return away.map((name) => ({
    what: `KV write at fra: ms from the acknowledgement until ${name} reads it, p50 / p99`,
    goal: `p99 ≤ ${roundTrip[name] + 50}`,
    found: p50And99(readable[name]),
    holds: quantile(readable[name], 0.99) <= roundTrip[name] + 50,
  }))
}

interface Origin {
  version: number
  readonly url: string
  close(): void
}

async function startOrigin(): Promise<Origin> {
  const server = createServer((_, response) => {
    response.setHeader('cache-control', 'max-age=600').setHeader('surrogate-key', 'page')
    response.end(String(origin.version))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const origin: Origin = { version: 1, url: `http://127.0.0.1:${port}`, close: () => void server.close() }
  return origin
}

async function measurePurges(pops: Pops, origin: Origin, times: number): Promise<Finding[]> {
  const api = await pops.openApi()
  await pops.call(api, 'POST', '/rimward/v1/sites', { name: 'page', origin: origin.url })
  const all = await openAll(pops, popNames, 'page.localhost')
  const acknowledged: number[] = []
  let stale = 0
  for (let count = 0; count < times; count++) {
    const text = String(origin.version)
    await Promise.all(all.map(({ connection }) => untilAnswered(connection, '/', text)))
    origin.version++
    const { sentAt, doneAt } = await pops.call(api, 'POST', '/rimward/v1/purge', { site: 'page', tags: ['page'] })
    acknowledged.push(doneAt - sentAt)
    const after = await Promise.all(all.map(({ connection }) => connection.ask({ path: '/' })))
    stale += after.filter(({ body }) => body !== String(origin.version)).length
  }
  for (const connection of [api, ...all.map((one) => one.connection)]) connection.close()
  const p50 = median(acknowledged)
  const goal = `p50 ≤ ${longest + 20}`
  return [
    {
      what: 'purge: ms to the acknowledgement of all PoPs, p50 / p99',
      goal,
      found: p50And99(acknowledged),
      holds: p50 <= longest + 20,
    },
    { what: 'stale answers at any PoP after it', goal: '0', found: String(stale), holds: stale === 0 },
  ]
}

async function measurePurgeRate(pops: Pops, seconds: number): Promise<Finding[]> {
  const connections = await Promise.all(Array.from({ length: clients }, () => pops.openApi()))
  const beganAt = performance.now()
  const endAt = beganAt + seconds * 1000
  let purged = 0
  const run = async (connection: KeptConnection, index: number) => {
    for (let count = 0; performance.now() < endAt; count++) {
      await pops.call(connection, 'POST', '/rimward/v1/purge', { site: 'page', tags: [`${index}-${count}`] })
      purged++
    }
  }
  await Promise.all(connections.map(run))
  const rate = (purged * 1000) / (performance.now() - beganAt)
  for (const connection of connections) connection.close()
  return [{ what: `purges/s acknowledged by all, ${clients} clients one at a time each`, goal: '', found: show(rate) }]
}

/** Hits, so that both ends do the least; the round trip itself is measured between them. */
async function measureHandedOver(pops: Pops, origin: Origin, times: number): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const [name, country] of [
    ['iad', 'US'],
    ['nrt', 'JP'],
  ] as const) {
    const site = `kept-${name}`
    // Node closes a connection that was idle for five seconds.
    const api = await pops.openApi()
    await pops.call(api, 'POST', '/rimward/v1/sites', { name: site, origin: origin.url })
    await pops.call(api, 'PUT', '/rimward/v1/residency', { name: `site:${site}`, within: country })
    api.close()
    const [direct, handed] = await Promise.all([
      pops.open(name, `${site}.localhost`),
      pops.open('fra', `${site}.localhost`),
    ])
    const took = { direct: [] as number[], handed: [] as number[], bare: [] as number[] }
    for (const connection of [direct, handed]) await untilAnswered(connection, '/', String(origin.version))
    for (let count = 0; count < times; count++) {
      const near = await direct.ask({ path: '/' })
      took.direct.push(near.doneAt - near.sentAt)
      const far = await handed.ask({ path: '/' })
      took.handed.push(far.doneAt - far.sentAt)
      took.bare.push((await pops.roundTrips())[name])
    }
    for (const connection of [direct, handed]) connection.close()
    const added = median(took.handed) - median(took.direct) - median(took.bare)
    findings.push({
      what: `request handed from fra to ${name}: ms beyond the round trip (${show(median(took.bare))}) and the answer itself, p50`,
      goal: '≤ 2',
      found: show(added, 1),
      holds: added <= 2,
    })
  }
  return findings
}

async function measure(pops: Pops, origin: Origin, { rounds, seconds, progress }: BenchOptions): Promise<Finding[]> {
  const times = rounds * timesARound
  progress('deploys')
  const namespace = await pops.addNamespace('bench')
  const deploys = await measureDeploys(pops, namespace, times)
  progress('key-value writes')
  const values = await measureValues(pops, times)
  progress('purges')
  const purges = await measurePurges(pops, origin, times)
  progress('requests handed over')
  const handed = await measureHandedOver(pops, origin, times)
  progress('many purges')
  return [...deploys, ...values, ...purges, ...handed, ...(await measurePurgeRate(pops, seconds))]
}

export const popsRow: BenchRow = {
  name: 'pops',
  async run(options) {
    const origin = await startOrigin()
    const pops = await startPops()
    try {
      const findings = await measure(pops, origin, options)
      const held = (holds: boolean | undefined) => (holds === undefined ? '' : holds ? 'yes' : 'no')
      return {
        title: 'Three points of presence',
        how: `Three PoPs in processes of their own, each with a server of NATS beside it (a cluster of three), behind relays: round trips of 80 ms (fra, iad) and 160 ms (to nrt) for nodes and servers alike; asked at fra over HTTP, one request after the other, ${options.rounds * timesARound} times. The load average of the machine was ${loadavg()[0]!.toFixed(0)} at the end; p99 feels other work on the disk above all. A negative time: every PoP answered before the acknowledgement had come back.`,
        heading: ['', 'goal', 'found', 'held'],
        rows: findings.map(({ what, goal, found, holds }) => [what, goal, found, held(holds)]),
        failures: [],
      }
    } finally {
      await pops.stop()
      origin.close()
    }
  },
}
