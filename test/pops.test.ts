/** Three points of presence in one process, as `rimward up --pops` starts them. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { get, type RunningNode, rimward, root, startNode, temporaryFolder, until } from './support/node.ts'

async function deploy(node: RunningNode, folder: string, name: string, answer: string) {
  const settings = { name, main: 'index.js', compatibility_date: '2026-11-01' }
  await writeFile(join(folder, 'wrangler.json'), JSON.stringify(settings))
  await writeFile(join(folder, 'index.js'), `export default { fetch: (request) => ${answer} }`)
  return rimward(node, folder, ['deploy'])
}

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
  const where = "' + request.cf.colo + ' ' + request.cf.country + '"
  for (const text of ['first', 'second']) {
    const ran = await deploy(node, folder, 'where', `new Response('${text} ${where}')`)
    assert.equal(ran.code, 0, ran.output)
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
  assert.match((await rimward(node, folder, ['pops'])).output, /^nrt +JP +nrt +up +\d+ +[\d.]+ +http:/m)

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

test('a canary serves a change first: one that fails there goes no further, one that does well goes everywhere', async (t) => {
  const node = await startNode(t, { args: ['--pops', 'fra:DE,iad:US'] })
  const { pops } = JSON.parse(await readFile(join(node.data, 'node.json'), 'utf8')) as NodeFile
  const [fra, iad] = pops.map(({ http }) => http) as [string, string]
  const folder = await temporaryFolder(t, 'canary')
  const ask = async (address: string) => (await get(address, 'shop.localhost', '/')).text
  assert.equal((await deploy(node, folder, 'shop', `new Response('good')`)).code, 0)
  const set = await rimward(node, folder, ['rollout', '--canary', 'fra', '--window', '2s'])
  assert.match(set.output, /goes to fra first, for 2.0 s/)

  const bad = deploy(node, folder, 'shop', `new Response('bad', { status: 500 })`)
  await until(async () => (await ask(fra)) === 'bad', 'the canary serves the change')
  assert.equal(await ask(iad), 'good')
  const refused = await bad
  assert.equal(refused.code, 1)
  assert.match(refused.output, /fra, which tried this change first.*errors/)
  assert.equal(await ask(fra), 'good')
  assert.equal(await ask(iad), 'good')

  const better = await deploy(node, folder, 'shop', `new Response('better')`)
  assert.equal(better.code, 0, better.output)
  for (const address of [fra, iad]) assert.equal(await ask(address), 'better')
  assert.match((await rimward(node, folder, ['rollout', '--canary', 'nowhere'])).output, /no point of presence/)
  assert.match((await rimward(node, folder, ['rollout', '--canary', 'off'])).output, /all points of presence at once/)
})

test('a folder of one point of presence becomes that of several, with its Durable Objects; and back', async (t) => {
  const data = await temporaryFolder(t, 'grows')
  const visit = async (args: readonly string[], wanted: string) => {
    const node = await startNode(t, { data, args })
    const { pops } = JSON.parse(await readFile(join(data, 'node.json'), 'utf8')) as NodeFile
    if (wanted === 'visit 1 of home') assert.equal((await rimward(node, root, ['deploy', 'examples/visits'])).code, 0)
    for (const { http } of pops.filter(({ id }) => id === 'iad'))
      assert.equal((await get(http, 'visits.localhost', '/visit/home')).text.trim(), wanted)
    await node.stop()
  }
  await visit(['--pops', 'iad:US'], 'visit 1 of home')
  await visit(['--pops', 'fra:DE,iad:US'], 'visit 2 of home')
  await visit(['--pops', 'iad:US'], 'visit 3 of home')
})
