/** One open database file: its connection, and the statements that are prepared on it. Runs in a process of databases. */
import { constants, DatabaseSync, type StatementSync } from 'node:sqlite'
import { isAllowed, nothingSeen, type Seen } from './authorize.ts'
import { errorOffset, errorText, isSqliteError, SqlRefusal } from './error-text.ts'
import { type History, type HistoryLimits, openHistory } from './history.ts'
import { finishRestore } from './restore.ts'
import type { SqlStatement } from './split-statements.ts'
import { splitStatements } from './split-statements.ts'

/** From the table of limits. */
export interface SqlLimits extends HistoryLimits {
  readonly sqlStatementBytes: number
  readonly sqlParameters: number
  readonly sqlValueBytes: number
  readonly sqlColumns: number
  readonly sqlAnswerBytes: number
  readonly sqlDatabaseBytes: number
  readonly sqlStatementsKept: number
}

export interface Prepared extends SqlStatement {
  readonly statement: StatementSync
  /** Empty: it gives no rows. */
  readonly columns: readonly string[]
  readonly seen: Seen
}

export interface OpenDatabase {
  readonly connection: DatabaseSync
  /** Statements of a text, not prepared yet. Throws a `SqlRefusal`. */
  split(sql: string): readonly SqlStatement[]
  /** Throws a `SqlRefusal` with the vendor's text. */
  prepare(statement: SqlStatement): Prepared
  /** What was thrown by a statement, as programs see it; anything else as it is. */
  refusal(thrown: unknown, sql: string): unknown
  /** Integers of this statement do not fit into numbers: they are read as `BigInt` from now on. */
  readWide(sql: string): void
  /** Forgets prepared statements: the schema is another one. */
  forget(): void
  /** Takes back what a `PRAGMA` set: it holds for its own request. */
  settle(): void
  /** Without asking whether it is allowed. */
  asOurs<Value>(run: (connection: DatabaseSync) => Value): Value
  /** Steps of a transaction. */
  control(step: keyof typeof control): void
  /** Changes of this connection so far, and the row that was inserted last. */
  counts(): Counts
  /** Of the file, in bytes, within the transaction that is open. */
  size(): number
  readonly history: History
  /** Tables of programs, and bytes of the file. */
  describe(): { readonly tables: number; readonly bytes: number }
  close(): void
}

export interface Counts {
  readonly total: number
  readonly lastRow: number
}

export const pageBytes = 4096

/** Statements longer than this are prepared anew each time. */
const keptLength = 8192

export function openDatabase(file: string, limits: SqlLimits): OpenDatabase {
  finishRestore(file)
  const connection = connect(file, limits)
  let seen = nothingSeen()
  let isOurs = false
  connection.setAuthorizer((action, first, second, database) =>
    isOurs || isAllowed(seen, action, first, second, database) ? constants.SQLITE_OK : constants.SQLITE_DENY,
  )
  const ours = <Value>(run: () => Value): Value => {
    isOurs = true
    try {
      return run()
    } finally {
      isOurs = false
    }
  }
  const own = ownStatements(connection, ours)
  own.size()
  const history = openHistory({ file, limits, clock: Date.now, checkpoint: own.checkpoint })
  const texts = new Map<string, readonly SqlStatement[]>()
  const kept = new Map<string, Prepared>()
  const wide = new Set<string>()

  function split(sql: string): readonly SqlStatement[] {
    const known = texts.get(sql)
    if (known !== undefined) return known
    const statements = splitStatements(sql)
    for (const { text } of statements)
      if (Buffer.byteLength(text) > limits.sqlStatementBytes) throw new SqlRefusal('statement too long: SQLITE_TOOBIG')
    if (sql.length <= keptLength) keep(texts, sql, statements, limits.sqlStatementsKept)
    return statements
  }

  function prepare(wanted: SqlStatement): Prepared {
    const known = kept.get(wanted.text)
    if (known !== undefined) return known
    seen = nothingSeen()
    try {
      const statement = connection.prepare(wanted.text, { returnArrays: true })
      if (wide.has(wanted.text)) statement.setReadBigInts(true)
      const columns = statement.columns().map((column) => column.name)
      const prepared = { ...wanted, statement, columns, seen }
      if (wanted.text.length <= keptLength) keep(kept, wanted.text, prepared, limits.sqlStatementsKept)
      return prepared
    } catch (error) {
      throw refusal(error, wanted.text)
    }
  }

  function refusal(thrown: unknown, sql: string): unknown {
    if (!isSqliteError(thrown)) return thrown
    if (thrown.errcode === 23 && /^\s*(begin|commit|end|rollback|savepoint|release)\b/i.test(sql))
      return new SqlRefusal(
        'To execute a transaction, please use the batch() API instead of the SQL BEGIN TRANSACTION or SAVEPOINT statements: SQLITE_AUTH',
      )
    const full = thrown.errcode === 13
    if (full) return new SqlRefusal('Exceeded maximum DB size: SQLITE_FULL', { full })
    const before = seen
    seen = nothingSeen()
    const offset = errorOffset(connection, sql, thrown.message)
    seen = before
    return new SqlRefusal(errorText(thrown, offset))
  }

  return {
    connection,
    split,
    prepare,
    refusal,
    readWide(sql) {
      if (wide.size >= limits.sqlStatementsKept) wide.clear()
      wide.add(sql)
      kept.delete(sql)
    },
    forget: () => kept.clear(),
    ...own,
    asOurs: (run) => ours(() => run(connection)),
    history,
    close() {
      history.close()
      closeQuietly(connection, file)
    },
  }
}

/** The oldest goes when there are too many. */
function keep<Value>(map: Map<string, Value>, key: string, value: Value, most: number): void {
  if (map.size >= most) map.delete(map.keys().next().value!)
  map.set(key, value)
}

const settings = `
  PRAGMA foreign_keys=ON;
  PRAGMA recursive_triggers=OFF;
  PRAGMA case_sensitive_like=OFF;
  PRAGMA ignore_check_constraints=OFF;
  PRAGMA legacy_alter_table=OFF;
  PRAGMA reverse_unordered_selects=OFF;
`

function connect(file: string, limits: SqlLimits): DatabaseSync {
  const connection = new DatabaseSync(file, {
    timeout: 5000,
    enableDoubleQuotedStringLiterals: true,
    defensive: true,
  })
  connection.exec(`
    PRAGMA page_size=${pageBytes};
    PRAGMA journal_mode=WAL;
    PRAGMA synchronous=FULL;
    PRAGMA wal_autocheckpoint=0;
    PRAGMA trusted_schema=OFF;
    PRAGMA max_page_count=${Math.floor(limits.sqlDatabaseBytes / pageBytes)};
    ${settings}
  `)
  Object.assign(connection.limits, {
    length: limits.sqlValueBytes,
    column: limits.sqlColumns,
    exprDepth: 100,
    compoundSelect: 5,
    functionArg: 127,
    attach: 0,
    likePatternLength: 50,
    variableNumber: limits.sqlParameters,
    triggerDepth: 10,
  })
  return connection
}

const control = {
  begin: 'BEGIN',
  commit: 'COMMIT',
  rollback: 'ROLLBACK',
  save: 'SAVEPOINT job',
  release: 'RELEASE job',
  undo: 'ROLLBACK TO job',
} as const

/** What programs may not run themselves. `ours` runs something without asking whether it is allowed. */
function ownStatements(
  connection: DatabaseSync,
  ours: <Value>(run: () => Value) => Value,
): Pick<OpenDatabase, 'counts' | 'size' | 'control' | 'settle' | 'describe'> & { checkpoint(): boolean } {
  const prepare = (sql: string) => ours(() => connection.prepare(sql))
  const counts = prepare('SELECT total_changes() AS total, last_insert_rowid() AS lastRow')
  const size = prepare('PRAGMA page_count')
  const tables = prepare(
    `SELECT count(*) AS count FROM sqlite_schema
     WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\'`,
  )
  counts.setReadBigInts(true)
  const controls = new Map(Object.entries(control).map(([step, sql]) => [step, prepare(sql)]))
  return {
    counts() {
      const { total, lastRow } = counts.get() as unknown as { total: bigint; lastRow: bigint }
      return { total: Number(total), lastRow: Number(lastRow) }
    },
    size: () => ours(() => size.get() as { page_count: number }).page_count * pageBytes,
    describe() {
      const rows = ours(() => tables.get() as { count: number })
      return { tables: rows.count, bytes: ours(() => size.get() as { page_count: number }).page_count * pageBytes }
    },
    checkpoint: () =>
      ours(() => connection.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get() as { busy: number }).busy === 0,
    control: (step) => void ours(() => controls.get(step)!.run()),
    settle: () => ours(() => connection.exec(settings)),
  }
}

/**
 * The last connection to close would put the log's pages into the file, before the log is kept. While somebody reads it
 * cannot, and who only reads cannot either.
 */
function closeQuietly(connection: DatabaseSync, file: string): void {
  const reader = new DatabaseSync(file, { readOnly: true, timeout: 5000 })
  reader.prepare('SELECT count(*) FROM sqlite_schema').get()
  connection.close()
  reader.close()
}
