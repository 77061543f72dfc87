/**
 * A database as SQL text that makes it again, in the form of the vendor's exports, which is that of SQLite's `.dump`. Runs in
 * a process of its own, on a connection that only reads.
 */
import type { DatabaseSync } from 'node:sqlite'
import { SqlRefusal } from './error-text.ts'

export interface DumpOptions {
  /** Empty: all. */
  readonly tables: readonly string[]
  readonly schema: boolean
  readonly data: boolean
}

interface SchemaRow {
  readonly type: string
  readonly name: string
  readonly sql: string
}

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`

/** Throws a `SqlRefusal` for what cannot be written as SQL. */
export function checkDump(connection: DatabaseSync, { tables }: Pick<DumpOptions, 'tables'>): void {
  for (const { name, sql } of tablesOf(connection, tables))
    if (/^CREATE VIRTUAL TABLE/i.test(sql))
      throw new SqlRefusal(`D1 Export error: cannot export databases with Virtual Tables (${name})`)
}

/** Statements, one a line, each with its end of line. */
export function* dumpDatabase(connection: DatabaseSync, options: DumpOptions): Generator<string> {
  const { schema, data, tables } = options
  yield 'PRAGMA defer_foreign_keys=TRUE;\n'
  for (const table of tablesOf(connection, tables)) {
    if (schema) yield createTable(table)
    if (data) yield* insertsOf(connection, table.name)
  }
  if (!schema) return
  const rest = connection
    .prepare(
      `SELECT type, name, sql FROM sqlite_schema
       WHERE sql NOT NULL AND type IN ('index', 'trigger', 'view') ORDER BY type COLLATE NOCASE, rowid`,
    )
    .all() as unknown as SchemaRow[]
  for (const { name, sql } of rest) if (tables.length === 0 || tables.includes(name)) yield `${sql};\n`
}

function tablesOf(connection: DatabaseSync, wanted: readonly string[]): SchemaRow[] {
  const all = connection
    .prepare(
      `SELECT type, name, sql FROM sqlite_schema
       WHERE type = 'table' AND sql NOT NULL ORDER BY tbl_name = 'sqlite_sequence', rowid`,
    )
    .all() as unknown as SchemaRow[]
  return all.filter(({ name }) => {
    const isOurs = /^_cf_/i.test(name) || (name.startsWith('sqlite_') && !/^sqlite_(sequence|stat.)$/.test(name))
    return !isOurs && (wanted.length === 0 || wanted.includes(name))
  })
}

function createTable({ name, sql }: SchemaRow): string {
  if (name === 'sqlite_sequence') return 'DELETE FROM sqlite_sequence;\n'
  if (name.startsWith('sqlite_stat')) return 'ANALYZE sqlite_schema;\n'
  return `${sql};\n`
}

function* insertsOf(connection: DatabaseSync, table: string): Generator<string> {
  // 0: what is computed from other columns is not inserted.
  const columns = connection
    .prepare(`SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid`)
    .all(table) as { name: string }[]
  const names = columns.map(({ name }) => quoted(name)).join(',')
  const rows = connection.prepare(`SELECT ${names} FROM ${quoted(table)}`, { returnArrays: true, readBigInts: true })
  for (const row of rows.iterate() as unknown as Iterable<unknown[]>)
    yield `INSERT INTO ${quoted(table)} (${names}) VALUES(${row.map(literal).join(',')});\n`
}

/** A value as SQL text on one line. */
function literal(value: unknown): string {
  if (value === null) return 'NULL'
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'number') return numberLiteral(value)
  if (typeof value === 'string') return textLiteral(value)
  return `X'${Buffer.from(value as Uint8Array).toString('hex')}'`
}

/** Always with a point or an exponent, so that it is read as the same type again. */
function numberLiteral(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? '9e999' : '-9e999'
  return Number.isInteger(value) && Math.abs(value) < 1e21 ? `${value}.0` : String(value)
}

/** Ends of lines, and what ends a text for SQLite, are written as `char(…)`. */
function textLiteral(text: string): string {
  const plain = `'${text.replaceAll("'", "''")}'`
  if (!/[\n\r\0]/.test(text)) return plain
  const parts = text.split(/([\n\r\0])/).filter((part) => part !== '')
  // Many short pieces would be an expression too deep to be read.
  if (parts.length > 50) return `CAST(X'${Buffer.from(text).toString('hex')}' AS TEXT)`
  return parts
    .map((part) => (/^[\n\r\0]$/.test(part) ? `char(${part.charCodeAt(0)})` : `'${part.replaceAll("'", "''")}'`))
    .join('||')
}
