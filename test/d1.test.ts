/** D1 as people use it: the real wrangler, a deployed Worker with the runtime's own binding, asked over HTTP. */
import assert from 'node:assert/strict'
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { askSteps, type Told } from './support/ask-steps.ts'
import { type RunningNode, root, startNode, temporaryFolder, wrangler } from './support/node.ts'

let node: RunningNode
let folder: string

before(async () => {
  node = await startNode(undefined)
  folder = await temporaryFolder(undefined, 'd1')
  await cp(join(root, 'test/d1/worker.js'), join(folder, 'index.js'))
})
after(async () => {
  await node.stop('SIGKILL')
})

async function configure(...databases: object[]): Promise<void> {
  const config = { name: 'shop', main: 'index.js', compatibility_date: '2026-11-01', d1_databases: databases }
  await writeFile(join(folder, 'wrangler.json'), JSON.stringify(config))
}

const { ask, does } = askSteps(() => node, 'shop.localhost')

test('a database is made, bound, deployed and used', async () => {
  await configure()
  const made = await wrangler(node, folder, ['d1', 'create', 'shop-data'])
  const id = /"database_id": "([0-9a-f-]{36})"/.exec(made.output)?.[1]
  assert.ok(id, made.output)
  await configure({ binding: 'DB', database_name: 'shop-data', database_id: id })
  await wrangler(node, folder, ['deploy'])

  const created = await does('exec', {
    sql: 'CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT UNIQUE, picture BLOB)\nCREATE INDEX names ON goods (name)',
  })
  assert.equal(created.count, 2)
  const inserted = await does('run', {
    sql: 'INSERT INTO goods (name, picture) VALUES (?1, ?2)',
    bind: ['lamp', { bytes: [1, 2, 255] }],
  })
  assert.equal(inserted.success, true)
  assert.deepEqual(inserted.results, [])
  const { changes, last_row_id, changed_db, size_after, served_by_primary } = inserted.meta
  assert.deepEqual({ changes, last_row_id, changed_db }, { changes: 1, last_row_id: 1, changed_db: true })
  assert.ok(size_after > 0 && served_by_primary)

  const lamp = { id: 1, name: 'lamp', picture: [1, 2, 255] }
  assert.deepEqual((await does('all', { sql: 'SELECT * FROM goods' })).results, [lamp])
  assert.deepEqual(await does('first', { sql: 'SELECT * FROM goods WHERE id = ?', bind: [1] }), lamp)
  assert.equal(await does('first', { sql: 'SELECT * FROM goods WHERE id = ?', bind: [2] }), null)
  assert.equal(await does('first', { sql: 'SELECT name FROM goods', column: 'name' }), 'lamp')
  assert.deepEqual(await does('raw', { sql: 'SELECT id, name FROM goods', columnNames: true }), [
    ['id', 'name'],
    [1, 'lamp'],
  ])
  const batch = await does('batch', {
    of: [
      { sql: 'INSERT INTO goods (name) VALUES (?) RETURNING id', bind: ['chair'] },
      { sql: 'SELECT count(*) AS n FROM goods' },
    ],
  })
  assert.deepEqual(
    batch.map((one: Told) => one.results),
    [[{ id: 2 }], [{ n: 2 }]],
  )
})

test('a batch is whole or not at all', async () => {
  const told = await ask('batch', {
    of: [
      { sql: 'INSERT INTO goods (name) VALUES (?)', bind: ['table'] },
      { sql: 'INSERT INTO goods (name) VALUES (?)', bind: ['lamp'] },
    ],
  })
  assert.equal(
    told.error,
    'D1_ERROR: UNIQUE constraint failed: goods.name: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_UNIQUE)',
  )
  assert.equal(await does('first', { sql: "SELECT 1 FROM goods WHERE name = 'table'" }), null)
})

test('a session sees what was written before, by its bookmark', async () => {
  const of = [
    { sql: 'SELECT count(*) AS n FROM goods' },
    { sql: "INSERT INTO goods (name) VALUES ('shelf')" },
    { sql: "SELECT name FROM goods WHERE name = 'shelf'" },
  ]
  const starts = ['first-primary', 'first-unconstrained', undefined]
  for (const start of starts) {
    const { results, bookmarks } = await does('session', { start, of })
    await does('run', { sql: "DELETE FROM goods WHERE name = 'shelf'" })
    assert.deepEqual(results, [[{ n: 2 }], [], [{ name: 'shelf' }]])
    assert.equal(bookmarks[0], null)
    assert.deepEqual(bookmarks.slice(1), bookmarks.slice(1).toSorted())
    const later = await does('session', { start: bookmarks[3], of: of.slice(0, 1) })
    assert.equal(later.bookmarks[0], bookmarks[3])
    assert.ok(later.bookmarks[1] >= bookmarks[3])
  }
})

test('what a program does wrong, it is told in the vendor’s words', async () => {
  const cases: readonly [step: string, rest: object, error: string][] = [
    ['all', { sql: 'SELEC 1' }, 'D1_ERROR: near "SELEC": syntax error at offset 0: SQLITE_ERROR'],
    ['all', { sql: 'SELECT ?' }, 'D1_ERROR: Wrong number of parameter bindings for SQL query.'],
    [
      'all',
      { sql: 'SELECT ?', bind: [{ a: 1 }] },
      "D1_TYPE_ERROR: Type 'object' not supported for value '[object Object]'",
    ],
    ['first', { sql: 'SELECT id FROM goods', column: 'nope' }, 'D1_COLUMN_NOTFOUND: Column not found (nope)'],
    ['all', { sql: '' }, 'D1_ERROR: No SQL statements detected.'],
    ['batch', { of: [] }, 'D1_ERROR: No SQL statements detected.'],
    [
      'exec',
      { sql: 'SELECT 1\nSELECT nope' },
      'D1_EXEC_ERROR: Error in line 1: SELECT 1: no such column: nope at offset 7: SQLITE_ERROR',
    ],
    ['all', { sql: "ATTACH 'x' AS y" }, 'D1_ERROR: not authorized: SQLITE_AUTH'],
    ['dump', {}, 'D1_DUMP_ERROR: Status + 501'],
  ]
  for (const [step, rest, error] of cases) assert.equal((await ask(step, rest)).error, error, JSON.stringify(rest))
})

test('migrations are applied once, each whole or not at all', async () => {
  const run = (...words: string[]) => wrangler(node, folder, ['d1', 'migrations', ...words, 'DB', '--remote'])
  await mkdir(join(folder, 'migrations'))
  const write = (name: string, sql: string) => writeFile(join(folder, 'migrations', name), sql)
  await write(
    '0001_prices.sql',
    'CREATE TABLE prices (good INTEGER, cents INTEGER);\nINSERT INTO prices VALUES (1, 100);',
  )
  await write('0002_broken.sql', 'INSERT INTO prices VALUES (2, 200);\nINSERT INTO nope VALUES (1);')
  assert.match((await run('list')).output, /0001_prices[\s\S]*0002_broken/)
  await assert.rejects(run('apply'), /no such table: nope/)
  assert.deepEqual(await does('raw', { sql: 'SELECT * FROM prices' }), [[1, 100]])
  await write('0002_broken.sql', 'INSERT INTO prices VALUES (2, 200);')
  await run('apply')
  assert.match((await run('list')).output, /No migrations to apply/)
  assert.deepEqual(await does('raw', { sql: 'SELECT good FROM prices ORDER BY 1' }), [[1], [2]])
})

test('a file of SQL is taken in, and comes out again', async () => {
  const run = (...words: string[]) => wrangler(node, folder, ['d1', ...words])
  await run('create', 'copy')
  const rows = Array.from({ length: 5000 }, (_, id) => `INSERT INTO lines VALUES (${id}, 'it''s line ${id};');`)
  const sql = ['CREATE TABLE lines (id INTEGER PRIMARY KEY, text TEXT);', ...rows].join('\n')
  await writeFile(join(folder, 'in.sql'), sql)
  const taken = await run('execute', 'copy', '--remote', '--file', 'in.sql', '-y')
  assert.match(taken.output, /5001 queries/)
  await writeFile(join(folder, 'bad.sql'), `INSERT INTO lines VALUES (9999, 'x');\n${rows[0]}`)
  await assert.rejects(
    run('execute', 'copy', '--remote', '--file', 'bad.sql', '-y'),
    /UNIQUE constraint failed: lines.id/,
  )
  await run('export', 'copy', '--remote', '--output', 'out.sql', '-y')
  const out = await readFile(join(folder, 'out.sql'), 'utf8')
  const lines = out.trimEnd().split('\n')
  assert.deepEqual(lines.slice(0, 3), [
    'PRAGMA defer_foreign_keys=TRUE;',
    'CREATE TABLE lines (id INTEGER PRIMARY KEY, text TEXT);',
    `INSERT INTO "lines" ("id","text") VALUES(0,'it''s line 0;');`,
  ])
  assert.equal(lines.length, 5002)
  const api = `/client/v4/accounts/${node.accountId}/d1/database/copy`
  const body = JSON.stringify({ output_format: 'polling' })
  const { result } = (await (await node.api(`${api}/export`, { method: 'POST', body })).json()) as Told
  assert.equal((await fetch(result.result.signed_url)).status, 200)
  const forged = result.result.signed_url.replace(/about=[^&]*&/, 'about=%7B%7D&')
  assert.equal((await fetch(forged)).status, 403)
})

test('a database goes back to a bookmark or a time', async () => {
  const run = async (...words: string[]) =>
    JSON.parse((await wrangler(node, folder, ['d1', 'time-travel', ...words, '--json'])).output) as Told
  const count = () => does('first', { sql: 'SELECT count(*) AS n FROM prices', column: 'n' })
  assert.equal(await count(), 2)
  const { bookmark } = await run('info', 'DB')
  const time = Date.now()
  await does('run', { sql: 'DELETE FROM prices' })
  const undone = await run('restore', 'DB', '--bookmark', bookmark)
  assert.equal(undone.bookmark, bookmark)
  assert.equal(await count(), 2)
  await run('restore', 'DB', '--bookmark', undone.previous_bookmark)
  assert.equal(await count(), 0)
  assert.equal((await run('info', 'DB', '--timestamp', new Date(time).toISOString())).bookmark, bookmark)
  await assert.rejects(
    run('info', 'DB', '--timestamp', new Date(time - 3_600_000).toISOString()),
    /does not reach back/,
  )
})

test('a binding without an id gets a database of its own', async () => {
  await configure({ binding: 'DB', database_name: 'shop-data' }, { binding: 'MORE' })
  await wrangler(node, folder, ['deploy'])
  await does('run', { db: 'MORE', sql: 'CREATE TABLE own (a)' })
  await wrangler(node, folder, ['deploy'])
  await does('run', { db: 'MORE', sql: 'INSERT INTO own VALUES (1)' })
  assert.equal(await does('first', { sql: 'SELECT name FROM goods', column: 'name' }), 'chair')
  await configure({ binding: 'DB', database_id: '00000000-0000-4000-8000-000000000000' })
  await assert.rejects(wrangler(node, folder, ['deploy']), /which was not found/)
})

test('wrangler lists, describes, asks and deletes databases', async () => {
  const run = (...words: string[]) => wrangler(node, folder, ['d1', ...words])
  await run('create', 'scrap', '--location', 'weur')
  const fails = (wanted: RegExp, ...words: string[]) => assert.rejects(run(...words), wanted)
  await fails(/already exists/, 'create', 'scrap')
  const listed = JSON.parse((await run('list', '--json')).output) as { name: string }[]
  assert.deepEqual(listed.map(({ name }) => name).toSorted(), ['copy', 'scrap', 'shop-data', 'shop-more'])
  const sql = "CREATE TABLE a (b); INSERT INTO a VALUES (';'), (2); SELECT * FROM a"
  const [, , rows] = JSON.parse((await run('execute', 'scrap', '--remote', '--json', '--command', sql)).output)
  assert.deepEqual(rows.results, [{ b: ';' }, { b: 2 }])
  await fails(/near "SELEC": syntax error at offset 0/, 'execute', 'scrap', '--remote', '--command', 'SELEC 1')
  const described = JSON.parse((await run('info', 'scrap', '--json')).output)
  assert.deepEqual([described.name, described.num_tables], ['scrap', 1])
  assert.ok(described.database_size >= 8192)
  await run('delete', 'scrap', '-y')
  await fails(/Couldn't find a D1 DB/, 'info', 'scrap')
})
