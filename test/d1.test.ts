/** D1 as people use it: the real wrangler, a deployed Worker with the runtime's own binding, asked over HTTP. */
import assert from 'node:assert/strict'
import { cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
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

// biome-ignore lint/suspicious/noExplicitAny: what a program answers is compared, not used.
type Told = any

async function ask(step: string, rest: object = {}): Promise<Told> {
  const answer = await node.get('shop.localhost', '/', { method: 'POST', body: JSON.stringify({ step, ...rest }) })
  assert.equal(answer.status, 200, answer.text)
  return JSON.parse(answer.text)
}

async function does(step: string, rest: object = {}): Promise<Told> {
  const told = await ask(step, rest)
  assert.equal(told.error, undefined, JSON.stringify(rest))
  return told.value
}

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

test('wrangler lists, describes, asks and deletes databases', async () => {
  const run = (...words: string[]) => wrangler(node, folder, ['d1', ...words])
  await run('create', 'scrap', '--location', 'weur')
  const fails = (wanted: RegExp, ...words: string[]) => assert.rejects(run(...words), wanted)
  await fails(/already exists/, 'create', 'scrap')
  const listed = JSON.parse((await run('list', '--json')).output) as { name: string }[]
  assert.deepEqual(listed.map(({ name }) => name).toSorted(), ['scrap', 'shop-data'])
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
