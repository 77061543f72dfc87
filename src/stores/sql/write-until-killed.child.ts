/** Run by `crash.test.ts`: inserts for ever and prints a line for each acknowledged insert, until it is killed. */
import { defaultLimits } from '#/core/limits.ts'
import { printLine } from '../print-line.fixture.ts'
import { openSqlStore } from './sql-store.ts'

const [folder, round] = process.argv.slice(2) as [string, string]
const servedBy = { served_by: 'n', served_by_region: '', served_by_colo: '' }
const store = await openSqlStore({ folder, servedBy, limits: defaultLimits, clock: Date.now })

async function ask(queries: object): Promise<void> {
  const body = Buffer.from(JSON.stringify(queries))
  const { head } = await store.handler({ kind: 'sql', id: 'crash', operation: 'query', body })
  if (head.refused !== undefined) throw new Error(String(head.refused))
}

/** A batch of three rows: all of them or none. */
async function write(writer: number): Promise<never> {
  for (let index = 0; ; index++) {
    const key = `${round}/${writer}/${index}`
    await ask([0, 1, 2].map((part) => ({ sql: 'INSERT INTO t VALUES (?1, ?2)', params: [key, part] })))
    printLine(key)
  }
}

await ask({ sql: 'CREATE TABLE IF NOT EXISTS t (k TEXT, part INTEGER, PRIMARY KEY (k, part))' })
await Promise.all(Array.from({ length: 8 }, (_, writer) => write(writer)))
