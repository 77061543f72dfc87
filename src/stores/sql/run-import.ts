/** A file of SQL, run statement by statement in one transaction: all of it or nothing. Runs in a process of its own. */
import { closeSync, openSync, readSync } from 'node:fs'
import { StringDecoder } from 'node:string_decoder'
import { SqlRefusal } from './error-text.ts'
import type { OpenDatabase, SqlLimits } from './open-database.ts'
import { createSplitter, type SqlStatement } from './split-statements.ts'

export interface ImportOutcome {
  readonly queries: number
  readonly rowsWritten: number
  /** Of the database afterwards. */
  readonly bytes: number
}

const partBytes = 1024 * 1024

/** `progress` is told how many bytes were read. Throws a `SqlRefusal`; then nothing has changed. */
export function runImport(
  database: OpenDatabase,
  source: string,
  limits: SqlLimits,
  progress: (bytes: number) => void,
): ImportOutcome {
  const before = database.counts().total
  let queries = 0
  const splitter = createSplitter((statement) => {
    queries += 1
    runOne(database, statement)
  })
  const decoder = new StringDecoder()
  const part = Buffer.allocUnsafe(partBytes)
  const descriptor = openSync(source, 'r')
  database.control('begin')
  try {
    let bytes = 0
    for (let length = readSync(descriptor, part); length > 0; length = readSync(descriptor, part)) {
      splitter.take(decoder.write(part.subarray(0, length)))
      if (splitter.pending > limits.sqlStatementBytes) throw new SqlRefusal('statement too long: SQLITE_TOOBIG')
      bytes += length
      progress(bytes)
    }
    splitter.take(decoder.end())
    splitter.end()
    if (queries === 0) throw new SqlRefusal('No SQL statements detected.')
    database.control('commit')
  } catch (error) {
    if (database.connection.isTransaction) database.control('rollback')
    throw database.refusal(error, '')
  } finally {
    closeSync(descriptor)
  }
  return { queries, rowsWritten: database.counts().total - before, bytes: database.size() }
}

function runOne(database: OpenDatabase, wanted: SqlStatement): void {
  if (wanted.parameters > 0) throw new SqlRefusal('Wrong number of parameter bindings for SQL query.')
  const { statement, columns, seen } = database.prepare(wanted)
  try {
    if (columns.length === 0) statement.run()
    else {
      statement.setReadBigInts(true)
      for (const _ of statement.iterate());
    }
  } catch (error) {
    throw database.refusal(error, wanted.text)
  }
  if (seen.alters) database.forget()
}
