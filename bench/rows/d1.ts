/** A Worker that selects a row by its key and inserts one, beside Miniflare; inserts also beside SQLite without anything around it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { ask, type BoundProgram, miniflareVersion, startBoth } from '../peers/bound-programs.ts'
import { databaseSource } from '../peers/database-worker.ts'
import type { BenchRow } from '../row.ts'
import { median, ratio, show } from '../statistics.ts'
import { crowds, howMeasured, measureOperations } from './operations.ts'

const program: BoundProgram = {
  name: 'shop',
  source: databaseSource,
  miniflare: { d1Databases: { DB: 'bench' } },
  async make(node) {
    const { uuid } = await node.call<{ uuid: string }>('POST', '/d1/database', { name: 'shop' })
    return { bindings: [{ type: 'd1', name: 'DB', id: uuid }] }
  },
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

export const d1Row: BenchRow = {
  name: 'd1',
  versions: { miniflare: miniflareVersion },
  async run(options) {
    const contestants = await startBoth(program)
    const raw: number[] = []
    try {
      for (const { target } of contestants) await ask(target, '/setup')
      const operations = ['select', 'insert'].map((name) => ({ name, path: `/${name}` }))
      const measured = await measureOperations(contestants, operations, options, () =>
        raw.push(rawInserts(options.seconds)),
      )
      const alone = operations.flatMap(({ name }) =>
        crowds.map((crowd) => (name === 'insert' ? ratio(measured.rate('Rimward', name, crowd), median(raw)) : '-')),
      )
      return {
        title: 'D1: a row by its key, and an insert',
        how: `A Worker with a database of 10,000 rows; ${howMeasured(options)} Rimward's inserts are on the disk when they are told (WAL, FULL). SQLite alone, in one process and without HTTP, inserts ${show(median(raw), 0)} rows/s the same way.`,
        heading: [...measured.heading, '× SQLite alone'],
        rows: measured.rows.map((row, index) => [...row, alone[index]!]),
        failures: measured.failures,
      }
    } finally {
      await Promise.all(contestants.map(({ target }) => target.stop()))
    }
  },
}
