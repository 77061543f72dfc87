/**
 * The scanner against node:http: whatever it accepts, node:http reads the same, from the first byte to the last. Requests
 * are generated and mutated from a seed, so that a failure can be repeated.
 */
import assert from 'node:assert/strict'
import { createServer, type IncomingMessage } from 'node:http'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { EdgeError } from '#/core/errors.ts'
import { defaultLimits } from '#/core/limits.ts'
import { readHead } from './read-head.ts'
import { type ScannedHead, scanHead } from './scan-head.ts'

const scan = (text: string, limits = defaultLimits) => scanHead(text, limits, { text: '', fields: undefined })

const host = 'Host: hello.localhost\r\n'

test('plain requests are read', () => {
  const text = `GET /a?b=c HTTP/1.1\r\nHost: Hello.localhost:80\r\nX:1\r\nAccept:   */*, a b\r\nConnection: Close\r\n\r\nGET`
  assert.deepEqual(scan(text), {
    method: 'GET',
    path: '/a?b=c',
    authority: 'Hello.localhost:80',
    host: 'hello.localhost',
    headers: ['Host', 'Hello.localhost:80', 'X', '1', 'Accept', '*/*, a b', 'Connection', 'Close'],
    closes: true,
    length: text.length - 3,
    hasBody: false,
    contentLength: 0,
    wantsUpgrade: false,
  })
  assert.equal(scan(`HEAD / HTTP/1.1\r\n${host}\r\n`)?.method, 'HEAD')
})

/** Name and bytes; none of them is the scanner's to read. */
const foreign: readonly (readonly [string, string])[] = [
  ['nothing', ''],
  ['half a method', 'GE'],
  ['half a head', `GET / HTTP/1.1\r\n${host}`],
  ['half a line end', `GET / HTTP/1.1\r\n${host}\r`],
  ['POST', `POST / HTTP/1.1\r\n${host}\r\n`],
  ['lower case method', `get / HTTP/1.1\r\n${host}\r\n`],
  ['line end before', `\r\nGET / HTTP/1.1\r\n${host}\r\n`],
  ['space before', ` GET / HTTP/1.1\r\n${host}\r\n`],
  ['two spaces', `GET  / HTTP/1.1\r\n${host}\r\n`],
  ['two spaces behind', `GET /  HTTP/1.1\r\n${host}\r\n`],
  ['tab', `GET\t/ HTTP/1.1\r\n${host}\r\n`],
  ['1.0', `GET / HTTP/1.0\r\n${host}\r\n`],
  ['1.1 and a space', `GET / HTTP/1.1 \r\n${host}\r\n`],
  ['absolute URI', `GET http://hello.localhost/ HTTP/1.1\r\n${host}\r\n`],
  ['fragment', `GET /# HTTP/1.1\r\n${host}\r\n`],
  ['high byte in the path', `GET /\xe4 HTTP/1.1\r\n${host}\r\n`],
  ['bare LF', `GET / HTTP/1.1\n${host}\n`],
  ['bare CR', `GET / HTTP/1.1\r${host}\r\n`],
  ['no Host', 'GET / HTTP/1.1\r\n\r\n'],
  ['two Hosts', `GET / HTTP/1.1\r\n${host}${host}\r\n`],
  ['odd Host', 'GET / HTTP/1.1\r\nHost: a@b\r\n\r\n'],
  ['empty Host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n'],
  ['space before the colon', `GET / HTTP/1.1\r\n${host}X : 1\r\n\r\n`],
  ['fold', `GET / HTTP/1.1\r\n${host}X: 1\r\n 2\r\n\r\n`],
  ['fold at once', `GET / HTTP/1.1\r\n X: 1\r\n${host}\r\n`],
  ['space behind a value', `GET / HTTP/1.1\r\n${host}X: 1 \r\n\r\n`],
  ['tab in a value', `GET / HTTP/1.1\r\n${host}X: 1\t2\r\n\r\n`],
  ['high byte in a value', `GET / HTTP/1.1\r\n${host}X: \xe4\r\n\r\n`],
  ['NUL', `GET / HTTP/1.1\r\n${host}X: \0\r\n\r\n`],
  ['no name', `GET / HTTP/1.1\r\n${host}: 1\r\n\r\n`],
  ['no colon', `GET / HTTP/1.1\r\n${host}X\r\n\r\n`],
  ['empty value', `GET / HTTP/1.1\r\n${host}X:\r\n\r\n`],
  ['odd Connection', `GET / HTTP/1.1\r\n${host}Connection: keep-alive, X\r\n\r\n`],
  ['two Connections', `GET / HTTP/1.1\r\n${host}Connection: close\r\nConnection: close\r\n\r\n`],
  ...[
    'Content-Length: 0',
    'Transfer-Encoding: chunked',
    'Upgrade: websocket',
    'Expect: 100-continue',
    'TE: trailers',
  ].map((field) => [field, `GET / HTTP/1.1\r\n${host}${field}\r\n\r\n`] as const),
  ...['Trailer: x', 'HTTP2-Settings: x', 'Proxy-Connection: close', 'cONTENT-lENGTH: 5'].map(
    (field) => [field, `GET / HTTP/1.1\r\n${host}${field}\r\n\r\n`] as const,
  ),
]
for (const [name, text] of foreign) test(`left to node:http: ${name}`, () => assert.equal(scan(text), undefined))

test('limits are those of the other reader', () => {
  const limits = { ...defaultLimits, urlBytes: 10, headerBytes: 60, headerCount: 2 }
  const cases: [string, boolean][] = [
    [`GET /23456789a HTTP/1.1\r\n${host}\r\n`, true],
    [`GET /23456789ab HTTP/1.1\r\n${host}\r\n`, false],
    [`GET / HTTP/1.1\r\n${host}X: ${'y'.repeat(30)}\r\n\r\n`, true],
    [`GET / HTTP/1.1\r\n${host}X: ${'y'.repeat(33)}\r\n\r\n`, false],
    [`GET / HTTP/1.1\r\n${host}a: b\r\n\r\n`, true],
    [`GET / HTTP/1.1\r\n${host}a: b\r\nc: d\r\n\r\n`, false],
  ]
  for (const [text, read] of cases) {
    const head = scan(text, limits)
    if (!read) assert.equal(head, undefined, text)
    else assert.ok(head !== undefined && !(asReadByRules(head, limits) instanceof EdgeError), text)
  }
})

test('what a connection remembers changes nothing', () => {
  const memo = { text: '', fields: undefined }
  const others = ['', 'X: 1\r\n', 'X: 2\r\n', 'Connection: close\r\n'].flatMap((field) => [
    `GET /a HTTP/1.1\r\n${host}${field}\r\n`,
    `GET /a HTTP/1.1\r\n${host}${field}\r\nGET /b HTTP/1.1\r\n${host}\r\n`,
    `HEAD /b HTTP/1.1\r\n${host}${field}\r\nX`,
    `GET /c HTTP/1.1\r\n${host}${field}\r`,
    `GET /c HTTP/1.1\r\n${host}${field}Y: z\r\n\r\n`,
  ])
  for (const text of [...others, ...foreign.map(([, one]) => one)])
    for (const primer of others) {
      scanHead(primer, defaultLimits, memo)
      assert.deepEqual(scanHead(text, defaultLimits, memo), scan(text), text)
    }
})

function asReadByRules(head: ScannedHead, limits = defaultLimits): ReturnType<typeof readHead> {
  const { method, headers, path } = head
  return readHead({ method, target: path, httpVersion: '1.1', scheme: 'http', headers }, limits)
}

// ─── Comparison ──────────────────────────────────────────────────────────────────────────────────────────────────

/** A connection in memory that says its text and ends. */
class Script extends Duplex {
  constructor(text: string) {
    super({ read() {}, write: (_chunk, _encoding, done) => done() })
    this.push(Buffer.from(text, 'latin1'))
  }
}

interface Seen {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly httpVersion: string
  readonly headers: string[]
  readonly keeps: boolean
  readonly bodyBytes: number
}

/** What node:http makes of a text: its requests in order, and the error that stopped it. */
async function readByNode(text: string): Promise<{ seen: Seen[]; error: string | undefined }> {
  const seen: Seen[] = []
  let error: string | undefined
  const server = createServer({ requireHostHeader: false, insecureHTTPParser: false })
  server.maxHeadersCount = defaultLimits.headerCount + 1
  const answered: Promise<void>[] = []
  server.on('request', (request: IncomingMessage, response) => {
    let bodyBytes = 0
    request.on('data', (chunk: Buffer) => {
      bodyBytes += chunk.length
    })
    answered.push(
      new Promise((resolve) =>
        request.on('close', resolve).on('end', () => {
          const { method, url, httpVersion, rawHeaders } = request
          seen.push({ method, url, httpVersion, headers: rawHeaders, keeps: response.shouldKeepAlive, bodyBytes })
          response.end()
        }),
      ),
    )
  })
  server.on('clientError', (cause: Error & { code?: string }) => {
    error = cause.code
  })
  const socket = new Script(text)
  server.emit('connection', socket)
  await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setImmediate(resolve))
  socket.destroy()
  server.close()
  await Promise.all(answered)
  return { seen, error }
}

/** Mulberry32: the same numbers for the same seed. */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

const lines = [
  ...['Host: hello.localhost', 'host:hello.localhost:80', 'Host: [::1]', 'Accept: */*', 'Cookie: a=1; b="2"', 'X-A: b'],
  ...['Connection: keep-alive', 'Connection: close', 'connection: CLOSE', 'User-Agent: curl/8', 'If-None-Match: "x"'],
  ...['Content-Length: 0', 'Content-Length: 5', 'Transfer-Encoding: chunked', 'TE: trailers', 'Upgrade: websocket'],
  ...['Expect: 100-continue', 'Proxy-Connection: close', 'Keep-Alive: timeout=5', 'X: ', 'Y:', 'Range: bytes=0-1'],
]
const insertions = [
  '\r',
  '\n',
  '\r\n',
  ' ',
  '\t',
  '\0',
  ':',
  '\x7f',
  '\x80',
  '\xff',
  '#',
  '\x0b',
  ',',
  'GET / HTTP/1.1',
]

function generate(next: () => number): string {
  const pick = <One>(list: readonly One[]): One => list[Math.floor(next() * list.length)]!
  const fields = Array.from({ length: Math.floor(next() * 6) }, () => pick(next() < 0.7 ? lines.slice(0, 11) : lines))
  if (next() < 0.8) fields.push('Host: hello.localhost')
  const target = pick(['/', '/a', '/a?b=c', '//x', '/%zz', '/"<>\\^`{|}', '/a;b=[c]', '/~!$&()*+,-.:=@_'])
  let text = `${pick(['GET', 'GET', 'HEAD', 'POST'])} ${target} HTTP/1.1\r\n${fields.map((field) => `${field}\r\n`).join('')}\r\n`
  for (let count = Math.floor(next() * 3); count > 0 && next() < 0.7; count--) {
    const at = Math.floor(next() * text.length)
    const kind = next()
    if (kind < 0.4) text = text.slice(0, at) + pick(insertions) + text.slice(at)
    else if (kind < 0.6) text = text.slice(0, at) + text.slice(at + 1)
    else if (kind < 0.8) text = text.slice(0, at) + String.fromCharCode(Math.floor(next() * 256)) + text.slice(at + 1)
    else text = text.slice(0, at) + text.slice(at, at + 8).toUpperCase() + text.slice(at + 8)
  }
  return text
}

const sentinel = 'GET /sentinel HTTP/1.1\r\nHost: sentinel\r\n\r\n'

test('whatever the scanner accepts, node:http reads the same and ends it at the same byte', async () => {
  const seed = Number(process.env.RIMWARD_FUZZ_SEED ?? 20_261_123)
  const cases = Number(process.env.RIMWARD_FUZZ_CASES ?? 6_000)
  const next = random(seed)
  let accepted = 0
  for (let number = 0; number < cases; number++) {
    const text = generate(next)
    const head = scan(text)
    if (head === undefined) continue
    accepted++
    const label = `seed ${seed}, case ${number}: ${JSON.stringify(text)}`
    const { seen } = await readByNode(text.slice(0, head.length) + sentinel)
    const first = seen[0]
    assert.deepEqual(
      first && { ...first },
      {
        method: head.method,
        url: head.path,
        httpVersion: '1.1',
        headers: head.headers,
        keeps: !head.closes,
        bodyBytes: 0,
      },
      label,
    )
    // Behind a request that closes node:http reads nothing; behind any other the next begins where this one ended.
    if (!head.closes) assert.equal(seen[1]?.url, '/sentinel', label)
    assert.equal(seen.length, head.closes ? 1 : 2, label)
    const { method: _method, headers: _headers, closes: _closes, length: _length, ...rest } = head
    assert.deepEqual(asReadByRules(head), rest, label)
  }
  assert.ok(accepted > cases / 10, `${accepted} of ${cases} accepted: the comparison would prove little`)
})
