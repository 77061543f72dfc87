/** A database has one home, near its hint or inside its countries, and is the same from everywhere. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { get, rimward, root, startNode, temporaryFolder, wrangler } from './support/node.ts'

interface NodeFile {
  readonly pops: readonly { readonly id: string; readonly http: string }[]
}

test('databases live where they belong, and every point of presence reaches them', async (t) => {
  const node = await startNode(t, { args: ['--pops', 'fra:DE,iad:US'] })
  const { pops } = JSON.parse(await readFile(join(node.data, 'node.json'), 'utf8')) as NodeFile
  const folder = await temporaryFolder(t, 'd1-pops')
  await cp(join(root, 'test/d1/worker.js'), join(folder, 'index.js'))
  const create = async (...words: string[]) =>
    /"database_id": "([0-9a-f-]{36})"/.exec((await wrangler(node, folder, ['d1', 'create', ...words])).output)![1]!
  await writeFile(join(folder, 'wrangler.json'), '{}')
  const near = await create('near', '--location', 'enam')
  const inside = await create('inside', '--jurisdiction', 'eu')
  const deploy = async (name: string, database_id: string) => {
    const d1_databases = [{ binding: 'DB', database_id }]
    const config = { name, main: 'index.js', compatibility_date: '2026-11-01', d1_databases }
    await writeFile(join(folder, 'wrangler.json'), JSON.stringify(config))
    await wrangler(node, folder, ['deploy'])
  }
  await deploy('near', near)
  // A program that may run elsewhere could carry out what the database holds.
  await assert.rejects(
    deploy('inside', inside),
    /Program 'inside' may run anywhere, but its binding 'DB' is to the store/,
  )
  assert.equal((await rimward(node, folder, ['residency', 'program:inside', 'eu'])).code, 0)
  await deploy('inside', inside)

  const ask = async (program: string, pop: string, step: string, rest: object) => {
    const { http } = pops.find(({ id }) => id === pop)!
    const body = JSON.stringify({ step, ...rest })
    return JSON.parse((await get(http, `${program}.localhost`, '/', { method: 'POST', body })).text)
  }
  for (const [program, home, id] of [
    ['near', 'iad', near],
    ['inside', 'fra', inside],
  ] as const) {
    assert.equal((await ask(program, 'fra', 'exec', { sql: 'CREATE TABLE t (a)' })).error, undefined)
    for (const [index, pop] of ['iad', 'fra', 'iad'].entries()) {
      const bind = ['x'.repeat(100_000)]
      const told = await ask(program, pop, 'run', { sql: 'INSERT INTO t VALUES (?)', bind })
      assert.deepEqual([told.value?.meta.served_by, told.value?.meta.last_row_id], [home, index + 1], told.error)
    }
    for (const pop of ['fra', 'iad'])
      assert.equal((await ask(program, pop, 'raw', { sql: 'SELECT a FROM t' })).value[2][0].length, 100_000)
    for (const { id: pop } of pops)
      assert.equal(existsSync(join(node.data, 'pops', pop, 'sql', id)), pop === home, `${program} at ${pop}`)
  }
  await wrangler(node, folder, ['d1', 'export', 'near', '--remote', '--output', 'near.sql', '-y'])
  assert.equal((await readFile(join(folder, 'near.sql'), 'utf8')).split('\n').length, 6)
  const audited = await rimward(node, folder, ['audit'])
  assert.equal(audited.code, 0, audited.output)
  assert.match((await rimward(node, folder, ['residency'])).output, /inside/)
})
