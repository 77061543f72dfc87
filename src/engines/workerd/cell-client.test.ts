import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { after, test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { type CellRequest, createCellClient } from './cell-client.ts'

const folder = mkdtempSync(join(tmpdir(), 'rw-'))
const servers: Server[] = []
const sockets = new Set<Socket>()
after(() => {
  for (const server of servers) server.close()
  for (const socket of sockets) socket.destroy()
  rmSync(folder, { recursive: true })
})

/** A raw server: `answer` gets each socket and all text received so far, after each piece. */
async function listen(answer: (socket: Socket, received: string, count: number) => void) {
  const path = join(folder, `${servers.length}.s`)
  let count = 0
  const server = createServer((socket) => {
    const mine = count++
    sockets.add(socket)
    let received = ''
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      received += bytes.toString('latin1')
      const before = socket.bytesWritten
      answer(socket, received, mine)
      if (socket.bytesWritten > before) received = ''
    })
  }).listen(path)
  servers.push(server)
  await once(server, 'listening')
  return createCellClient(path, defaultLimits)
}

const get: CellRequest = { method: 'GET', path: '/a?b', authority: 'x.example:81', headers: [], body: null }

test('the head is written as asked, forged control fields are dropped, and a small answer comes whole', async () => {
  const client = await listen((socket, received) =>
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${received.length}\r\n\r\n${received}`),
  )
  const control = ['rimward-cf', '{}', 'rimward-proto', 'https']
  const headers = ['Accept', '*/*', 'Rimward-CF', 'forged', 'RIMWARD-PROGRAM', 'forged', 'accept', 'b']
  const answer = await client.request({ ...get, control, headers })
  assert.equal(answer.status, 200)
  assert.ok(answer.body instanceof Uint8Array)
  assert.equal(
    Buffer.from(answer.body).toString(),
    'GET /a?b HTTP/1.1\r\nHost: x.example:81\r\nrimward-cf: {}\r\nrimward-proto: https\r\nAccept: */*\r\naccept: b\r\n\r\n',
  )
  assert.equal(client.inFlight, 0)
  client.close()
})

test('a CR or LF in the head is never sent', async () => {
  const client = await listen(() => assert.fail('sent'))
  for (const bad of [
    { ...get, headers: ['a', 'b\r\nc: d'] },
    { ...get, path: '/ HTTP/1.1\r\nx: y' },
    { ...get, headers: ['a\n', 'b'] },
  ])
    await assert.rejects(client.request(bad), /control character/)
  client.close()
})

test('bodies go out in chunks, or by their declared length', async () => {
  const client = await listen((socket, received) => {
    if (!/0\r\n\r\n$|five!$/.test(received)) return
    const body = received.slice(received.indexOf('\r\n\r\n') + 4)
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
  })
  const whole = async (request: CellRequest) =>
    Buffer.from((await client.request(request)).body as Uint8Array).toString()
  const stream = () => Readable.from([Buffer.from('five'), Buffer.from('!')])
  assert.equal(await whole({ ...get, method: 'POST', body: stream() }), '4\r\nfive\r\n1\r\n!\r\n0\r\n\r\n')
  assert.equal(await whole({ ...get, method: 'POST', body: stream(), headers: ['content-length', '5'] }), 'five!')
  assert.equal(await whole({ ...get, method: 'POST', body: Buffer.from('five!') }), 'five!')
  client.close()
})

test('a body that streams is a Readable; leaving it closes the connection', async () => {
  let finish = () => {}
  const client = await listen((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n')
    finish = () => void socket.write('1\r\nb\r\n0\r\n\r\n')
  })
  const answer = await client.request(get)
  finish()
  assert.equal(await text(answer.body as Readable), 'ab')
  const left = await client.request(get)
  const stream = left.body as Readable
  stream.destroy()
  await once(stream, 'close')
  client.close()
})

test('a kept connection that was closed meanwhile is hidden for a safe request only', async () => {
  const client = await listen((socket, received, count) => {
    if (count % 2 === 0 && received.startsWith('GET /second')) socket.destroy()
    else if (received.startsWith('POST')) socket.destroy()
    else socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n${count}`)
  })
  await client.request(get)
  const second = await client.request({ ...get, path: '/second' })
  assert.equal(Buffer.from(second.body as Uint8Array).toString(), '1')
  await assert.rejects(client.request({ ...get, method: 'POST' }), { kind: 'closed', responded: false })
  client.close()
})

test('abort, nonsense, a cut answer and a missing socket each say what happened', async () => {
  const silent = await listen(() => {})
  const abort = new AbortController()
  const pending = silent.request({ ...get, signal: abort.signal })
  abort.abort(new Error('left'))
  await assert.rejects(pending, /left/)
  const nonsense = await listen((socket) => socket.write('hello\r\n\r\n'))
  await assert.rejects(nonsense.request(get), { kind: 'protocol' })
  const cut = await listen((socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Le'))
  await assert.rejects(cut.request(get), { kind: 'closed', responded: true })
  const missing = createCellClient(join(folder, 'none.s'), defaultLimits)
  await assert.rejects(missing.request(get), { kind: 'connect', responded: false })
  for (const client of [silent, nonsense, cut]) client.close()
})

test('interim answers are passed on, and 101 hands over the connection with what came behind', async () => {
  const client = await listen((socket, received) => {
    if (received.startsWith('GET')) {
      socket.write('HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n')
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: k\r\n\r\nhi')
    } else socket.end(received.toUpperCase())
  })
  const interim: unknown[] = []
  const onInformational = (status: number, headers: string[]) => void interim.push(status, headers)
  const answer = await client.request({ ...get, wantsUpgrade: true, onInformational })
  assert.deepEqual(interim, [103, ['Link', '</x>']])
  assert.deepEqual([answer.status, answer.headers], [101, ['Sec-WebSocket-Accept', 'k']])
  const [first] = await once(answer.upgraded!, 'data')
  assert.equal(String(first), 'hi')
  answer.upgraded!.write('yo')
  assert.equal(await text(answer.upgraded!), 'YO')
  client.close()
})

test('a small body leaves with its head, and a connection that had a body is not used again', async () => {
  const connections: number[] = []
  // As workerd does for a program that does not read its request: it answers and closes.
  const client = await listen((socket, received, count) => {
    connections.push(count)
    const whole = received.endsWith('small')
    socket.end(`HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n${whole ? 'whole' : 'split'}`)
  })
  const body = () =>
    new Readable({
      read() {
        setImmediate(() => {
          this.push('small')
          this.push(null)
        })
      },
    })
  for (let count = 0; count < 3; count++) {
    const headers = ['content-length', '5']
    const answer = await client.request({ ...get, method: 'POST', headers, body: body() })
    assert.equal(Buffer.from(answer.body as Uint8Array).toString(), 'whole')
  }
  assert.deepEqual(connections, [0, 1, 2])
  client.close()
})
