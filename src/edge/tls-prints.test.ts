/** The edge sees a client's first bytes and TLS still gets them all, however they arrive. */
import assert from 'node:assert/strict'
import { connect as connectHttp2 } from 'node:http2'
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { connect } from 'node:tls'
import { readAll, startEdge, textOf, until } from './edge.fixture.ts'
import {
  both,
  frame,
  headers,
  literal,
  number,
  preface,
  priority,
  set,
  settings,
  speak,
  start,
  told,
  window,
} from './h2.fixture.ts'
import { selfSigned } from './self-signed.fixture.ts'

const certificate = await selfSigned('hello.localhost')
const certificates = { forName: async () => certificate, challenge: async () => undefined }
const listen = { http: { host: '127.0.0.1', port: 0 }, https: { host: '127.0.0.1', port: 0 } }
const get = 'GET / HTTP/1.1\r\nHost: hello.localhost\r\nConnection: close\r\n\r\n'

/** Between a client and the edge: keeps what the client sends, and passes it on as `pass` says. */
async function relay(t: TestContext, to: number, pass: (bytes: Buffer, edge: Socket) => Promise<void>) {
  const sent: Buffer[] = []
  const server = createServer((client) => {
    const edge = connectTcp({ port: to, host: '127.0.0.1', noDelay: true })
    let order = Promise.resolve()
    client.on('data', (bytes: Buffer) => {
      sent.push(bytes)
      order = order.then(() => pass(bytes, edge))
    })
    edge.pipe(client)
    for (const socket of [client, edge]) socket.on('error', () => {})
    client.on('close', () => edge.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return { port: (server.address() as AddressInfo).port, sent }
}

const whole = async (bytes: Buffer, edge: Socket) => void edge.write(bytes)
async function byteByByte(bytes: Buffer, edge: Socket): Promise<void> {
  for (const byte of bytes) {
    edge.write(Buffer.from([byte]))
    await new Promise((resolve) => setImmediate(resolve))
  }
}
/** The hello of the first packet in records of 100 bytes. */
async function inRecords(bytes: Buffer, edge: Socket): Promise<void> {
  const end = bytes[5] === 1 && bytes[0] === 22 ? 5 + bytes.readUInt16BE(3) : 0
  for (let at = 5; at < end; at += 100) {
    const part = bytes.subarray(at, Math.min(end, at + 100))
    edge.write(Buffer.concat([bytes.subarray(0, 3), Buffer.from([0, part.length]), part]))
  }
  edge.write(bytes.subarray(end))
}

for (const [how, pass] of Object.entries({ whole, byteByByte, inRecords }))
  test(`a hello that comes ${how}`, async (t) => {
    const { tlsPort, seen } = await startEdge(t, { options: { listen, certificates } })
    const { port, sent } = await relay(t, tlsPort, pass)
    const socket = connect({ port, host: '127.0.0.1', servername: 'hello.localhost', rejectUnauthorized: false })
    socket.write(get)
    // A real server never tells that records were cut: TLS hashes messages, not records.
    assert.match(await readAll(socket), /^HTTP\/1.1 200 /)
    const wire = Buffer.concat(sent)
    const hello = wire.subarray(5, 5 + wire.readUInt16BE(3))
    const { prints } = seen[0]!.client
    assert.deepEqual(Buffer.from(prints!.hello!), hello)
    assert.equal(prints!.random!.length, 32)
    assert.match(prints!.ja4!, /^t13d\d{4}00_[0-9a-f]{12}_[0-9a-f]{12}$/)
    const cf = JSON.parse(seen[0]!.cf)
    assert.deepEqual(
      [cf.tlsClientHelloLength, cf.tlsClientRandom],
      [String(hello.length), hello.subarray(6, 38).toString('base64')],
    )
    assert.deepEqual(cf.botManagement, { ja3Hash: prints!.ja3, ja4: prints!.ja4 })
  })

test('clients with the same TLS have the same names, others have others', async (t) => {
  const { tlsPort, seen } = await startEdge(t, { options: { listen, certificates } })
  for (const maxVersion of ['TLSv1.3', 'TLSv1.3', 'TLSv1.2'] as const) {
    const socket = connect({ port: tlsPort, servername: 'hello.localhost', rejectUnauthorized: false, maxVersion })
    socket.write(get)
    await readAll(socket)
  }
  const [first, second, third] = seen.map(({ client }) => [client.prints!.ja3, client.prints!.ja4])
  assert.deepEqual(first, second)
  assert.notEqual(first![0], third![0])
  assert.notEqual(first![1], third![1])
})

test('how HTTP/2 begins', async (t) => {
  const { port, seen } = await start(t)
  const begin = frame(
    settings,
    0,
    0,
    Buffer.concat([set(1, 65_536), set(3, 1_000), set(4, 6_291_456)].map((one) => one.subarray(9))),
  )
  const order = Buffer.concat([
    Buffer.from([0x82]),
    literal(':authority', 'hello.localhost'),
    Buffer.from([0x86, 0x84]),
  ])
  const client = speak(
    t,
    port,
    ...[preface, begin, frame(window, 0, 0, number(15_663_105)), frame(priority, 0, 3, [0, 0, 0, 0, 200])],
    ...[frame(priority, 0, 5, [0x80, 0, 0, 3, 255]), frame(headers, both, 7, order), frame(headers, both, 9, order)],
  )
  await until(() => told(client.frames).filter((word) => word.startsWith('end')).length === 2)
  client.socket.write(frame(window, 0, 0, number(5)))
  const print = '1:65536;3:1000;4:6291456|15663105|3:0:0:201,5:1:3:256|m,a,s,p'
  assert.deepEqual(
    seen.map(({ client }) => client.prints!.http2),
    [print, print],
  )
})

test('HTTP/2 over TLS has both', async (t) => {
  const { tlsPort, seen } = await startEdge(t, { options: { listen, certificates } })
  const client = connectHttp2(`https://127.0.0.1:${tlsPort}`, {
    servername: 'hello.localhost',
    rejectUnauthorized: false,
  })
  t.after(() => client.destroy())
  await textOf(client.request({ ':path': '/', ':authority': 'hello.localhost' }))
  assert.match(seen[0]!.client.prints!.ja4!, /^t13d\d{4}h2_/)
  assert.match(seen[0]!.client.prints!.http2!, /^[\d:;]*\|\d+\|0\|[masp](,[masp]){3}$/)
})

test('who says nothing, half a hello or something else does not stay', async (t) => {
  const { tlsPort, metrics } = await startEdge(t, {
    options: { listen, certificates },
    limits: { headersTimeoutMs: 100 },
  })
  for (const bytes of ['', '\x16\x03\x01\x02', 'GET / HTTP/1.1\r\n\r\n', '\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00']) {
    const socket = connectTcp({ port: tlsPort, host: '127.0.0.1' })
    socket.write(bytes, 'latin1')
    assert.doesNotMatch(await readAll(socket), /HTTP/)
  }
  assert.match(await metrics.registry.metrics(), /rimward_refused_total\{reason="tls_handshake"\} 2/)
})
