/**
 * HTTP/1 on the socket itself: order, framing, silence, slow readers, and the way over to node:http.
 */
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { hello, rawExchange, readAll, type Started, type StartOptions, startEdge, until } from './edge.fixture.ts'

const host = 'Host: hello.localhost\r\n'
const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\n${host}${more}\r\n`
const post = (path: string, body: string, more = '') =>
  `POST ${path} HTTP/1.1\r\n${host}Content-Length: ${body.length}\r\n${more}\r\n${body}`
const close = 'Connection: close\r\n'

function open(t: TestContext, port: number): Socket {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => {})
  t.after(() => socket.destroy())
  return socket
}

const tick = () => new Promise((resolve) => setTimeout(resolve, 5))

test('an answer has a date, a length and the state of the connection, once each', async (t) => {
  const { port } = await startEdge(t, {
    run: ({ path }) => hello(path === '/own' ? { headers: ['Date', 'Mon, 02 Nov 2026 10:00:00 GMT'] } : {}),
  })
  const kept = await rawExchange(port, get('/') + get('/own', close))
  const [first, second] = kept.split('HTTP/1.1 200 OK\r\n').slice(1)
  assert.match(first!, /\r\nDate: \w{3}, [^\r]+ GMT\r\nConnection: keep-alive\r\nKeep-Alive: timeout=75\r\n\r\nhello$/)
  assert.equal(second!.match(/date: /gi)?.length, 1)
  assert.match(second!, /Connection: close\r\n\r\nhello$/)
})

test('both readers serve the same answers to the same requests', async (t) => {
  const run: StartOptions['run'] = ({ path, method }) => {
    if (path === '/stream') return hello({ body: Readable.from([Buffer.from('streamed')]) })
    if (path === '/empty') return hello({ status: 204, body: null })
    if (path === '/big') return hello({ body: Buffer.alloc(300_000, 'z') })
    if (path === '/text') return hello({ statusText: 'Fine' })
    return hello({ body: Buffer.from(`${method} ${path} äöü`) })
  }
  const fast = await startEdge(t, { run })
  const node = await startEdge(t, { run, options: { fastHttp1: false } })
  const bytes = ['/', '/stream', '/empty', '/big', '/text'].map((path) => get(path)).join('')
  const wanted = `${bytes}HEAD /stream HTTP/1.1\r\n${host}\r\n${get('/last', close)}`
  const plain = (text: string) => text.replace(/(date|cf-ray): [^\r]+/gi, '$1').toLowerCase()
  const one = async ({ port }: Started) => plain(await rawExchange(port, wanted))
  const fields = (text: string) => text.split('\r\n').sort().join('\n')
  assert.ok(fields(await one(fast)) === fields(await one(node)))
})

test('what is not plain goes to node:http with everything behind it, in order', async (t) => {
  const { port, seen, logged } = await startEdge(t)
  const bytes = get('/1') + get('/2') + post('/3', 'body') + get('/4') + get('/5', close)
  const text = await rawExchange(port, bytes)
  assert.equal(text.match(/HTTP\/1.1 200/g)?.length, 5)
  assert.deepEqual(
    seen.map(({ path }) => path),
    ['/1', '/2', '/3', '/4', '/5'],
  )
  assert.equal((await logged(5)).length, 5)
})

test('a head in pieces is read, however it is cut', async (t) => {
  const { port, seen } = await startEdge(t)
  const bytes = get('/1') + get('/2') + get('/3', close)
  for (let cut = 1; cut < bytes.length; cut += 7) {
    const socket = open(t, port)
    const all = readAll(socket)
    socket.setNoDelay(true)
    await new Promise((resolve) => socket.write(bytes.slice(0, cut), resolve))
    await new Promise((resolve) => setImmediate(resolve))
    socket.write(bytes.slice(cut))
    assert.equal((await all).match(/HTTP\/1.1 200/g)?.length, 3, `cut at ${cut}`)
  }
  assert.equal(seen.length % 3, 0)
})

test('pipelined requests wait for the answer before them, and only so many bytes of them are held', async (t) => {
  const answers: (() => void)[] = []
  const { port, seen } = await startEdge(t, {
    limits: { headerBytes: 4096 },
    run: () => new Promise((resolve) => answers.push(() => resolve(hello()))),
  })
  const socket = open(t, port)
  const all = readAll(socket)
  // 20 MB: more than the kernel's buffers of both sides take, however far they grow.
  const count = 20_000
  const long = 'x'.repeat(1000)
  for (let number = 0; number < count; number++) socket.write(get(`/${long}${number}`))
  socket.write(get('/last', close))
  await until(() => answers.length === 1)
  // The server stops reading, so the client cannot get rid of its bytes.
  await until(() => socket.writableLength > 0)
  assert.equal(seen.length, 1)
  socket.destroy()
  await all
  answers[0]!()
})

test('a client that pipelines and does not read is not answered ahead', async (t) => {
  const { port, seen, metrics, logged } = await startEdge(t, {
    limits: { responseIdleTimeoutMs: 100 },
    run: () => hello({ body: Buffer.alloc(4_000_000) }),
  })
  const socket = open(t, port)
  socket.pause()
  socket.write(get('/').repeat(50))
  while (!/rimward_connections_total 1\n/.test(await metrics.registry.metrics())) await tick()
  while (!/rimward_connections 0\n/.test(await metrics.registry.metrics())) await tick()
  assert.ok(seen.length < 10, `${seen.length} answers were made for nobody`)
  assert.equal((await logged(seen.length)).length, seen.length)
})

test('silence ends a connection: before the first request, and between two', async (t) => {
  const { port, lines } = await startEdge(t, { limits: { headersTimeoutMs: 60, keepAliveTimeoutMs: 60 } })
  assert.equal(await rawExchange(port, ''), '')
  assert.match(await rawExchange(port, get('/')), /hello$/)
  assert.match(await rawExchange(port, `${get('/')}GET / HT`), /hello[\s\S]*408/)
  assert.equal(lines.length, 3)
})

test('a stream is sent in chunks or to its length, and cut when it breaks off', async (t) => {
  const broken = () =>
    new Readable({
      read() {
        this.push('part')
        setImmediate(() => this.destroy(new Error('gone')))
      },
    })
  const { port, logged } = await startEdge(t, {
    run: ({ path }) => {
      if (path === '/broken') return hello({ body: broken() })
      const parts = [Buffer.alloc(0), Buffer.from('ab'), Buffer.alloc(70_000, 'c')]
      return hello({ headers: path === '/known' ? ['content-length', '70002'] : [], body: Readable.from(parts) })
    },
  })
  const known = await rawExchange(port, get('/known', close))
  assert.equal(known.length - known.indexOf('\r\n\r\n') - 4, 70_002)
  const chunked = await rawExchange(port, get('/') + get('/', close))
  assert.equal(chunked.match(/\r\n\r\n2\r\nab\r\n11170\r\nc{70000}\r\n0\r\n\r\n/g)?.length, 2)
  assert.doesNotMatch(await rawExchange(port, get('/broken')), /\r\n0\r\n\r\n$/)
  assert.equal((await logged(4))[3]!.error, 'origin_failed')
})

test('nothing that a program says late or malformed reaches the connection', async (t) => {
  let late: () => void = () => {}
  const { port, logged } = await startEdge(t, {
    run: (request) => {
      if (request.path === '/late') late = () => request.onInformational?.(103, ['link', '</a>'])
      else late()
      if (request.path === '/value') return hello({ headers: ['x', 'a\r\nb: c'] })
      if (request.path === '/name') return hello({ headers: ['x y', 'a'] })
      if (request.path === '/text') return hello({ statusText: 'a\r\nb: c' })
      if (request.path === '/early') request.onInformational?.(103, ['link', 'a\r\n\r\n'])
      return hello()
    },
  })
  const text = await rawExchange(
    port,
    ['/late', '/value', '/name', '/text', '/early'].map((path) => get(path)).join('') + get('/', close),
  )
  assert.deepEqual(
    text.match(/HTTP\/1.1 \d+/g)?.map((line) => line.slice(9)),
    ['200', '500', '500', '500', '200', '200'],
  )
  assert.doesNotMatch(text, /^b: c/m)
  assert.deepEqual(
    (await logged(6)).map((line) => line.error),
    [undefined, 'program_exception', 'program_exception', 'program_exception', undefined, undefined],
  )
})
