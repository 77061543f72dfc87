import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { ObjectNamespace } from '#/core/snapshot.ts'
import { get, openPlace, programOf, textOf, until } from './own-cells-for-tests.ts'
import { makeDeployment } from './programs-for-tests.ts'
import { talkTo, upgradeTo } from './web-sockets-for-tests.ts'

const place = await openPlace()
after(() => place.end())

const owner = `
import { DurableObject, RpcTarget, WorkerEntrypoint } from 'cloudflare:workers'
class Account extends RpcTarget {
  constructor(balance) { super(); this.balance = balance }
  add(amount) { return (this.balance += amount) }
}
export class Bank extends WorkerEntrypoint {
  open(balance) { return new Account(balance) }
  async slow() { await scheduler.wait(400); return 'slow but whole' }
  who() { return this.ctx.props.customer }
  ask(callback) { return callback(21) }
  fail() { throw new TypeError('no money') }
  async stream() { return new Blob(['streamed']).stream() }
  fetch() { return new Response('bank for ' + this.ctx.props.customer) }
}
export class Counter extends DurableObject {
  async add() { const n = ((await this.ctx.storage.get('n')) ?? 0) + 1; await this.ctx.storage.put('n', n); return n }
  identity() { return this.ctx.id.toString() }
  fetch(request) {
    if (request.headers.get('upgrade') === null) return new Response('object ' + new URL(request.url).pathname)
    const [client, server] = Object.values(new WebSocketPair())
    this.ctx.acceptWebSocket(server)
    return new Response(null, { status: 101, webSocket: client })
  }
  webSocketMessage(socket, message) { socket.send('object heard ' + message) }
}
export default {
  fetch(request) {
    if (request.headers.get('upgrade') === null) return new Response('owner at ' + request.url + ' ' + request.method)
    const [client, server] = Object.values(new WebSocketPair())
    server.accept()
    server.addEventListener('message', ({ data }) => server.send('owner heard ' + data))
    return new Response(null, { status: 101, webSocket: client })
  },
}`
const asker = `
export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url)
    const object = env.COUNTER.getByName('a')
    switch (pathname) {
      case '/fetch': return env.OWNER.fetch('https://owner.example/path', { method: 'PUT', body: 'x' })
      case '/named': return env.BANK.fetch('https://owner.example/')
      case '/socket': return env.OWNER.fetch(request)
      case '/object-socket': return object.fetch(request)
      case '/add': return new Response(await object.add())
      case '/same-id': return new Response((await object.identity()) === env.COUNTER.idFromName('a').toString())
      case '/object': return object.fetch('https://x/inside')
      case '/slow': return new Response(await env.BANK.slow())
      case '/missing': return env.MISSING.fetch('https://x/')
      case '/fail': return env.BANK.fail().catch((error) => new Response(error.name + ': ' + error.message))
      case '/stream': return new Response(await env.BANK.stream().catch((e) => e.stack))
    }
    using account = await env.BANK.open(3)
    return Response.json([await account.add(2), await env.BANK.open(10).add(1), await env.BANK.who(), await env.BANK.ask((n) => n * 2)])
  },
}`
const objects: ObjectNamespace[] = [{ className: 'Counter', key: 'count', storage: 'kv' }]
const owning = (number: number) => makeDeployment({ program: 'owner', number, modules: { 'main.js': owner } })
const asking = makeDeployment({
  program: 'asker',
  modules: { 'main.js': asker },
  bindings: [
    { kind: 'program', name: 'OWNER', program: 'owner' },
    { kind: 'program', name: 'BANK', program: 'owner', entrypoint: 'Bank', props: '{"customer":"ann"}' },
    { kind: 'program', name: 'MISSING', program: 'nobody' },
    { kind: 'objects', name: 'COUNTER', className: 'Counter', program: 'owner' },
  ],
})

test('programs in different cells: fetch, RPC, entrypoints with props, WebSockets and objects', async () => {
  const cells = place.open()
  const program = programOf([asking])
  place.programs.set('owner', programOf([owning(1)], objects))
  const ask = (path: string) => textOf(cells.run(program, asking, get(path)))

  assert.equal(await ask('/fetch'), 'owner at https://owner.example/path PUT')
  assert.equal(await ask('/named'), 'bank for ann')
  assert.equal(await ask('/rpc'), '[5,11,"ann",42]')
  assert.equal(await ask('/fail'), 'TypeError: no money')
  assert.equal(await ask('/stream'), 'streamed')
  assert.deepEqual([await ask('/add'), await ask('/add')], ['1', '2'])
  assert.equal(await ask('/same-id'), 'true')
  assert.equal(await ask('/object'), 'object /inside')
  await assert.rejects(ask('/missing'), { code: 'program_exception' })
  for (const [path, who] of [
    ['/socket', 'owner'],
    ['/object-socket', 'object'],
  ]) {
    const socket = talkTo(await cells.run(program, asking, upgradeTo(path!)))
    socket.send('hi')
    assert.equal(await socket.next(), `${who} heard hi`)
    socket.duplex.destroy()
  }

  const asked = place.asked.filter(({ kind }) => kind === 'reach').length

  const slow = ask('/slow')
  await until(() => place.asked.filter(({ kind }) => kind === 'reach').length > asked)
  const next = programOf([owning(2)], objects)
  place.programs.set('owner', next)
  await cells.adopt({
    revision: 2,
    sites: [],
    programs: new Map([
      ['owner', next],
      ['asker', program],
    ]),
  })
  assert.equal(await ask('/add'), '3')
  assert.equal(await ask('/fetch'), 'owner at https://owner.example/path PUT')
  assert.equal(await slow, 'slow but whole')
  process.kill(cells.pids()[1]!, 'SIGKILL')
  assert.equal(await ask('/add'), '4')
})
