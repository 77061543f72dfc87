// needs: nats-server
/**
 * Three machines on NATS: one deploy serves everywhere, its object is one, its keys travel, purges are acknowledged by all, what
 * stays in a country is answered there; a machine is lost and comes back; newcomers need an invitation, which works once.
 */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { freePorts, startServer } from '#/fabric/nats/server.fixture.ts'
import { get, type RunningNode, rimward, startNode, temporaryFolder, until } from './support/node.ts'

async function startNats(t: TestContext, more = ''): Promise<string> {
  const folder = await temporaryFolder(t, 'nats')
  const [port] = await freePorts(1)
  const store = `jetstream { store_dir: "${join(folder, 'store')}" }`
  await startServer(t, { configuration: `port: ${port}\nserver_name: one\n${store}\n${more}\n`, folder })
  return `nats://127.0.0.1:${port}`
}

async function start(t: TestContext, url: string, pops: string, more: { data?: string; args?: string[] } = {}) {
  const { args = [], ...rest } = more
  return startNode(t, { args: ['--join', url, '--pops', pops, ...args], ...rest })
}

const program = `
import { DurableObject } from 'cloudflare:workers'
export class Counter extends DurableObject {
  async slow() { await scheduler.wait(20_000); return 'slow' }
  add() { const n = (this.ctx.storage.kv.get('n') ?? 0) + 1; this.ctx.storage.kv.put('n', n); return n }
}
export default { async fetch(request, env) {
  const { pathname, search } = new URL(request.url)
  if (pathname === '/put') return new Response(String(await env.KV.put('key', search)))
  const far = () => env.COUNTER.get(env.COUNTER.idFromName('far'), { locationHint: 'apac' })
  if (pathname === '/far') return new Response(String(await far().add()))
  if (pathname === '/slow') return new Response(await far().slow())
  if (pathname === '/get') return new Response(String(await env.KV.get('key')))
  try { return new Response(String(await env.COUNTER.getByName('one').add())) }
  catch (error) { return new Response(error.message, { status: 503 }) }
} }`

async function deploy(t: TestContext, node: RunningNode): Promise<void> {
  const folder = await temporaryFolder(t, 'counter')
  const configuration = {
    name: 'counter',
    main: 'index.js',
    compatibility_date: '2026-11-01',
    kv_namespaces: [{ binding: 'KV', id: await createNamespace(node) }],
    durable_objects: { bindings: [{ name: 'COUNTER', class_name: 'Counter' }] },
    migrations: [{ tag: 'v1', new_sqlite_classes: ['Counter'] }],
  }
  await writeFile(join(folder, 'wrangler.json'), JSON.stringify(configuration))
  await writeFile(join(folder, 'index.js'), program)
  const deployed = await rimward(node, folder, ['deploy'])
  assert.equal(deployed.code, 0, deployed.output)
}

async function createNamespace(node: RunningNode): Promise<string> {
  const path = `/client/v4/accounts/${node.accountId}/storage/kv/namespaces`
  const made = await node.api(path, { method: 'POST', body: JSON.stringify({ title: 'keys' }) })
  return ((await made.json()) as { result: { id: string } }).result.id
}

const ask = async (node: RunningNode, path: string, method = 'GET') => {
  const { status, text, headers } = await get(node.addresses.http, 'counter.localhost', path, { method })
  return { status, text, by: headers['x-served-by'] }
}

test('three machines are one platform', { timeout: 180_000 }, async (t) => {
  const url = await startNats(t)
  const data = await temporaryFolder(t, 'nrt')
  const fra = await start(t, url, 'fra:DE')
  const iad = await start(t, url, 'iad:US')
  let nrt = await start(t, url, 'nrt:JP', { data })
  await deploy(t, fra)
  const all = () => [fra, iad, nrt]

  // Served everywhere; the object is one, wherever it is asked from.
  for (const [index, node] of [...all(), ...all()].entries()) {
    await until(
      async () => (await get(node.addresses.http, 'counter.localhost', '/get')).status === 200,
      'it is served',
    )
    assert.equal((await ask(node, '/add')).text, String(index + 1))
  }
  // Keys are written anywhere and read everywhere.
  await ask(iad, '/put?from-iad')
  for (const node of all())
    await until(async () => (await ask(node, '/get')).text === '?from-iad', 'the key has travelled')

  // A purge with a receipt.
  const purged = await rimward(iad, data, ['purge', '--all', '--json'])
  const receipt = JSON.parse(purged.output) as { acknowledged: { node: string }[]; away: { node: string }[] }
  assert.deepEqual(receipt.acknowledged.map(({ node }) => node).toSorted(), ['fra', 'iad', 'nrt'])

  // What stays in a country is answered there.
  const placed = await rimward(nrt, data, ['residency', 'counter', 'DE'])
  assert.equal(placed.code, 0, placed.output)
  for (const node of all()) await until(async () => (await ask(node, '/get')).by === 'fra', 'Germany answers')
  await rimward(nrt, data, ['residency', 'counter', 'anywhere'])
  await until(async () => (await ask(iad, '/get')).by === 'iad', 'each answers again')

  // A machine is lost, and an object with it: whoever calls that, or was calling it, is told within a second.
  assert.equal((await ask(iad, '/far')).text, '1')
  assert.equal((await ask(fra, '/far')).text, '2')
  const methods = ['GET', 'POST']
  // A GET is asked again, and a POST is not.
  const underWay = [ask(fra, '/slow', 'POST'), ask(iad, '/slow')]
  // They are there for sure when others that came later have come back.
  await new Promise((resolve) => setTimeout(resolve, 300))
  for (const [index, node] of [fra, iad].entries()) assert.equal((await ask(node, '/far')).text, String(3 + index))
  const lostAt = performance.now()
  await nrt.stop('SIGKILL')
  const told = await Promise.all(underWay)
  for (const node of [fra, iad]) for (const method of methods) told.push(await ask(node, '/far', method))
  for (const { status, text } of told) {
    assert.equal(status, 503, text)
    assert.match(text, /A Durable Object is out of reach/)
  }
  const toldMs = Math.round(performance.now() - lostAt)
  console.log(`all calls of a lost object are told after ${toldMs} ms`)
  assert.ok(toldMs < 5000, `${toldMs} ms`)

  // The others go on, and say so.
  await until(async () => {
    const { output } = await rimward(fra, data, ['purge', '--all', '--json'])
    return (JSON.parse(output) as typeof receipt).away.some(({ node }) => node === 'nrt')
  }, 'the receipt names who is away')
  assert.equal((await ask(iad, '/add')).text, '7')
  await ask(fra, '/put?meanwhile')
  nrt = await start(t, url, 'nrt:JP', { data })
  await until(async () => (await ask(nrt, '/get')).text === '?meanwhile', 'what it missed has come')
  await until(async () => (await ask(nrt, '/add')).text === '8', 'the object is the same')
})

test('a newcomer needs an invitation, which works once', { timeout: 120_000 }, async (t) => {
  // A server that asks for a password is no trial: whoever reaches it is not let in.
  const url = (await startNats(t, 'authorization { user: edge, password: secret }')).replace('//', '//edge:secret@')
  const mesh = ['--mesh', '127.0.0.1:0']
  const fra = await start(t, url, 'fra:DE', { args: mesh })
  await assert.rejects(start(t, url, 'iad:US', { args: mesh }), /invitation/)

  const made = await rimward(fra, fra.data, ['invite', '--country', 'US', '--json'])
  const { token } = JSON.parse(made.output) as { token: string }
  const invited = [...mesh, '--invite', token]
  await assert.rejects(start(t, url, 'nrt:JP', { args: invited }), /for US, not JP/)
  const iad = await start(t, url, 'iad:US', { args: invited })
  assert.equal(iad.token, fra.token)
  assert.equal((await iad.api('/rimward/v1/status')).status, 200)
  await assert.rejects(start(t, url, 'sfo:US', { args: invited }), /was used already/)

  const list = async () => JSON.parse((await rimward(fra, fra.data, ['pops', '--json'])).output) as { node: string }[]
  await until(async () => (await list()).length === 2, 'both are there')
  await iad.stop()
  const removed = await rimward(fra, fra.data, ['pops', 'remove', 'iad'])
  assert.equal(removed.code, 0, removed.output)
  await assert.rejects(start(t, url, 'iad:US', { args: mesh, data: iad.data }), /removed/)
})
