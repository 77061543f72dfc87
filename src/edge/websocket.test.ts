import assert from 'node:assert/strict'
import { createServer, request } from 'node:http'
import { test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { hello, startEdge } from './edge.fixture.ts'

test('a real WebSocket client talks to a real WebSocket server through the front', async (t) => {
  const upstream = createServer()
  new WebSocketServer({ server: upstream }).on('connection', (socket) =>
    socket.on('message', (data) => socket.send(data)),
  )
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
  t.after(() => upstream.close())
  const { port: target } = upstream.address() as { port: number }
  const { port, logged } = await startEdge(t, {
    run: ({ headers }) =>
      new Promise((resolve) => {
        const list = [...headers, 'connection', 'Upgrade', 'upgrade', 'websocket', 'host', 'x']
        request({ port: target, host: '127.0.0.1', headers: list })
          .on('upgrade', (answer, upgraded, head) => {
            upgraded.unshift(head)
            resolve(hello({ status: 101, headers: answer.rawHeaders, body: null, upgraded }))
          })
          .end()
      }),
  })
  const client = new WebSocket(`ws://127.0.0.1:${port}/`, { headers: { host: 'hello.localhost' } })
  await new Promise((resolve) => client.once('open', resolve))
  const big = 'x'.repeat(1_000_000)
  client.send(big)
  const echoed = await new Promise<string>((resolve) => client.once('message', (data) => resolve(String(data))))
  assert.equal(echoed, big)
  client.close()
  assert.equal((await logged(1))[0]!.status, 101)
})
