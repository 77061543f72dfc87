/**
 * What an operator sees: one log line an exchange, counters, spans at a collector, and what programs write, live.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type RunningNode, root, startNode, until, wrangler } from './support/node.ts'

const apps = join(root, 'test/apps')
const spans: { readonly traceId: string; readonly name: string }[] = []
const collector = createServer(async (request, response) => {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  if (request.url === '/v1/traces')
    for (const { scopeSpans } of JSON.parse(text).resourceSpans)
      for (const scope of scopeSpans) spans.push(...scope.spans)
  response.end('{}')
})

let node: RunningNode
before(async () => {
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve))
  const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`
  node = await startNode(undefined, { env: { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint } })
  for (const app of ['hello', 'everything']) await wrangler(node, join(apps, app), ['deploy'])
})
after(async () => {
  await node?.stop('SIGKILL')
  collector.closeAllConnections()
  collector.close()
})

interface Line {
  readonly id?: string
  readonly path?: string
  readonly [field: string]: unknown
}

/** Lines that are exchanges, of the log on disk. */
function exchanges(of: RunningNode): Line[] {
  const text = readFileSync(join(of.data, 'log/rimward.jsonl'), 'utf8')
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line)
    .filter((line) => line.path !== undefined)
}

const withPath = (of: RunningNode, path: string) => exchanges(of).filter((line) => line.path?.startsWith(path))

test('every exchange leaves exactly one line, with the id that the client was shown', async () => {
  const cases: readonly {
    host: string
    path: string
    status: number
    line: Record<string, unknown>
  }[] = [
    { host: 'hello.localhost', path: '/one', status: 200, line: { site: 'hello', program: 'hello', bytesOut: 16 } },
    {
      host: 'everything.localhost',
      path: '/api/throw',
      status: 500,
      line: { site: 'everything', error: 'program_exception' },
    },
    { host: 'everything.localhost', path: '/index.html?file', status: 307, line: { site: 'everything' } },
    { host: 'nobody.localhost', path: '/none', status: 404, line: { error: 'no_such_site', program: undefined } },
  ]
  for (const { host, path, status, line } of cases) {
    const answer = await node.get(host, path)
    assert.equal(answer.status, status, answer.text)
    await until(() => withPath(node, path).length > 0, `a line for ${path}`)
    const [found, ...more] = withPath(node, path)
    assert.deepEqual(more, [], path)
    assert.equal(answer.headers['cf-ray'], `${found!.id}-LOCAL`)
    const { time, id, durationMs, deployment, detail, cause, start, ...fields } = found!
    assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    assert.equal(typeof durationMs, 'number')
    const known = { pop: 'local', client: '127.0.0.1', method: 'GET', scheme: 'http', httpVersion: '1.1' }
    for (const [name, value] of Object.entries({ ...known, host, status, bytesIn: 0, ...line }))
      assert.equal(fields[name], value, `${path}: ${name}`)
  }
  const refused = await node.get('hello.localhost', `/${'a'.repeat(20_000)}`)
  assert.equal(refused.status, 414)
  await until(() => exchanges(node).some((line) => line.status === 414), 'a line for what the front refused')
  assert.equal(exchanges(node).filter((line) => line.status === 414).length, 1)
})

test('queries are redacted, and what programs write is in no log of the node', async () => {
  await node.get('hello.localhost', '/redacted?token=hunter2&page=2')
  await node.get('everything.localhost', '/api/log')
  await until(() => withPath(node, '/api/log').length > 0, 'the last line')
  assert.equal(withPath(node, '/redacted')[0]!.path, '/redacted?token=*&page=*')
  const log = readFileSync(join(node.data, 'log/rimward.jsonl'), 'utf8')
  assert.doesNotMatch(log, /hunter2|a line/)
})

test('sampling and redaction as configured; errors always leave a line', async (t) => {
  const args = ['--log-sample', '0', '--log-query', 'none', '--log-address', 'network']
  const quiet = await startNode(t, { args })
  const site = { name: 'gone', origin: 'http://127.0.0.1:1', hosts: [] }
  const headers = { 'content-type': 'application/json' }
  const added = await quiet.api('/rimward/v1/sites', { method: 'POST', headers, body: JSON.stringify(site) })
  assert.ok(added.ok, await added.text())
  await quiet.get('gone.localhost', '/failed?token=hunter2')
  await until(() => exchanges(quiet).length > 0, 'a line for the failure')
  const [line] = exchanges(quiet)
  assert.deepEqual([line!.path, line!.client, line!.status], ['/failed', '127.0.0.0/24', 502])
})

test('/metrics counts by site, class and outcome, and needs no token', async () => {
  const counted = async () => {
    const text = await (await fetch(`${node.addresses.api}/metrics`)).text()
    const find = (labels: string) =>
      Number(new RegExp(`^rimward_requests_total\\{${labels}\\} (\\d+)$`, 'm').exec(text)?.[1] ?? 0)
    return {
      ok: find('site="hello",status_class="2xx",outcome="ok"'),
      thrown: find('site="everything",status_class="5xx",outcome="program"'),
    }
  }
  const earlier = await counted()
  for (let n = 0; n < 3; n++) await node.get('hello.localhost', '/counted')
  await node.get('everything.localhost', '/api/throw')
  assert.deepEqual(await counted(), { ok: earlier.ok + 3, thrown: earlier.thrown + 1 })
})

test('a span of each exchange reaches the collector, in the trace that the client began', async () => {
  const traceId = '0af7651916cd43dd8448eb211c80319c'
  await node.get('hello.localhost', '/traced', { headers: { traceparent: `00-${traceId}-b7ad6b7169203331-01` } })
  await until(() => spans.some((span) => span.traceId === traceId), 'the span came')
})

test('rimward logs: lines and exceptions as they happen, by name', { timeout: 60_000 }, async (t) => {
  for (const json of [false, true]) {
    const args = ['logs', 'everything', '--data', node.data, ...(json ? ['--json'] : [])]
    const following = spawn(process.execPath, [join(root, 'bin/rimward.mjs'), ...args], { env: { ...process.env } })
    t.after(() => following.kill('SIGKILL'))
    let out = ''
    following.stdout.on('data', (chunk) => {
      out += String(chunk)
    })
    // The reader is there once a line has come; until then lines may pass before it listens.
    await until(async () => {
      await node.get('everything.localhost', '/api/log')
      return out.includes('a line')
    }, 'a line came')
    await node.get('everything.localhost', '/api/throw')
    await until(() => out.includes('thrown on purpose'), 'the exception came')
    if (json) for (const line of out.trim().split('\n')) assert.equal(JSON.parse(line).scriptName, 'everything')
    else
      assert.match(
        out,
        /GET http:\/\/everything\.localhost[^ ]*\/api\/throw → .*exception\n {2}✘ Error: thrown on purpose/,
      )
    following.kill('SIGINT')
  }
})
