/** The same operations on a little and on a lot: 1,000,000 keys, a database of 5 GB, 10,000 messages that wait. */
import { openConnection } from '../kept-connection.ts'
import { type BoundProgram, startOursWith } from '../peers/bound-programs.ts'
import type { Node } from '../peers/rimward.ts'
import type { BenchOptions, BenchRow } from '../row.ts'
import { median, quantile, ratio, show } from '../statistics.ts'
import type { Target } from '../target.ts'

const few = { keys: 1000, rows: 1000, messages: 0 }
const many = { keys: 1_000_000, rows: 1_250_000, messages: 10_000 }
/** Of a row; so many fill a page of SQLite but for its head. */
const rowBytes = 4000
const keysTogether = 10_000
const rowsTogether = 25_000
const messagesTogether = 100
/** Seconds a round at the most: there are many. */
const roundSeconds = 0.5

const source = `
let told = 0
const text = 'x'.repeat(100)
export default {
  async fetch(request, env) {
    const [, many, what] = new URL(request.url).pathname.split('/')
    const { keys, rows } = ${JSON.stringify({ few, many })}[many]
    const [KV, DB, QUEUE] = [env['KV_' + many], env['DB_' + many], env['QUEUE_' + many]]
    const key = () => 'key ' + String(Math.floor(Math.random() * keys)).padStart(9, '0')
    switch (what) {
      case 'later': {
        const messages = Array.from({ length: ${messagesTogether} }, () => ({ body: text }))
        await QUEUE.sendBatch(messages, { delaySeconds: 43_200 })
        break
      }
      case 'get': return new Response(await KV.get(key()))
      case 'put': await KV.put(key(), text); break
      case 'list': return new Response(String((await KV.list({ limit: 100 })).keys.length))
      case 'prefix': return new Response(String((await KV.list({ prefix: key().slice(0, -2) })).keys.length))
      case 'select': {
        const id = 1 + Math.floor(Math.random() * rows)
        return new Response(String(await DB.prepare('SELECT length(note) FROM t WHERE id = ?1').bind(id).first('length(note)')))
      }
      case 'insert': await DB.prepare('INSERT INTO t (note) VALUES (?1)').bind(text).run(); break
      case 'message': {
        const before = told
        await QUEUE.send(text)
        for (let waited = 0; told === before && waited < 10_000; waited++) await scheduler.wait(1)
      }
    }
    return new Response('done')
  },
  queue() {
    told++
  },
}
`

const amounts = ['few', 'many'] as const
type Amount = (typeof amounts)[number]

const databases = new Map<Amount, string>()
const namespaces = new Map<Amount, string>()

const program: BoundProgram = {
  name: 'amounts',
  source,
  miniflare: {},
  async make(node) {
    const bindings: object[] = []
    for (const amount of amounts) {
      const { uuid } = await node.call<{ uuid: string }>('POST', '/d1/database', { name: amount })
      const { id } = await node.call<{ id: string }>('POST', '/storage/kv/namespaces', { title: amount })
      await node.call('POST', '/queues', { queue_name: amount })
      databases.set(amount, uuid)
      namespaces.set(amount, id)
      bindings.push(
        { type: 'd1', name: `DB_${amount}`, id: uuid },
        { type: 'kv_namespace', name: `KV_${amount}`, namespace_id: id },
        { type: 'queue', name: `QUEUE_${amount}`, queue_name: amount },
      )
    }
    return { bindings }
  },
  async after(node) {
    const settings = { batch_size: 10, max_wait_time_ms: 0 }
    for (const { queue_id: id } of await node.call<{ queue_id: string }[]>('GET', '/queues'))
      await node.call('POST', `/queues/${id}/consumers`, { type: 'worker', script_name: 'amounts', settings })
  },
}

/** By the API's bulk writes. */
async function fillKeys(node: Node, amount: Amount, keys: number): Promise<void> {
  const path = `/storage/kv/namespaces/${namespaces.get(amount)}/bulk`
  for (let first = 0; first < keys; first += keysTogether) {
    const length = Math.min(keysTogether, keys - first)
    const pairs = Array.from({ length }, (_, index) => ({
      key: `key ${String(first + index).padStart(9, '0')}`,
      value: 'x'.repeat(100),
    }))
    await node.call('PUT', path, pairs)
  }
}

/** By the API's queries. */
async function fillRows(node: Node, amount: Amount, rows: number): Promise<void> {
  const run = (sql: string) => node.call('POST', `/d1/database/${databases.get(amount)}/query`, { sql })
  await run('CREATE TABLE t (id INTEGER PRIMARY KEY, note)')
  for (let first = 0; first < rows; first += rowsTogether) {
    const length = Math.min(rowsTogether, rows - first)
    const numbers = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ${length})`
    await run(`${numbers} INSERT INTO t (note) SELECT zeroblob(${rowBytes}) FROM n`)
  }
}

async function timed(work: Promise<void>): Promise<number> {
  const startedAt = performance.now()
  await work
  return (performance.now() - startedAt) / 1000
}

const operations = [
  ['KV get', 'get'],
  ['KV put', 'put'],
  ['KV list, the first 100', 'list'],
  ['KV list, 100 by a prefix', 'prefix'],
  ['D1 select by key', 'select'],
  ['D1 insert', 'insert'],
  ['Queue, from send to consumed', 'message'],
] as const

/** Milliseconds of each request, one at a time. */
async function measure({ host, port, authorities }: Target, path: string, seconds: number): Promise<number[]> {
  const connection = await openConnection(host, port, authorities[0]!)
  const times: number[] = []
  const end = performance.now() + seconds * 1000
  while (performance.now() < end) {
    const { status, sentAt, doneAt } = await connection.ask({ path })
    if (status !== 200) throw new Error(`${path}: ${status}`)
    times.push(doneAt - sentAt)
  }
  connection.close()
  return times
}

async function takeTurns(target: Target, { rounds, seconds, progress }: BenchOptions) {
  const times = new Map<string, number[]>()
  const note = (key: string, values: number[]) => times.set(key, [...(times.get(key) ?? []), ...values])
  for (let round = 0; round <= rounds; round++)
    for (const [name, what] of operations)
      for (const amount of amounts) {
        progress(`${round === 0 ? 'warming' : `round ${round}`}: ${name}, ${amount}`)
        const measured = await measure(target, `/${amount}/${what}`, Math.min(seconds, roundSeconds))
        if (round > 0) note(`${amount} ${what}`, measured)
      }
  return times
}

export const bindingsLarge: BenchRow = {
  name: 'bindings-large',
  async run(options) {
    const target = await startOursWith(program)
    try {
      const { node } = target
      options.progress('filling')
      await Promise.all([fillKeys(node, 'few', few.keys), fillRows(node, 'few', few.rows)])
      const [keysTook, rowsTook] = await Promise.all([
        timed(fillKeys(node, 'many', many.keys)),
        timed(fillRows(node, 'many', many.rows)),
      ])
      const connection = await openConnection(target.host, target.port, target.authorities[0]!)
      for (let sent = 0; sent < many.messages; sent += messagesTogether) await connection.ask({ path: '/many/later' })
      connection.close()
      const times = await takeTurns(target, options)
      return {
        title: 'Bindings with little and with much in them',
        how: `${options.rounds} rounds in alternation after one to warm up, one request at a time, milliseconds. Little: 1,000 keys, 1,000 rows, no message. Much: 1,000,000 keys, written at the same time as the rows, in ${show(keysTook, 0)} s; ${many.rows} rows of ${rowBytes} bytes, 5 GB, in ${show(rowsTook, 0)} s; 10,000 messages that wait for hours.`,
        heading: ['', 'little, p50', 'much, p50', 'much / little', 'little, p99', 'much, p99'],
        rows: operations.map(([name, what]) => {
          const [little, much] = amounts.map((amount) => times.get(`${amount} ${what}`)!) as [number[], number[]]
          const middle = [median(little), median(much)] as const
          return [
            ...[name, show(middle[0]), show(middle[1]), ratio(middle[1], middle[0])],
            ...[show(quantile(little, 0.99)), show(quantile(much, 0.99))],
          ]
        }),
        failures: [],
      }
    } finally {
      await target.stop()
    }
  },
}
