/** A Worker that selects a row by its key and inserts one, beside Miniflare; inserts also beside SQLite without anything around it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { badAnswers, load } from '../load.ts'
import { databaseSource } from '../peers/database-worker.ts'
import { type Node, startNode } from '../peers/rimward.ts'
import { compatibilityDate } from '../programs.ts'
import type { BenchOptions, BenchRow } from '../row.ts'
import { median, ratio, show } from '../statistics.ts'
import { launch, type Target } from '../target.ts'

const { version } = createRequire(import.meta.url)('miniflare/package.json') as { version: string }

async function startMiniflare(): Promise<Target> {
  const program = fileURLToPath(new URL('../peers/d1-miniflare-process.ts', import.meta.url))
  const running = launch(process.execPath, [program])
  const port = Number((await running.until(/listening (\d+)/))[1])
  const target = { host: '127.0.0.1', port, authorities: ['shop.localhost'], path: '/', pid: running.child.pid! }
  return { ...target, stop: running.stop }
}

async function startOurs(): Promise<Target> {
  const node = await startNode()
  await deploy(node)
  const { hostname, port } = node.http
  const target = { host: hostname, port: Number(port), authorities: ['shop.localhost'], path: '/', pid: node.pid }
  return { ...target, stop: node.stop }
}

async function deploy({ env }: Node): Promise<void> {
  const account = `${env.CLOUDFLARE_API_BASE_URL}/accounts/${env.CLOUDFLARE_ACCOUNT_ID}`
  const call = async (method: string, path: string, body: FormData | object): Promise<{ uuid: string }> => {
    const answer = await fetch(`${account}/${path}`, {
      method,
      body: body instanceof FormData ? body : JSON.stringify(body),
      headers: { authorization: `Bearer ${env.CLOUDFLARE_API_TOKEN}` },
    })
    const told = (await answer.json()) as { success: boolean; result: { uuid: string } }
    if (!told.success) throw new Error(`${method} ${path}: ${JSON.stringify(told)}`)
    return told.result
  }
  const { uuid } = await call('POST', 'd1/database', { name: 'shop' })
  const form = new FormData()
  const bindings = [{ type: 'd1', name: 'DB', id: uuid }]
  form.append('metadata', JSON.stringify({ main_module: 'index.js', bindings, compatibility_date: compatibilityDate }))
  form.append('index.js', new File([databaseSource], 'index.js', { type: 'application/javascript+module' }))
  await call('PUT', 'workers/scripts/shop?excludeScript=true&bindings_inherit=strict', form)
  await call('POST', 'workers/scripts/shop/subdomain', { enabled: true })
}

/** Inserts a second of SQLite in this process, each durable before the next. */
function rawInserts(seconds: number): number {
  const folder = mkdtempSync(join(tmpdir(), 'bench-sqlite-'))
  const database = new DatabaseSync(join(folder, 'raw'))
  try {
    database.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL')
    database.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, note TEXT)')
    const insert = database.prepare('INSERT INTO t (name, note) VALUES (?1, ?2)')
    const startedAt = performance.now()
    let count = 0
    for (; performance.now() - startedAt < seconds * 1000; count++) insert.run('name', 'x'.repeat(100))
    return count / ((performance.now() - startedAt) / 1000)
  } finally {
    database.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

const cases = (['select', 'insert'] as const).flatMap((what) => [1, 32].map((connections) => ({ what, connections })))

interface Contestant {
  readonly name: string
  readonly target: Target
}

async function measure(contestants: readonly Contestant[], options: BenchOptions) {
  const failures: string[] = []
  const rates = new Map<string, number[]>()
  const note = (key: string, rate: number) => rates.set(key, [...(rates.get(key) ?? []), rate])
  for (let number = -1; number < options.rounds; number++) {
    if (number >= 0) note('raw', rawInserts(options.seconds))
    for (const { what, connections } of cases)
      for (const { name, target } of contestants) {
        options.progress(number < 0 ? `warming ${name}` : `round ${number + 1}: ${what} × ${connections}, ${name}`)
        const order = { ...target, path: `/${what}`, connections, seconds: options.seconds }
        const result = await load(order, options.generator)
        const bad = badAnswers(result)
        if (bad !== undefined) failures.push(`${name}: ${bad}`)
        if (number >= 0) note(`${name} ${what} ${connections}`, result.requests / result.seconds)
      }
  }
  return { failures, rate: (key: string) => median(rates.get(key)!) }
}

function setUp({ host, port, authorities }: Target): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = request({ host, port, path: '/setup', headers: { host: authorities[0]! } }, (answer) => {
      answer.resume()
      if (answer.statusCode === 200) answer.on('end', resolve)
      else reject(new Error(`setting up: ${answer.statusCode}`))
    })
    asked.on('error', reject).end()
  })
}

export const d1Row: BenchRow = {
  name: 'd1',
  versions: { miniflare: version },
  async run(options) {
    const contestants = [
      { name: 'miniflare', target: await startMiniflare() },
      { name: 'Rimward', target: await startOurs() },
    ]
    try {
      for (const { target } of contestants) await setUp(target)
      const { failures, rate } = await measure(contestants, options)
      const raw = rate('raw')
      return {
        title: 'D1: a row by its key, and an insert',
        how: `A Worker with a database of 10,000 rows; ${options.rounds} rounds of ${options.seconds} s in alternation after one to warm up, medians of requests/s. Rimward's inserts are on the disk when they are told (WAL, FULL). SQLite alone, in one process and without HTTP, inserts ${show(raw, 0)} rows/s the same way.`,
        heading: ['', 'miniflare', 'Rimward', '× miniflare', '× SQLite alone'],
        rows: cases.map(({ what, connections }) => {
          const [other, ours] = contestants.map(({ name }) => rate(`${name} ${what} ${connections}`)) as [
            number,
            number,
          ]
          const name = `${what}, ${connections} connection${connections === 1 ? '' : 's'}`
          return [name, show(other, 0), show(ours, 0), ratio(ours, other), what === 'insert' ? ratio(ours, raw) : '-']
        }),
        failures,
      }
    } finally {
      await Promise.all(contestants.map(({ target }) => target.stop()))
    }
  },
}
