/** Answers one query of one dataset and ends; whoever started it ends it sooner where it takes too long. */
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { readQuery } from '#/core/dataset-sql/read-query.ts'
import { type Reading, readyQuery, storedColumns } from '#/core/dataset-sql/run-query.ts'
import { describeRefusal, SqlRefusal } from '#/core/dataset-sql/syntax.ts'
import type { Row } from '#/core/dataset-sql/values.ts'
import { contentTypes, writeOutcome } from '#/core/dataset-sql/write-outcome.ts'
import type { QueryTold } from '#/core/datasets.ts'
import type { Bytes, EpochSeconds } from '#/core/units.ts'

export interface QueryData {
  /** Absent: nothing was written yet. */
  readonly file: string | undefined
  /** What FROM calls it. */
  readonly dataset: string
  readonly sql: string
  readonly now: EpochSeconds
  /** Points that are older are not seen. */
  readonly oldest: EpochSeconds
  /** Of what the query holds in memory. */
  readonly limitBytes: Bytes
}

const data = workerData as QueryData
parentPort!.postMessage(answer(data))

function answer({ sql, dataset, now, file, oldest, limitBytes }: QueryData): QueryTold {
  try {
    const query = readQuery(sql)
    if (query.kind !== 'select') throw new SqlRefusal('a dataset answers SELECT alone')
    const ready = readyQuery(query.select, dataset, { now })
    let held = 0
    const hold = (bytes: number) => {
      held += bytes
      if (held > limitBytes)
        throw new SqlRefusal(`the query holds more than ${limitBytes} bytes at once; group less finely, or take LIMIT`)
    }
    const rows = ready.reading === undefined || file === undefined ? [] : readRows(file, ready.reading, oldest)
    const outcome = ready.run(rows, hold)
    return { text: writeOutcome(ready.columns, outcome, query.format), contentType: contentTypes[query.format] }
  } catch (thrown) {
    if (thrown instanceof SqlRefusal) return { refused: describeRefusal(thrown, sql) }
    throw thrown
  }
}

/** Nothing that a query says is part of this statement: names are ours, values are bound. */
function* readRows(file: string, { columns, from, to, equal }: Reading, oldest: EpochSeconds): Generator<Row> {
  const database = new DatabaseSync(file, { readOnly: true, timeout: 5_000 })
  try {
    const known = columns.filter((name) => storedColumns.has(name))
    const where = ['timestamp >= ?']
    const values: SQLInputValue[] = [Math.max(from ?? oldest, oldest)]
    if (to !== undefined) {
      where.push('timestamp <= ?')
      values.push(to)
    }
    for (const { column, text } of equal) {
      if (!storedColumns.has(column)) continue
      where.push(`${column} = ?`)
      values.push(text)
    }
    const statement = database.prepare(
      `SELECT ${known.length === 0 ? '1' : known.join(', ')} FROM points WHERE ${where.join(' AND ')} ORDER BY seq`,
    )
    statement.setReturnArrays(true)
    const doubles = known.flatMap((name, index) => (storedColumns.get(name) === 'Float64' ? [index] : []))
    for (const row of statement.iterate(...values) as Iterable<unknown> as Iterable<(string | number | null)[]>) {
      for (const index of doubles) if (row[index] === null) row[index] = Number.NaN
      yield row as Row
    }
  } finally {
    database.close()
  }
}
