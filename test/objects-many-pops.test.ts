/** Durable Objects over several nodes: one instance anywhere, reached from everywhere. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
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
    try {
      if (verb === 'fetch' || verb === 'socket') return await object.fetch(request)
      if (verb === 'account') return Response.json(await object.open(3).add(4))
      if (verb === 'stream') return new Response(await object.stream())
      if (verb === 'exports') return Response.json(await ctx.exports.Counter.getByName(name).add())
      return Response.json((await object[verb](given && (Number(given) || given))) ?? null)
    } catch (error) {
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
