/**
 * What must never reach a site: each payload gets its status and the end of the connection, the engine sees nothing, and
 * the log has one line.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawExchange, startEdge } from './edge.fixture.ts'

const host = 'Host: hello.localhost\r\n'

/** Name, status, bytes. */
const refused: readonly (readonly [string, number, string])[] = [
  ['two Host fields', 400, `GET / HTTP/1.1\r\n${host}${host}\r\n`],
  ['two Host fields that differ', 400, `GET / HTTP/1.1\r\n${host}Host: other.localhost\r\n\r\n`],
  ['no Host on 1.1', 400, 'GET / HTTP/1.1\r\n\r\n'],
  ['empty Host', 400, 'GET / HTTP/1.1\r\nHost:\r\n\r\n'],
  ['Host with a slash', 400, 'GET / HTTP/1.1\r\nHost: hello.localhost/x\r\n\r\n'],
  ['Host with user info', 400, 'GET / HTTP/1.1\r\nHost: a@hello.localhost\r\n\r\n'],
  ['Host with a space', 400, 'GET / HTTP/1.1\r\nHost: hello.localhost x\r\n\r\n'],
  ['Host with a comma', 400, 'GET / HTTP/1.1\r\nHost: hello.localhost,other\r\n\r\n'],
  ['Host with a bad port', 400, 'GET / HTTP/1.1\r\nHost: hello.localhost:99999\r\n\r\n'],
  ['Host with two ports', 400, 'GET / HTTP/1.1\r\nHost: hello.localhost:80:80\r\n\r\n'],
  ['Host with an empty label', 400, 'GET / HTTP/1.1\r\nHost: hello..localhost\r\n\r\n'],
  ['Host with a percent sign', 400, 'GET / HTTP/1.1\r\nHost: hello%2elocalhost\r\n\r\n'],
  ['absolute URI that differs', 400, `GET http://other.localhost/ HTTP/1.1\r\n${host}\r\n`],
  ['absolute URI with another port', 400, `GET http://hello.localhost:81/ HTTP/1.1\r\n${host}\r\n`],
  ['absolute URI with user info', 400, `GET http://a@hello.localhost/ HTTP/1.1\r\n${host}\r\n`],
  ['absolute URI of another scheme', 400, `GET https://hello.localhost/ HTTP/1.1\r\n${host}\r\n`],
  ['asterisk', 400, `OPTIONS * HTTP/1.1\r\n${host}\r\n`],
  ['fragment', 400, `GET /a#b HTTP/1.1\r\n${host}\r\n`],
  ['HTTP/0.9 text', 400, 'GET /\r\n\r\n'],
  ['HTTP/0.9', 400, `GET / HTTP/0.9\r\n${host}\r\n`],
  ['HTTP/2.0 text', 400, `GET / HTTP/2.0\r\n${host}\r\n`],
  ['HTTP/3.0 text', 400, `GET / HTTP/3.0\r\n${host}\r\n`],
  ['TE on 1.0', 400, `POST / HTTP/1.0\r\n${host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['gzip, chunked', 400, `POST / HTTP/1.1\r\n${host}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
  ['chunked, chunked', 400, `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`],
  [
    'two TE',
    400,
    `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  ],
  ['TE identity', 400, `POST / HTTP/1.1\r\n${host}Transfer-Encoding: identity\r\n\r\n`],
  ['TE xchunked', 400, `POST / HTTP/1.1\r\n${host}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
  ['CL and TE', 400, `POST / HTTP/1.1\r\n${host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['TE and CL', 400, `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`],
  ['two CL that differ', 400, `POST / HTTP/1.1\r\n${host}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`],
  ['two equal CL', 400, `POST / HTTP/1.1\r\n${host}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`],
  ['CL with a sign', 400, `POST / HTTP/1.1\r\n${host}Content-Length: +5\r\n\r\nhello`],
  ['CL list', 400, `POST / HTTP/1.1\r\n${host}Content-Length: 5, 5\r\n\r\nhello`],
  ['CL negative', 400, `POST / HTTP/1.1\r\n${host}Content-Length: -1\r\n\r\n`],
  ['obs-fold', 400, `GET / HTTP/1.1\r\n${host}X: a\r\n b\r\n\r\n`],
  ['bare LF', 400, `GET / HTTP/1.1\n${host}\n`],
  ['space before colon', 400, `GET / HTTP/1.1\r\n${host}X : a\r\n\r\n`],
  ['NUL in a value', 400, `GET / HTTP/1.1\r\n${host}X: a\0b\r\n\r\n`],
  ['odd Expect', 417, `POST / HTTP/1.1\r\n${host}Expect: 200-ok\r\nContent-Length: 0\r\n\r\n`],
  ['CONNECT', 405, 'CONNECT hello.localhost:443 HTTP/1.1\r\nHost: hello.localhost:443\r\n\r\n'],
  ['CONNECT with a body', 405, `CONNECT hello.localhost:443 HTTP/1.1\r\n${host}Content-Length: 5\r\n\r\nhe`],
  ['CONNECT, chunked', 405, `CONNECT hello.localhost:443 HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n`],
  ['TRACE', 405, `TRACE / HTTP/1.1\r\n${host}\r\n`],
  ['URL too long', 414, `GET /${'a'.repeat(600)} HTTP/1.1\r\n${host}\r\n`],
  ['too many fields', 431, `GET / HTTP/1.1\r\n${host}${'X: y\r\n'.repeat(40)}\r\n`],
  ['one field too large', 431, `GET / HTTP/1.1\r\n${host}X: ${'y'.repeat(2100)}\r\n\r\n`],
  ['head far too large', 431, `GET / HTTP/1.1\r\n${host}X: ${'y'.repeat(9000)}\r\n\r\n`],
  ['body too large, declared', 413, `POST / HTTP/1.1\r\n${host}Content-Length: 1001\r\n\r\n`],
]

const limits = { urlBytes: 512, headerBytes: 2048, headerCount: 32, requestBodyBytes: 1000 }

for (const [name, status, bytes] of refused)
  test(`refused: ${name}`, async (t) => {
    const { port, seen, logged } = await startEdge(t, { limits })
    const text = await rawExchange(port, bytes)
    assert.match(text, new RegExp(`^HTTP/1.1 ${status} `), text.slice(0, 300))
    assert.match(text, /connection: close/i)
    assert.equal(seen.length, 0)
    const [line] = await logged(1)
    assert.equal(line!.status, status)
    assert.match(text, new RegExp(line!.id), 'page and log share the id')
  })

const passed: readonly (readonly [string, string, string])[] = [
  ['trailing dot', 'Host: hello.localhost.', '/'],
  ['upper case', 'Host: HELLO.LocalHost', '/'],
  ['port', 'Host: hello.localhost:8080', '/'],
  ['absolute URI equal to Host', 'Host: hello.localhost', 'http://HELLO.localhost:80/'],
]
for (const [name, field, target] of passed)
  test(`passed: ${name}`, async (t) => {
    const { port, seen } = await startEdge(t)
    const text = await rawExchange(port, `GET ${target} HTTP/1.1\r\n${field}\r\nConnection: close\r\n\r\n`)
    assert.match(text, /^HTTP\/1.1 200 /)
    assert.equal(seen[0]!.path, '/')
  })

test('a host nobody has gets 404 and a page that says so', async (t) => {
  const { port, seen, logged } = await startEdge(t)
  const text = await rawExchange(port, 'GET / HTTP/1.1\r\nHost: nobody.example\r\nConnection: close\r\n\r\n')
  assert.match(text, /^HTTP\/1.1 404 /)
  assert.match(text, /No site on this platform is called nobody\.example/)
  assert.equal(seen.length, 0)
  assert.equal((await logged(1))[0]!.error, 'no_such_site')
})

test('nothing behind a refused request is a request', async (t) => {
  const { port, seen, logged } = await startEdge(t)
  const good = `GET /evil HTTP/1.1\r\n${host}\r\n`
  const text = await rawExchange(port, `GET / HTTP/1.1\r\n${host}${host}\r\n${good}${good}`)
  assert.match(text, /^HTTP\/1.1 400 /)
  assert.equal(text.match(/HTTP\/1.1/g)!.length, 1)
  assert.equal(seen.length, 0)
  assert.equal((await logged(1)).length, 1)
})

test('garbage behind a request does not harm its answer, and ends the connection', async (t) => {
  for (const fastHttp1 of [true, false])
    for (const more of ['', 'Connection: close\r\n']) {
      const { port, seen, logged } = await startEdge(t, { options: { fastHttp1 } })
      const text = await rawExchange(port, `GET / HTTP/1.1\r\n${host}${more}\r\nGARBAGE here\r\n\r\n`)
      // Read one after the other, what follows is a request of its own and gets its own refusal.
      const second = fastHttp1 && more === ''
      assert.match(text, second ? /^HTTP\/1.1 200 [\s\S]*helloHTTP\/1.1 400 /i : /^HTTP\/1.1 200 [\s\S]*hello$/i)
      assert.match(text, /connection: close/i)
      assert.equal(seen.length, 1)
      assert.equal((await logged(second ? 2 : 1)).length, second ? 2 : 1)
    }
})

test('pipelined requests are answered in order, and no more at once than HTTP/2 would have streams', async (t) => {
  const { port, seen } = await startEdge(t, { limits: { streamsPerConnection: 3 }, options: { fastHttp1: false } })
  const get = (path: string) => `GET ${path} HTTP/1.1\r\n${host}\r\n`
  const text = await rawExchange(port, ['/1', '/2', '/3', '/4', '/5'].map(get).join(''))
  assert.deepEqual(text.match(/HTTP\/1.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 503'])
  assert.deepEqual(
    seen.map(({ path }) => path),
    ['/1', '/2', '/3'],
  )
})
