/** Durable Objects over several nodes: one instance anywhere, reached from everywhere. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { until } from '#/engines/workerd/own-cells-for-tests.ts'
import { talkTo, upgradeTo } from '#/engines/workerd/web-sockets-for-tests.ts'
import { createPlatform } from '#/mesh/nodes.fixture.ts'
import { openPopsStage, type PopsStage } from './support/pops-stage.ts'

const counter = `
import { DurableObject, RpcTarget } from 'cloudflare:workers'
class Account extends RpcTarget {
  constructor(balance) { super(); this.balance = balance }
  add(amount) { return (this.balance += amount) }
}
export class Counter extends DurableObject {
  async add() { const n = ((await this.ctx.storage.get('n')) ?? 0) + 1; await this.ctx.storage.put('n', n); return n }
  async slow(ms) { await scheduler.wait(ms); return this.add() }
  who() { return [this.ctx.id.toString(), this.ctx.id.name, this.constructor.name] }
  open(balance) { return new Account(balance) }
  other(name) { return this.env.COUNTER.getByName(name).add() }
  fail() { throw new TypeError('no counting today') }
  async arm(ms) { await this.ctx.storage.setAlarm(Date.now() + ms) }
  async alarm() { await this.ctx.storage.put('rang', ((await this.ctx.storage.get('rang')) ?? 0) + 1) }
  async rang() { return (await this.ctx.storage.get('rang')) ?? 0 }
  stream() { return new Blob(['streamed']).stream() }
  fetch(request) {
    if (request.headers.get('upgrade') === null) return new Response('object ' + new URL(request.url).pathname)
    const [client, server] = Object.values(new WebSocketPair())
    this.ctx.acceptWebSocket(server)
    return new Response(null, { status: 101, webSocket: client })
  }
  webSocketMessage(socket, message) { socket.send('object heard ' + message) }
}
export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url)
    const [, verb, name, given] = url.pathname.split('/')
    const hint = url.searchParams.get('hint') ?? undefined
    const scope = url.searchParams.has('in') ? env.COUNTER.jurisdiction(url.searchParams.get('in')) : env.COUNTER
    if (verb === 'new') return new Response(scope.newUniqueId().toString())
    const id = name.length === 64 ? env.COUNTER.idFromString(name) : scope.idFromName(name)
    if (verb === 'jurisdiction') return new Response(String(id.jurisdiction))
    const object = env.COUNTER.get(id, { locationHint: hint })
    if (verb === 'bare') return Response.json(await object.add())
    if (verb === 'pass') return object.fetch(request)
    try {
      if (verb === 'fetch' || verb === 'socket') return await object.fetch(request)
      if (verb === 'account') return Response.json(await object.open(3).add(4))
      if (verb === 'stream') return new Response(await object.stream())
      if (verb === 'exports') return Response.json(await ctx.exports.Counter.getByName(name).add())
      return Response.json((await object[verb](given && (Number(given) || given))) ?? null)
    } catch (error) {
      if (given === 'flags') return Response.json([error.message, error.retryable, error.overloaded ?? null])
      return new Response(error.name + ': ' + error.message, { status: 500 })
    }
  },
}`

const counterProgram = {
  name: 'shop',
  modules: { 'main.js': counter },
  flags: ['enable_ctx_exports'],
  bindings: [{ kind: 'objects', name: 'COUNTER', className: 'Counter' }],
  objects: [{ className: 'Counter', key: 'k1', storage: 'sqlite' }],
} as const

const { headers, wantsUpgrade, received } = upgradeTo('/')
const upgrade = { headers, wantsUpgrade, received }

let pops: PopsStage
before(async () => {
  pops = await openPopsStage(['fra:DE', 'iad:US', 'nrt:JP'])
  await pops.add(counterProgram)
})
after(() => pops.close())

const stored = (node: string, id: string) =>
  existsSync(join(pops.nodes[node]!.stage.folder, 'data', 'objects', 'k1', `${id}.sqlite`))

test('an object lives where it was called first, and all others reach it there', async () => {
  assert.equal(await pops.text('fra', 'shop', '/add/a'), '1')
  assert.equal(await pops.text('iad', 'shop', '/add/a'), '2')
  assert.equal(await pops.text('nrt', 'shop', '/add/a'), '3')
  assert.equal(await pops.text('fra', 'shop', '/add/a'), '4')
  const [id, name, className] = JSON.parse(await pops.text('iad', 'shop', '/who/a')) as string[]
  assert.deepEqual([name, className], ['a', 'Counter'])
  assert.deepEqual([stored('fra', id!), stored('iad', id!), stored('nrt', id!)], [true, false, false])
})

test('RPC with promises in between, errors, streams, requests, and WebSockets cross; so do calls among objects', async () => {
  await pops.text('fra', 'shop', '/add/b')
  for (const node of ['fra', 'iad']) {
    assert.equal(await pops.text(node, 'shop', '/account/b'), '7')
    assert.equal(await pops.text(node, 'shop', '/fail/b'), 'TypeError: no counting today')
    assert.equal(await pops.text(node, 'shop', '/stream/b'), 'streamed')
    assert.equal(await pops.text(node, 'shop', '/fetch/b'), 'object /fetch/b')
    const socket = talkTo(await pops.nodes[node]!.stage.fetch('shop', '/socket/b', upgrade))
    socket.send('hi')
    assert.equal(await socket.next(), 'object heard hi')
    socket.duplex.destroy()
  }
  assert.equal(await pops.text('iad', 'shop', '/add/c'), '1')
  assert.equal(await pops.text('fra', 'shop', '/other/b/c'), '2')
  assert.equal(await pops.text('nrt', 'shop', '/other/b/c'), '3')
})

test('location hints and jurisdictions decide at the first call; an id says its jurisdiction everywhere', async () => {
  const idOf = async (node: string, path: string) => (JSON.parse(await pops.text(node, 'shop', path)) as string[])[0]!
  const hinted = await idOf('fra', '/who/h?hint=apac')
  assert.deepEqual([stored('fra', hinted), stored('nrt', hinted)], [false, true])

  const fresh = await pops.text('nrt', 'shop', '/new?in=eu')
  assert.match(fresh, /^[0-9a-f]{64}$/)
  assert.equal(await pops.text('iad', 'shop', `/jurisdiction/${fresh}`), 'eu')
  assert.equal(await pops.text('iad', 'shop', `/add/${fresh}`), '1')
  assert.deepEqual([stored('fra', fresh), stored('iad', fresh), stored('nrt', fresh)], [true, false, false])

  const named = await idOf('iad', '/who/same?in=eu')
  assert.notEqual(named, await idOf('iad', '/who/same'))
  assert.equal(named, await idOf('nrt', '/who/same?in=eu'))
  assert.ok(stored('fra', named))
  assert.match(await pops.text('iad', 'shop', '/add/x?in=br'), /may live in BR, where there is no point of presence/)
  await assert.rejects(pops.text('iad', 'shop', '/add/x?in=atlantis'), { code: 'program_exception' })
})

test('an alarm rings at the home, and an object elsewhere is refused to ctx.exports', async () => {
  await pops.text('fra', 'shop', '/add/alarmed')
  await pops.text('iad', 'shop', '/arm/alarmed/30')
  await until(async () => (await pops.text('iad', 'shop', '/rang/alarmed')) === '1')
  assert.match(await pops.text('iad', 'shop', '/exports/alarmed'), /lives at another node/)
  assert.equal(await pops.text('fra', 'shop', '/exports/alarmed'), '2')
})

/** Who calls it sees that another try may go through; who visits a program that does not catch that gets a page of its own. */
async function isToldAway(node: string, name: string, message: RegExp, stage: PopsStage = pops): Promise<void> {
  for (const verb of ['add', 'fetch']) {
    const [said, ...flags] = JSON.parse(await stage.text(node, 'shop', `/${verb}/${name}/flags`)) as unknown[]
    assert.match(String(said), message)
    assert.deepEqual(flags, [true, null], verb)
  }
  for (const verb of ['bare', 'pass'])
    await assert.rejects(stage.text(node, 'shop', `/${verb}/${name}`), ({ code, row, cause }) => {
      assert.deepEqual([code, row.status, row.retry], ['object_away', 503, true], verb)
      return String(cause).includes('(object_away)')
    })
}

test('a home that is out of reach is told within a second, in words, and comes back', async () => {
  assert.equal(await pops.text('iad', 'shop', '/add/away'), '1')
  assert.equal(await pops.text('fra', 'shop', '/add/away'), '2')
  const slow = pops.text('fra', 'shop', '/slow/away/5000')
  await new Promise((resolve) => setTimeout(resolve, 100))
  const begun = performance.now()
  pops.meshes.cut('fra', 'iad')
  assert.match(await slow, /lives at iad, which cannot be reached now|connection lost/i)
  assert.match(await pops.text('fra', 'shop', '/add/away'), /lives at iad, which cannot be reached now/)
  assert.ok(performance.now() - begun < 1000)
  await isToldAway('fra', 'away', /^Durable Object of Counter \(shop\): .* lives at iad, .*\(object_away\)$/)
  assert.equal(await pops.text('nrt', 'shop', '/add/away'), '3')
  pops.meshes.heal('fra', 'iad')
  assert.equal(await pops.text('fra', 'shop', '/add/away'), '4')
})

test('over the real mesh: calls of every kind, a cut that is told, and its end', async (t) => {
  const platform = await createPlatform(t)
  const two = await openPopsStage(['fra:DE', 'iad:US'], {}, platform.open)
  try {
    await two.add(counterProgram)
    const ask = (node: string, path: string) => two.text(node, 'shop', path)
    assert.equal(await ask('fra', '/add/a'), '1')
    await until(async () => (await ask('iad', '/add/a')) === '2')
    assert.equal(await ask('iad', '/account/a'), '7')
    assert.equal(await ask('iad', '/fail/a'), 'TypeError: no counting today')
    assert.equal(await ask('iad', '/stream/a'), 'streamed')
    const socket = talkTo(await two.nodes.iad!.stage.fetch('shop', '/socket/a', upgrade))
    socket.send('hi')
    assert.equal(await socket.next(), 'object heard hi')
    const slow = ask('iad', '/slow/a/5000')
    await new Promise((resolve) => setTimeout(resolve, 100))
    const begun = performance.now()
    platform.ways.cut('fra', 'iad')
    assert.match(await slow, /lives at fra, which cannot be reached now|connection lost/i)
    assert.equal(await socket.next(), 'end')
    assert.match(await ask('iad', '/add/a'), /lives at fra, which cannot be reached now/)
    assert.ok(performance.now() - begun < 1000)
    platform.ways.heal('fra', 'iad')
    await until(async () => (await ask('iad', '/add/a')) === '3')
  } finally {
    await two.close()
  }
})

test('a node without its lease runs no objects and serves all else; what is new has no home meanwhile', async () => {
  const { standing } = pops.nodes.fra!
  assert.equal(await pops.text('fra', 'shop', '/add/leased'), '1')
  assert.equal(await pops.text('iad', 'shop', '/add/over-there'), '1')
  assert.equal(await pops.text('fra', 'shop', '/add/over-there'), '2')
  const slow = pops.text('fra', 'shop', '/slow/leased/5000').catch(String)
  const socket = talkTo(await pops.nodes.fra!.stage.fetch('shop', '/socket/leased', upgrade))
  await new Promise((resolve) => setTimeout(resolve, 100))
  pops.fabric.cut('fra')
  pops.nodes.fra!.ahead += 60_000
  assert.equal(standing.epoch(), undefined)
  assert.match(await pops.text('fra', 'shop', '/add/leased').catch(String), /lease|hung up|ended before/)
  assert.match(await pops.text('iad', 'shop', '/add/leased'), /lease|connection lost/i)
  for (const node of ['iad', 'fra']) await isToldAway(node, 'leased', /it lost its lease\. \(object_away\)$/)
  assert.equal(await socket.next(), 'close 1012')
  assert.match(await slow, /lease|ended before/)
  assert.equal(await pops.text('fra', 'shop', '/add/over-there'), '3')
  await isToldAway('fra', 'unheard-of', /fabric is cut off\. \(object_away\)$/)
  pops.fabric.heal('fra')
  await until(() => standing.epoch() !== undefined)
  await until(async () => (await pops.text('iad', 'shop', '/add/leased')) === '2')
})
