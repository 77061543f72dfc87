/**
 * One request to a database: statements with their parameters in, the vendor's JSON out
 * (workerd: src/cloudflare/internal/d1-api.ts). Whole or not at all. Runs in a process of databases.
 */
import type { SQLInputValue } from 'node:sqlite'
import { SqlRefusal } from './error-text.ts'
import type { OpenDatabase, Prepared, SqlLimits } from './open-database.ts'
import type { SqlStatement } from './split-statements.ts'

export interface SqlQuery {
  readonly sql: string
  readonly params?: readonly unknown[] | null
}

export interface QueryRequest {
  /** Rows as arrays beside the names of their columns, instead of as objects. */
  readonly columns: boolean
  /** One result a statement, instead of one a text. */
  readonly each: boolean
  readonly queries: readonly SqlQuery[]
}

/** What is said of where an answer comes from. */
export interface ServedBy {
  readonly served_by: string
  readonly served_by_region: string
  readonly served_by_colo: string
}

export interface RunOptions {
  readonly database: OpenDatabase
  readonly limits: SqlLimits
  readonly servedBy: ServedBy
  /** Milliseconds. */
  readonly now: () => number
}

/** Reads a request from its wire form, `{ sql, params }` or an array of them. Throws a `SqlRefusal`. */
export function readQueries(body: Uint8Array): SqlQuery[] {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString())
  } catch {
    throw new SqlRefusal('The request is not JSON.')
  }
  const queries = Array.isArray(value) ? value : [value]
  for (const query of queries as unknown[]) {
    if (typeof query !== 'object' || query === null || typeof (query as SqlQuery).sql !== 'string')
      throw new SqlRefusal('A query has no SQL.')
    const { params } = query as SqlQuery
    if (params !== undefined && params !== null && !Array.isArray(params))
      throw new SqlRefusal('The parameters of a query are no array.')
  }
  return queries as SqlQuery[]
}

/** Nothing but reading? Then no transaction is needed for one statement. */
export function isReadOnly(options: RunOptions, { queries }: QueryRequest): boolean {
  if (queries.length !== 1) return false
  const statements = options.database.split(queries[0]!.sql)
  return statements.length === 1 && !options.database.prepare(statements[0]!).seen.writes
}

/** Runs all queries and answers the JSON of each result; the caller stands in a transaction, and takes it back when this throws. */
export function runQueries(options: RunOptions, request: QueryRequest): string[] {
  const { database, limits } = options
  const run: Running = { ...options, request, left: limits.sqlAnswerBytes }
  const results: string[] = []
  for (const { sql, params } of request.queries) {
    const statements = database.split(sql)
    statements.forEach((statement, index) => {
      const isLast = index === statements.length - 1
      const text = runStatement(run, statement, isLast ? (params ?? []) : [])
      if (isLast || request.each) results.push(text)
    })
  }
  if (results.length === 0) throw new SqlRefusal('No SQL statements detected.')
  return results
}

/** Of `StatementSync`, what its types do not know yet: https://www.sqlite.org/c3ref/c_stmtstatus_counter.html */
interface Statistics {
  resetStats(): void
  stat(counter: 'fullscanStep'): number
}

/** The same request gives an answer when it is run once more, in a transaction of its own. */
export class AgainError extends Error {}

interface Running extends RunOptions {
  readonly request: QueryRequest
  /** Bytes that may still be answered. */
  left: number
}

function runStatement(run: Running, wanted: SqlStatement, params: readonly unknown[]): string {
  const { database, now } = run
  const startedAt = now()
  const prepared = database.prepare(wanted)
  const { statement, seen, columns } = prepared
  if (params.length !== prepared.parameters) throw new SqlRefusal('Wrong number of parameter bindings for SQL query.')
  const before = database.counts()
  const sizeBefore = seen.writes ? database.size() : 0
  const stats = statement as unknown as Statistics
  stats.resetStats()
  let rows: Rows
  try {
    rows = fetchRows(run, prepared, params.map(toSqlite))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_OUT_OF_RANGE') {
      database.readWide(wanted.text)
      throw new AgainError()
    }
    throw database.refusal(error, wanted.text)
  }
  if (seen.alters) database.forget()
  const after = database.counts()
  const duration = now() - startedAt
  const changes = after.total - before.total
  const size = database.size()
  const meta = {
    ...run.servedBy,
    served_by_primary: true,
    timings: { sql_duration_ms: duration },
    duration,
    changes,
    last_row_id: after.lastRow,
    changed_db: changes !== 0 || after.lastRow !== before.lastRow || (seen.writes && size !== sizeBefore),
    size_after: size,
    rows_read: Math.max(rows.count, seen.pragma ? 0 : stats.stat('fullscanStep')),
    rows_written: changes,
    total_attempts: 1,
  }
  const results = run.request.columns ? `{"columns":${JSON.stringify(columns)},"rows":${rows.json}}` : rows.json
  return `{"results":${results},"success":true,"meta":${JSON.stringify(meta)}}`
}

interface Rows {
  readonly json: string
  readonly count: number
}

function fetchRows(run: Running, { statement, columns }: Prepared, params: SQLInputValue[]): Rows {
  if (columns.length === 0) {
    statement.run(...params)
    return { json: '[]', count: 0 }
  }
  const texts: string[] = []
  for (const row of statement.iterate(...params) as unknown as Iterable<unknown[]>) {
    for (let index = 0; index < row.length; index++) {
      const value = row[index]
      if (typeof value === 'object' && value !== null) row[index] = Array.from(value as Uint8Array)
      else if (typeof value === 'bigint') row[index] = Number(value)
    }
    const text = JSON.stringify(run.request.columns ? row : toObject(columns, row))
    texts.push(text)
    run.left -= text.length
    if (run.left < 0) throw new SqlRefusal('The answer of the query is too large: SQLITE_TOOBIG')
  }
  return { json: `[${texts.join(',')}]`, count: texts.length }
}

function toObject(columns: readonly string[], row: readonly unknown[]): object {
  const object: Record<string, unknown> = {}
  for (let index = 0; index < columns.length; index++) {
    const name = columns[index]!
    if (name === '__proto__') Object.defineProperty(object, name, { value: row[index], enumerable: true })
    else object[name] = row[index]
  }
  return object
}

/** A parameter from its wire form; bytes come as an array of numbers. */
function toSqlite(value: unknown): SQLInputValue {
  if (value === null || typeof value === 'number' || typeof value === 'string') return value
  if (typeof value === 'boolean') return value ? 1 : 0
  if (Array.isArray(value) && value.every((byte) => Number.isInteger(byte) && byte >= 0 && byte < 256))
    return Uint8Array.from(value as number[])
  throw new SqlRefusal(`Type '${typeof value}' not supported for value '${String(value).slice(0, 100)}'`)
}
