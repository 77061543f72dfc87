import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { get } from 'node:http'
import { connect } from 'node:http2'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import type { AnswerPolicy } from '#/core/answer-policy.ts'
import { aSite, aSnapshot, hello, type Run, rawExchange, startEdge } from './edge.fixture.ts'

const page = Buffer.from('<p>a page that says the same again and again</p>\n'.repeat(400))
const aPage: Run = () => hello({ headers: ['content-type', 'text/html', 'etag', '"one"'], body: page })

function startSite(t: TestContext, answers: AnswerPolicy | undefined, run: Run = aPage) {
  const snapshot = aSnapshot([aSite(answers === undefined ? {} : { answers })])
  return startEdge(t, { run, options: { snapshot: () => snapshot } })
}

async function curl(port: number, ...more: string[]): Promise<{ head: string; body: Buffer }> {
  const url = `http://hello.localhost:${port}/`
  const { stdout } = await promisify(execFile)(
    'curl',
    ['-sSi', '--resolve', `hello.localhost:${port}:127.0.0.1`, url, ...more],
    {
      encoding: 'buffer',
    },
  )
  const end = stdout.indexOf('\r\n\r\n')
  return { head: stdout.subarray(0, end).toString('latin1').toLowerCase(), body: stdout.subarray(end + 4) }
}

test('curl reads what it asked for', async (t) => {
  const { port, lines, logged } = await startSite(t, undefined)
  for (const coding of ['gzip', 'br', 'zstd']) {
    const { head, body } = await curl(port, '--compressed', '-H', `Accept-Encoding: ${coding}`)
    assert.match(head, new RegExp(`content-encoding: ${coding}`))
    assert.match(head, /vary: accept-encoding/)
    assert.match(head, /etag: w\/"one"/)
    assert.deepEqual(body, page)
  }
  const { head, body } = await curl(port)
  assert.doesNotMatch(head, /content-encoding/)
  assert.match(head, /vary: accept-encoding/)
  assert.deepEqual(body, page)
  await logged(4)
  assert.ok(lines[0]!.bytesOut! < page.length / 5, 'the log counts the bytes that were sent')
})

test('a site without compression', async (t) => {
  const { port } = await startSite(t, { compression: 'off' })
  const { head } = await curl(port, '-H', 'Accept-Encoding: gzip')
  assert.doesNotMatch(head, /content-encoding|vary/)
})

test('redirects come before the program, header rules after it', async (t) => {
  const { port, seen } = await startSite(t, {
    redirects: [{ from: '/old/*', to: '/new/:splat', status: 301 }],
    headers: [{ action: 'set', name: 'x-frame-options', value: 'DENY' }],
  })
  const moved = await rawExchange(port, 'GET /old/a?b HTTP/1.1\r\nHost: hello.localhost\r\nConnection: close\r\n\r\n')
  assert.match(moved, /^HTTP\/1\.1 301 /)
  assert.match(moved, /\r\nlocation: \/new\/a\?b\r\n/)
  assert.match(moved, /\r\nx-frame-options: DENY\r\n/)
  assert.equal(seen.length, 0)
  const { head } = await curl(port)
  assert.match(head, /x-frame-options: deny/)
})

test('cleartext is sent to HTTPS', async (t) => {
  const { port, seen } = await startSite(t, { httpsRedirect: true, hsts: { maxAge: 60 } })
  const { head } = await curl(port)
  assert.match(head, /^http\/1\.1 301 /)
  assert.match(head, /\r\nlocation: https:\/\/hello.localhost\/\r\n/)
  assert.doesNotMatch(head, /strict-transport-security/)
  assert.equal(seen.length, 0)
})

test('the second visit hears of the links before the page is made', async (t) => {
  const link = '</a.css>; rel=preload; as=style'
  let answer = Promise.withResolvers<void>()
  const { port } = await startSite(t, { earlyHints: 'always' }, async () => {
    await answer.promise
    return hello({ headers: ['content-type', 'text/html', 'link', link] })
  })
  const visit = (onHint: (headers: Record<string, unknown>) => void) =>
    new Promise<void>((resolve, reject) => {
      const request = get({ port, host: '127.0.0.1', headers: { host: 'hello.localhost' } }, (response) =>
        response.resume().on('end', resolve),
      )
      request.on('information', (info) => onHint(info.headers)).on('error', reject)
    })
  answer.resolve()
  await visit(() => assert.fail('nothing is known yet'))
  answer = Promise.withResolvers()
  let heard: unknown
  // The program answers only once the hint is here: it came first.
  await visit((headers) => {
    heard = headers.link
    answer.resolve()
  })
  assert.equal(heard, link)
})

test('on HTTP/2 hints are sent by default, also those of the header rules, and never on HTTP/1.1', async (t) => {
  const link = '</a.css>; rel=preload'
  const run: Run = () => hello({ headers: ['content-type', 'text/html'] })
  const { port } = await startSite(t, { headers: [{ action: 'add', name: 'link', value: link }] }, run)
  const client = connect(`http://127.0.0.1:${port}`)
  t.after(() => client.destroy())
  const visit = () =>
    new Promise<unknown[]>((resolve, reject) => {
      const heard: unknown[] = []
      const stream = client.request({ ':authority': 'hello.localhost', ':path': '/' })
      stream.on('headers', (headers) => heard.push(headers[':status'], headers.link))
      stream.on('error', reject).on('close', () => resolve(heard))
      stream.resume().end()
    })
  assert.deepEqual(await visit(), [])
  assert.deepEqual(await visit(), [103, link])
  const { head } = await curl(port)
  assert.match(head, /^http\/1\.1 200 /)
})
