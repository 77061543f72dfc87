import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { DialRequest } from '#/core/dialer.ts'
import { defaultLimits } from '#/core/limits.ts'
import { createDialer } from './dialer.ts'

async function listening(t: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return (server.address() as AddressInfo).port
}

const dialer = (allowed: boolean, connectMs = defaultLimits.originConnectMs) =>
  createDialer({
    rules: { grants: () => (allowed ? [{ names: 'network', port: true }] : []) },
    limits: { ...defaultLimits, originConnectMs: connectMs },
    clock: Date.now,
  })

const to = (port: number, change: Partial<DialRequest> = {}): DialRequest => ({
  by: { program: 'shop' },
  host: '127.0.0.1',
  port,
  tls: false,
  signal: new AbortController().signal,
  ...change,
})

test('bytes go both ways over an allowed connection', async (t) => {
  const port = await listening(
    t,
    createServer((socket) => void socket.pipe(socket)),
  )
  for (const host of ['127.0.0.1', 'localhost', '2130706433']) {
    const socket = await dialer(true).dial(to(port, { host }))
    socket.write('hello')
    const [echo] = await once(socket, 'data')
    assert.equal(String(echo), 'hello')
    socket.destroy()
  }
})

test('what a program may not fetch it may not dial either', async (t) => {
  let connections = 0
  const port = await listening(
    t,
    createServer(() => {
      connections++
    }),
  )
  for (const host of ['127.0.0.1', 'localhost', '0x7f.1', '::1'])
    await assert.rejects(dialer(false).dial(to(port, { host })), { code: 'egress_refused' }, host)
  await assert.rejects(dialer(true).dial(to(99_999)), { code: 'egress_refused' })
  assert.equal(connections, 0)
})

test('a server that is not there, one that does not answer in time', async (t) => {
  const server = createServer()
  const port = await listening(t, server)
  await new Promise((resolve) => server.close(resolve))
  await assert.rejects(dialer(true).dial(to(port)), { code: 'origin_refused' })

  const silent = await listening(
    t,
    createServer((socket) => void t.after(() => socket.destroy())),
  )
  await assert.rejects(dialer(true, 50).dial(to(silent, { tls: true })), { code: 'origin_timeout' })
})
