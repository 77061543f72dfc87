/** What the vendor's programs read of an error: SQLite's sentence, its place in the text and its number's name. */
import type { DatabaseSync } from 'node:sqlite'
import { readToken } from './split-statements.ts'

/** Result codes by number (https://www.sqlite.org/rescode.html). */
const names: Readonly<Record<number, string>> = {
  1: 'ERROR',
  2: 'INTERNAL',
  3: 'PERM',
  4: 'ABORT',
  5: 'BUSY',
  6: 'LOCKED',
  7: 'NOMEM',
  8: 'READONLY',
  9: 'INTERRUPT',
  10: 'IOERR',
  11: 'CORRUPT',
  12: 'NOTFOUND',
  13: 'FULL',
  14: 'CANTOPEN',
  15: 'PROTOCOL',
  17: 'SCHEMA',
  18: 'TOOBIG',
  19: 'CONSTRAINT',
  20: 'MISMATCH',
  21: 'MISUSE',
  22: 'NOLFS',
  23: 'AUTH',
  25: 'RANGE',
  26: 'NOTADB',
  275: 'CONSTRAINT_CHECK',
  531: 'CONSTRAINT_COMMITHOOK',
  787: 'CONSTRAINT_FOREIGNKEY',
  1043: 'CONSTRAINT_FUNCTION',
  1299: 'CONSTRAINT_NOTNULL',
  1555: 'CONSTRAINT_PRIMARYKEY',
  1811: 'CONSTRAINT_TRIGGER',
  2067: 'CONSTRAINT_UNIQUE',
  2323: 'CONSTRAINT_VTAB',
  2579: 'CONSTRAINT_ROWID',
  2835: 'CONSTRAINT_PINNED',
  3091: 'CONSTRAINT_DATATYPE',
}

/** An error that programs see; its message is the vendor's. */
export class SqlRefusal extends Error {
  /** The database could not do it; nothing is wrong with the SQL. */
  readonly full: boolean

  constructor(message: string, { full = false } = {}) {
    super(message)
    this.name = 'SqlRefusal'
    this.full = full
  }
}

export interface SqliteError extends Error {
  readonly code: string
  readonly errcode?: number
}

export function isSqliteError(thrown: unknown): thrown is SqliteError & { readonly errcode: number } {
  return thrown instanceof Error && typeof (thrown as SqliteError).errcode === 'number'
}

/** As `dbErrorMessage` of workerd (src/workerd/util/sqlite.c++) words it. */
export function errorText(error: SqliteError & { readonly errcode: number }, offset: number | undefined): string {
  const primary = error.errcode & 0xff
  const place = offset === undefined ? '' : ` at offset ${offset}`
  const name = `SQLITE_${names[primary] ?? primary}`
  const extended = error.errcode === primary ? undefined : names[error.errcode]
  return `${error.message}${place}: ${name}${extended === undefined ? '' : ` (extended: SQLITE_${extended})`}`
}

/** So many places are tried. */
const tries = 64

/**
 * Byte in the statement's text to which its error belongs, as `sqlite3_error_offset` counts; that function is out of reach
 * here. A syntax error is at the token after which no text helps any more. Of a name that is not known, the first place
 * where it stands is taken.
 */
export function errorOffset(database: DatabaseSync, sql: string, message: string): number | undefined {
  const near = /^near "([\s\S]*)": syntax error$/.exec(message)?.[1]
  if (near !== undefined) {
    const at = places(sql, (text) => text === near).find((end) => failsAt(database, sql.slice(0, end), message))
    return at === undefined ? undefined : bytesBefore(sql, at - near.length)
  }
  const name =
    /^(?:no such column|no such function|ambiguous column name|not authorized to use function): (?:.*\.)?(.+)$/.exec(
      message,
    )?.[1]
  if (name === undefined) return undefined
  const bare = (text: string) => text.replace(/^["`[]|["`\]]$/g, '').toLowerCase()
  const end = places(sql, (text) => bare(text) === name.toLowerCase())[0]
  if (end === undefined) return undefined
  const qualified = /(?:[\w$]+\s*\.\s*)*["`[]?[\w$ ]+["`\]]?$/.exec(sql.slice(0, end))
  const dotted = message.includes('.') && qualified !== null ? qualified[0].trimStart().length : undefined
  return bytesBefore(sql, end - (dotted ?? lengthEnding(sql, end, bare, name)))
}

function lengthEnding(sql: string, end: number, bare: (text: string) => string, name: string): number {
  for (const extra of [0, 2]) {
    const text = sql.slice(end - name.length - extra, end)
    if (bare(text) === name.toLowerCase() && text.length === name.length + extra) return text.length
  }
  return name.length
}

/** Ends of the tokens that fit. */
function places(sql: string, fits: (text: string) => boolean): number[] {
  const found: number[] = []
  for (let at = 0; at < sql.length && found.length < tries; ) {
    const { kind, end } = readToken(sql, at)
    if (kind !== 'space' && fits(sql.slice(at, end))) found.push(end)
    at = end
  }
  return found
}

function failsAt(database: DatabaseSync, sql: string, message: string): boolean {
  try {
    database.prepare(sql)
    return false
  } catch (error) {
    return (error as Error).message === message
  }
}

const bytesBefore = (sql: string, at: number) => Buffer.byteLength(sql.slice(0, at))
