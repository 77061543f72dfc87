/** Three points of presence in one process, as `rimward up --pops` starts them. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { get, rimward, startNode, temporaryFolder, until } from './support/node.ts'

interface NodeFile {
  readonly pops: readonly { readonly id: string; readonly country: string; readonly http: string }[]
}

test('one process, three points of presence: a deploy reaches all, each answers in its own name', async (t) => {
  const node = await startNode(t, { args: ['--pops', 'fra:DE,iad:US,nrt:JP'] })
  const { pops } = JSON.parse(await readFile(join(node.data, 'node.json'), 'utf8')) as NodeFile
  assert.deepEqual(
    pops.map(({ id, country }) => `${id}:${country}`),
    ['fra:DE', 'iad:US', 'nrt:JP'],
  )
  const folder = await temporaryFolder(t, 'pops')
  await writeFile(
    join(folder, 'wrangler.json'),
    '{ "name": "where", "main": "where.js", "compatibility_date": "2026-11-01" }',
  )
  const deploy = async (text: string) => {
    await writeFile(
      join(folder, 'where.js'),
      `export default { fetch: (request) => new Response('${text} ' + request.cf.colo + ' ' + request.cf.country) }`,
    )
    const ran = await rimward(node, folder, ['deploy'])
    assert.equal(ran.code, 0, ran.output)
  }
  for (const text of ['first', 'second']) {
    await deploy(text)
    for (const { id, country, http } of pops) {
      const answer = await get(http, 'where.localhost', '/')
      assert.equal(answer.text, `${text} ${id.toUpperCase()} ${country}`)
      assert.equal(answer.headers['x-served-by'], id)
    }
  }

  const listed = JSON.parse((await rimward(node, folder, ['pops', '--json'])).output) as { pop: string }[]
  assert.deepEqual(
    listed.map(({ pop }) => pop),
    ['fra', 'iad', 'nrt'],
  )
  assert.match((await rimward(node, folder, ['pops'])).output, /^nrt +JP +nrt +\d+ +http:/m)

  // What belongs to one point of presence lies in a folder of its own.
  for (const { id } of pops) {
    const log = join(node.data, 'pops', id, 'log', 'rimward.jsonl')
    await until(async () => (await readFile(log, 'utf8')).includes('where.localhost'), `${id} has logged`)
    assert.ok(!(await readFile(log, 'utf8')).includes(`"pop":"${id === 'fra' ? 'iad' : 'fra'}"`))
    assert.ok(existsSync(join(node.data, 'pops', id, 'cache')))
  }
  assert.ok(!existsSync(join(node.data, 'cache')))
  const metrics = await (await node.api('/metrics')).text()
  for (const { id } of pops)
    assert.match(metrics, new RegExp(`^rimward_requests_total\\{[^}]*pop="${id}"[^}]*\\} 2$`, 'm'))
  assert.equal(await node.stop(), 0)
})
