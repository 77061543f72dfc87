import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { test } from 'node:test'
import { openTestStore } from './sql-store.fixture.ts'

const endless = 'WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n'

/** What is asked of one database, one after the other, and the error or the rows that come of it. */
const refusals: readonly [what: string, sql: string, error: string, params?: unknown[]][] = [
  ['a word that is none', 'SELEC 1', 'near "SELEC": syntax error at offset 0: SQLITE_ERROR'],
  ['a second FROM', 'SELECT 1 FROM t FROM t', 'near "FROM": syntax error at offset 16: SQLITE_ERROR'],
  ['a place behind letters of two bytes', "SELECT 'é' FRM t", 'near "t": syntax error at offset 16: SQLITE_ERROR'],
  ['half a statement', 'SELECT (1', 'incomplete input: SQLITE_ERROR'],
  ['no table', 'SELECT * FROM nope', 'no such table: nope: SQLITE_ERROR'],
  ['no column', 'SELECT id, nope FROM t', 'no such column: nope at offset 11: SQLITE_ERROR'],
  ['no column of a table', 'SELECT t.nope FROM t', 'no such column: t.nope at offset 7: SQLITE_ERROR'],
  ['no function', 'SELECT nope(1)', 'no such function: nope at offset 7: SQLITE_ERROR'],
  [
    'a key twice',
    "INSERT INTO t VALUES (1, 'x')",
    'UNIQUE constraint failed: t.id: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_PRIMARYKEY)',
  ],
  [
    'a foreign key',
    'INSERT INTO child VALUES (9)',
    'FOREIGN KEY constraint failed: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_FOREIGNKEY)',
  ],
  ['too few parameters', 'SELECT ?1, ?2', 'Wrong number of parameter bindings for SQL query.', [1]],
  ['too many parameters', 'SELECT 1', 'Wrong number of parameter bindings for SQL query.', [1]],
  ['a parameter that is an object', 'SELECT ?', "Type 'object' not supported for value '[object Object]'", [{}]],
  ['a parameter with a number over 100', 'SELECT ?101', 'variable number must be between ?1 and ?100: SQLITE_ERROR'],
  ['nothing', ' -- nothing\n;', 'No SQL statements detected.'],
  ['100,001 bytes', `SELECT '${'x'.repeat(99_992)}'`, 'statement too long: SQLITE_TOOBIG'],
  ['a value of 2,000,001 bytes', 'SELECT zeroblob(2000001)', 'string or blob too big: SQLITE_TOOBIG'],
  ['101 columns', `SELECT ${Array(101).fill('1')}`, 'too many columns in result set: SQLITE_ERROR'],
  ['a long LIKE', `SELECT 'x' LIKE '${'x'.repeat(51)}'`, 'LIKE or GLOB pattern too complex: SQLITE_ERROR'],
  ['another file', "ATTACH 'other' AS other", 'not authorized: SQLITE_AUTH'],
  ['a copy', "VACUUM INTO 'other'", 'authorization denied: SQLITE_AUTH'],
  [
    'native code',
    "SELECT load_extension('x')",
    'not authorized to use function: load_extension at offset 7: SQLITE_ERROR',
  ],
  ['a setting of the file', 'PRAGMA journal_mode = DELETE', 'not authorized: SQLITE_AUTH'],
  ['the schema, by hand', 'PRAGMA writable_schema = ON', 'not authorized: SQLITE_AUTH'],
  ['a name of the platform', 'CREATE TABLE _CF_x (a)', 'not authorized: SQLITE_AUTH'],
  ['a temporary table', 'CREATE TEMP TABLE x (a)', 'not authorized: SQLITE_AUTH'],
  [
    'a transaction',
    'BEGIN TRANSACTION',
    'To execute a transaction, please use the batch() API instead of the SQL BEGIN TRANSACTION or SAVEPOINT statements: SQLITE_AUTH',
  ],
]

test('errors have the vendor’s text, and their place', async (t) => {
  const { ask } = await openTestStore(t)
  await ask('a', 'CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)')
  await ask('a', 'CREATE TABLE child (parent REFERENCES t (id))')
  await ask('a', "INSERT INTO t VALUES (1, 'one')")
  for (const [what, sql, error, params = []] of refusals)
    await t.test(what, async () => assert.equal((await ask('a', sql, ...params)).error, error))
  assert.deepEqual((await ask('a', 'SELECT * FROM t')).rows, [[1, 'one']])
})

test('what SQL can do', async (t) => {
  const { ask, batch } = await openTestStore(t)
  const rows = async (sql: string, ...params: unknown[]) => {
    const told = await ask('a', sql, ...params)
    assert.equal(told.error, undefined, sql)
    return told.rows
  }
  await rows('CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, data)')
  assert.deepEqual(await rows('INSERT INTO t (name, data) VALUES (?, ?) RETURNING *', 'a', [0, 255]), [
    [1, 'a', [0, 255]],
  ])
  await rows('ALTER TABLE t RENAME TO things')
  await rows('ALTER TABLE things RENAME COLUMN name TO title')
  await rows('ALTER TABLE things ADD COLUMN extra')
  assert.deepEqual(await rows('SELECT * FROM things'), [[1, 'a', [0, 255], null]])
  await rows('ALTER TABLE things DROP COLUMN extra')
  await rows("CREATE TRIGGER more AFTER INSERT ON things BEGIN UPDATE things SET data = ';' WHERE id = new.id; END")
  await rows("INSERT INTO things (title) VALUES ('b')")
  assert.deepEqual(await rows('SELECT data FROM things WHERE title = ?1 OR title = ?1', 'b'), [[';']])
  await rows('CREATE VIRTUAL TABLE texts USING fts5 (body)')
  await rows("INSERT INTO texts VALUES ('hello world')")
  assert.deepEqual(await rows("SELECT * FROM texts WHERE texts MATCH 'hello'"), [['hello world']])
  assert.deepEqual(await rows('SELECT 9007199254740993, 1.5, NULL, 1e999'), [[9007199254740992, 1.5, null, null]])
  assert.deepEqual(await rows('SELECT 1; SELECT ?', 2), [[2]])
  assert.deepEqual(
    (await rows('PRAGMA table_info (things)'))!.map((row) => row[1]),
    ['id', 'title', 'data'],
  )
  await rows('PRAGMA foreign_keys = OFF')
  assert.deepEqual(await rows('PRAGMA foreign_keys'), [[1]])
  await rows('CREATE TABLE child (parent REFERENCES things (id))')
  const late = [{ sql: 'PRAGMA defer_foreign_keys = ON' }, { sql: 'INSERT INTO child VALUES (7)' }]
  assert.match((await batch('a', late)).error!, /FOREIGN KEY constraint failed/)
  assert.equal((await batch('a', [...late, { sql: "INSERT INTO things VALUES (7, 'late', 1)" }])).error, undefined)
})

test('what meta tells', async (t) => {
  const { ask } = await openTestStore(t)
  await ask('a', 'CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)')
  const { meta } = await ask('a', "INSERT INTO t (name) VALUES ('a'), ('b'), ('c')")
  const { duration, timings, size_after, ...rest } = meta
  assert.ok(duration > 0 && timings.sql_duration_ms === duration && size_after === 8192)
  assert.deepEqual(rest, {
    served_by: 'fra-1',
    served_by_region: 'WEUR',
    served_by_colo: 'FRA',
    served_by_primary: true,
    changes: 3,
    last_row_id: 3,
    changed_db: true,
    rows_read: 0,
    rows_written: 3,
    total_attempts: 1,
  })
  const { meta: read } = await ask('a', "SELECT * FROM t WHERE name = 'c'")
  assert.deepEqual([read.rows_read >= 2, read.rows_written, read.changes, read.changed_db], [true, 0, 0, false])
})

test('bookmarks sort as what was asked', async (t) => {
  const { ask } = await openTestStore(t)
  const bookmarks: string[] = []
  for (const sql of ['CREATE TABLE t (a)', 'INSERT INTO t VALUES (1)', 'SELECT * FROM t', 'INSERT INTO t VALUES (2)'])
    bookmarks.push((await ask('a', sql)).bookmark)
  assert.match(bookmarks[0]!, /^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}$/)
  for (const [index, one] of bookmarks.slice(1).entries())
    assert.ok(bookmarks[index]!.localeCompare(one) <= 0, `${bookmarks[index]} > ${one}`)
})

test('a query that takes too long is stopped; what waited behind it runs, other databases never waited', async (t) => {
  const { ask } = await openTestStore(t, { sqlQueryMs: 1500 })
  await ask('slow', 'CREATE TABLE t (a)')
  await ask('other', 'CREATE TABLE t (a)')
  const order: string[] = []
  const note = (name: string) => (told: { error?: string }) => {
    order.push(name)
    return told
  }
  const slow = ask('slow', endless).then(note('slow'))
  const behind = Array.from({ length: 5 }, (_, index) =>
    ask('slow', 'INSERT INTO t VALUES (?)', index).then(note('behind')),
  )
  for (let index = 0; index < 5; index++)
    assert.equal((await ask('other', 'INSERT INTO t VALUES (?)', index)).error, undefined)
  note('other')({})
  assert.equal((await slow).error, 'D1 DB storage operation exceeded timeout which caused object to be reset.')
  for (const told of await Promise.all(behind)) assert.equal(told.error, undefined)
  assert.deepEqual(order, ['other', 'slow', ...Array(5).fill('behind')])
  assert.deepEqual((await ask('slow', 'SELECT count(*) FROM t')).rows, [[5]])
})

test('in a group, one that fails or is stopped takes nothing with it', async (t) => {
  const { ask } = await openTestStore(t, { sqlQueryMs: 2500 })
  await ask('a', 'CREATE TABLE t (a UNIQUE)')
  const first = ask('a', "INSERT INTO t VALUES ('first')")
  const group = [
    "INSERT INTO t VALUES ('a')",
    "INSERT INTO t VALUES ('a')",
    'SELEC',
    endless,
    "INSERT INTO t VALUES ('b')",
  ]
  const told = await Promise.all([first, ...group.map((sql) => ask('a', sql))])
  assert.deepEqual(
    told.map(({ error }) => error?.slice(0, 12)),
    [undefined, undefined, 'UNIQUE const', 'near "SELEC"', 'D1 DB storag', undefined],
  )
  assert.deepEqual((await ask('a', 'SELECT a FROM t ORDER BY a')).rows, [['a'], ['b'], ['first']])
})

test('too much at once is refused by name', async (t) => {
  const { ask, store } = await openTestStore(t, { sqlQueue: 3, sqlProcesses: 1, sqlAnswerBytes: 1000 })
  await ask('a', 'SELECT 1')
  const told = await Promise.all(Array.from({ length: 6 }, () => ask('a', 'SELECT 1')))
  assert.deepEqual(
    told.map(({ error }) => error),
    [...Array(4).fill(undefined), ...Array(2).fill('D1 DB is overloaded. Too many requests queued.')],
  )
  const many = 'WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000) SELECT i FROM n'
  assert.equal((await ask('a', many)).error, 'The answer of the query is too large: SQLITE_TOOBIG')
  // One process serves any number of databases, one after the other.
  const others = await Promise.all(['b', 'c', 'd', 'e'].map((id) => ask(id, 'SELECT ?', id)))
  assert.deepEqual(
    others.map(({ rows }) => rows),
    [[['b']], [['c']], [['d']], [['e']]],
  )
  await assert.rejects(store.handler({ kind: 'sql', id: '../x', operation: 'query' }), /no folder name/)
})

test('a full database says so, and goes on', async (t) => {
  const { ask } = await openTestStore(t, { sqlDatabaseBytes: 400_000 })
  await ask('a', 'CREATE TABLE t (a)')
  const fill = () => ask('a', 'INSERT INTO t VALUES (zeroblob(100000))')
  for (let index = 0; index < 3; index++) assert.equal((await fill()).error, undefined)
  assert.equal((await fill()).error, 'Exceeded maximum DB size: SQLITE_FULL')
  assert.deepEqual((await ask('a', 'DELETE FROM t RETURNING length(a)')).rows?.length, 3)
})

test('an erased database leaves nothing', async (t) => {
  const { ask, store, folder } = await openTestStore(t)
  await ask('a', 'CREATE TABLE t (a)')
  await ask('b', 'CREATE TABLE t (a)')
  assert.deepEqual((await store.held()).toSorted(), ['a', 'b'])
  await store.erase('a')
  assert.deepEqual(await readdir(folder), ['b'])
})
