import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { openRelay } from './relay.ts'

async function echo(t: { after(step: () => void): void }): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.on('error', () => {}).pipe(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return (server.address() as { port: number }).port
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  return socket
}

test('bytes arrive in order and not before a round trip is over', async (t) => {
  const port = await echo(t)
  const relay = await openRelay(() => ({ host: '127.0.0.1', port }), 30)
  t.after(() => relay.close())
  const socket = await open(relay.port)
  const started = performance.now()
  for (let index = 0; index < 100; index++) socket.write(`${index} `)
  socket.end()
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  assert.equal(text, Array.from({ length: 100 }, (_, index) => `${index} `).join(''))
  assert.ok(performance.now() - started >= 60)
  assert.equal(relay.bytes, 2 * text.length)
})

test('a cut line is silent; after it is healed its connections are gone and new ones pass', async (t) => {
  const port = await echo(t)
  const relay = await openRelay(() => ({ host: '127.0.0.1', port }), 1)
  t.after(() => relay.close())
  const before = await open(relay.port)
  before.write('a')
  assert.equal(String((await once(before, 'data'))[0]), 'a')
  relay.cut()
  before.write('lost')
  before.on('data', () => assert.fail('bytes came over a cut line'))
  const broken = once(before, 'error')
  await new Promise((resolve) => setTimeout(resolve, 30))
  relay.heal()
  await broken
  const after = await open(relay.port)
  after.write('b')
  assert.equal(String((await once(after, 'data'))[0]), 'b')
  after.destroy()
})
