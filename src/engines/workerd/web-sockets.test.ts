import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { ObjectNamespace } from '#/core/snapshot.ts'
import { get, openPlace, programOf, textOf } from './own-cells-for-tests.ts'
import { makeDeployment } from './programs-for-tests.ts'
import { talkTo, upgradeTo } from './web-sockets-for-tests.ts'

const place = await openPlace()
after(() => place.end())

const source = `
import { DurableObject } from 'cloudflare:workers'
let wakes = 0
export class Room extends DurableObject {
  constructor(ctx, env) { super(ctx, env); wakes++; ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair('ping', 'pong')) }
  fetch(request) {
    const [client, server] = Object.values(new WebSocketPair())
    this.ctx.acceptWebSocket(server, ['tag'])
    server.serializeAttachment({ name: new URL(request.url).pathname })
    return new Response(null, { status: 101, webSocket: client })
  }
  webSocketMessage(socket, message) {
    for (const each of this.ctx.getWebSockets('tag')) each.send(socket.deserializeAttachment().name + ' ' + message + ' ' + wakes)
  }
  count() { return this.ctx.getWebSockets().length }
}
export default {
  fetch(request, env) {
    const room = env.ROOM.getByName('lobby')
    if (new URL(request.url).pathname === '/count') return room.count().then((n) => new Response(String(n)))
    return room.fetch(request)
  },
}`
const objects: ObjectNamespace[] = [{ className: 'Room', key: 'room', storage: 'sqlite' }]
const bindings = [{ kind: 'objects', name: 'ROOM', className: 'Room' }] as const
const version = (number: number) => makeDeployment({ number, modules: { 'main.js': source }, bindings })

test('WebSockets of objects: hibernation keeps them and their attachments, a new version ends them with 1012', async () => {
  const cells = place.open({ ownCellIdleMs: 300 })
  const deployment = version(1)
  const program = programOf([deployment], objects)
  const ann = talkTo(await cells.run(program, deployment, upgradeTo('/ann')))
  const bob = talkTo(await cells.run(program, deployment, upgradeTo('/bob')))
  ann.send('hi')
  assert.deepEqual([await ann.next(), await bob.next()], ['/ann hi 1', '/ann hi 1'])
  ann.send('ping')
  assert.equal(await ann.next(), 'pong')

  // workerd evicts an object after 10 s without a request; only the passing of that time shows it.
  await new Promise((resolve) => setTimeout(resolve, 11_500))
  bob.send('again')
  assert.deepEqual([await ann.next(), await bob.next()], ['/bob again 2', '/bob again 2'])
  assert.equal(await textOf(cells.run(program, deployment, get('/count'))), '2')

  const next = version(2)
  const moved = programOf([next], objects)
  await cells.adopt({ revision: 2, sites: [], programs: new Map([['shop', moved]]) })
  assert.deepEqual([await ann.next(), await bob.next()], ['close 1012', 'close 1012'])
  const again = talkTo(await cells.run(moved, next, upgradeTo('/ann')))
  again.send('back')
  assert.equal(await again.next(), '/ann back 1')
  again.duplex.destroy()
})
