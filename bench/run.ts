/**
 * `npm run bench`: peers and ourselves as child processes, measured in alternation in one run.
 *
 *   npm run bench                              every row
 *   npm run bench -- workers-warm deploy       these rows
 *   npm run bench -- --rounds 3 --seconds 1    shorter
 *   npm run bench -- --generator own           without wrk
 *   npm run bench -- --write                   stores the tables in docs/benchmarks.md
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, release } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { findGenerator } from './load.ts'
import type { BenchRow, BenchTable } from './row.ts'
import { assetsRow } from './rows/assets.ts'
import { bindingsLarge } from './rows/bindings-large.ts'
import { cacheStore } from './rows/cache-store.ts'
import { computeRows } from './rows/compute.ts'
import { d1Row } from './rows/d1.ts'
import { deliveryTimes } from './rows/delivery-times.ts'
import { deploy } from './rows/deploy.ts'
import { h2Rows } from './rows/h2-hit.ts'
import { hitRows } from './rows/hits.ts'
import { kvRow } from './rows/kv.ts'
import { objectsRow } from './rows/objects-rpc.ts'
import { popsRow } from './rows/pops.ts'
import { popsAway } from './rows/pops-away.ts'
import { popsNats } from './rows/pops-nats.ts'
import { popsScale } from './rows/pops-scale.ts'
import { queues } from './rows/queues.ts'
import { r2Rows } from './rows/r2.ts'
import { r2Large } from './rows/r2-large.ts'
import { workersCold, workersColdTls } from './rows/workers-cold.ts'
import { workersIdle } from './rows/workers-idle.ts'
import { workersWarm } from './rows/workers-warm.ts'
import { stopAll } from './target.ts'
import { putSection } from './write-page.ts'

const allRows: readonly BenchRow[] = [
  workersWarm,
  workersCold,
  workersColdTls,
  workersIdle,
  deploy,
  ...hitRows,
  ...h2Rows,
  ...computeRows,
  deliveryTimes,
  d1Row,
  cacheStore,
  popsRow,
  popsAway,
  popsNats,
  popsScale,
  queues,
  kvRow,
  ...r2Rows,
  r2Large,
  objectsRow,
  assetsRow,
  bindingsLarge,
]

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '2' },
    generator: { type: 'string', default: findGenerator() },
    write: { type: 'boolean', default: false },
  },
})

function fail(message: string): never {
  console.error(`bench: ${message}`)
  process.exit(1)
}

const unknown = positionals.filter((name) => !allRows.some((row) => row.name === name))
if (unknown.length > 0) fail(`no row ${unknown.join(', ')}; there are ${allRows.map((row) => row.name).join(', ')}`)
const { generator } = values
if (generator !== 'wrk' && generator !== 'own') fail('--generator takes wrk or own')
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)
if (!(rounds >= 1) || !(seconds > 0)) fail('--rounds and --seconds take numbers above 0')

function markdown({ title, how, heading, rows, failures }: BenchTable): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const marks = heading.map((_, index) => (index === 0 ? '---' : '--:'))
  const trouble = failures.map((failure) => `\n**Failed: ${failure}**\n`)
  return [`## ${title}`, '', how, '', line(heading), line(marks), ...rows.map(line), ...trouble, ''].join('\n')
}

function machine(versions: Record<string, string>): string {
  const model = cpus()[0]?.model ?? 'unknown CPU'
  const all = { node: process.versions.node, ...versions }
  const list = Object.entries(all).map(([name, version]) => `${name} ${version}`)
  return `${new Date().toISOString().slice(0, 10)}; ${availableParallelism()} cores, ${model}, Linux ${release()}; load by ${generator === 'wrk' ? 'wrk' : 'bench/load-process.ts'}; ${list.join(', ')}. Made by \`npm run bench -- ${process.argv.slice(2).join(' ')}\`.`
}

for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
  ['SIGHUP', 1],
] as const)
  process.once(signal, () => void stopAll().finally(() => process.exit(128 + number)))

const chosen = positionals.length === 0 ? allRows : allRows.filter((row) => positionals.includes(row.name))
const page = fileURLToPath(new URL('../docs/benchmarks.md', import.meta.url))
let failed = false
for (const row of chosen) {
  const progress = (text: string): void => console.error(`${row.name}: ${text}`)
  const table = await row.run({ rounds, seconds, generator, progress })
  failed ||= table.failures.length > 0
  const section = `${markdown(table)}\n${machine({ ...row.versions })}\n`
  console.log(section)
  if (values.write) writeFileSync(page, putSection(readFileSync(page, 'utf8'), row.name, section))
}
process.exit(failed ? 1 : 0)
