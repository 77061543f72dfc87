import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { bodyText, openStage } from './engine-stage.ts'
import { openOwnEngine } from './own-engine.ts'
import { talkTo, upgradeTo } from './web-sockets-for-tests.ts'

const stage = await openStage({ cells: 1, spareCells: 0 }, { ownCells: openOwnEngine })
after(() => stage.close())

const source = `
import { RpcTarget, WorkerEntrypoint } from 'cloudflare:workers'
class Sum extends RpcTarget {
  total = 0
  add(amount) { return (this.total += amount) }
}
export class Named extends WorkerEntrypoint {
  sum() { return new Sum() }
  who() { return this.ctx.props.me }
  ask(callback) { return callback(20) }
  fetch() { return new Response('named ' + this.ctx.props.me) }
}
export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url)
    if (pathname === '/rpc') {
      using sum = await env.NAMED.sum()
      await sum.add(1)
      return Response.json([await sum.add(2), await env.NAMED.who(), await env.NAMED.ask((n) => n + 1)])
    }
    if (pathname === '/named') return env.NAMED.fetch(request)
    if (request.headers.get('upgrade') !== null && pathname !== '/socket-here') return env.OTHER.fetch('http://x/socket-here', request)
    if (pathname === '/other') return env.OTHER.fetch('http://other/plain', { method: 'POST', body: 'b' })
    if (pathname === '/socket-here') {
      const [client, server] = Object.values(new WebSocketPair())
      server.accept()
      server.addEventListener('message', ({ data }) => server.send('heard ' + data))
      return new Response(null, { status: 101, webSocket: client })
    }
    return new Response(request.method + ' ' + request.url + ' ' + (await request.text()))
  },
}`
const to = (program: string) =>
  [
    { kind: 'program', name: 'OTHER', program },
    { kind: 'program', name: 'NAMED', program, entrypoint: 'Named', props: '{"me":"ann"}' },
  ] as const

await stage.add({ name: 'shared', modules: { 'main.js': source }, bindings: to('own') })
await stage.add({ name: 'own', modules: { 'main.js': source }, bindings: to('shared'), cpuMs: 5000 })

for (const [from, other] of [
  ['shared', 'own'],
  ['own', 'shared'],
] as const)
  test(`a program in a cell of kind ${from} reaches one in a cell of kind ${other}`, async () => {
    const ask = async (path: string) => bodyText(await stage.fetch(from, path))
    assert.equal(await ask('/other'), 'POST http://other/plain b')
    assert.equal(await ask('/named'), 'named ann')
    assert.equal(await ask('/rpc'), '[3,"ann",21]')
    const socket = talkTo(await stage.fetch(from, '/socket', upgradeTo('/socket')))
    socket.send('hi')
    assert.equal(await socket.next(), 'heard hi')
    socket.duplex.destroy()
  })
