/** Cache settings, request settings, health checks and gzip of a service, before the real cache of a real node. */
import assert from 'node:assert/strict'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { fastly } from '../support/fastly.ts'
import { type RunningNode, startNode, until } from '../support/node.ts'

const host = 'cached.example.test'

async function startOrigin(t: TestContext, name: string) {
  const counts = new Map<string, number>()
  const state = { up: true }
  const seen: IncomingMessage[] = []
  const server = createServer((request, response) => {
    const url = request.url ?? ''
    counts.set(url, (counts.get(url) ?? 0) + 1)
    seen.push(request)
    if (url === '/up') response.writeHead(state.up ? 200 : 500)
    else if (url.startsWith('/missing')) response.writeHead(404, { 'cache-control': 'no-cache' })
    else if (url.startsWith('/private')) response.writeHead(200, { 'cache-control': 'max-age=60', 'x-kind': 'private' })
    else response.writeHead(200, { 'cache-control': 'no-cache', 'content-type': 'text/html' })
    response.end(`${name} ${'text '.repeat(200)}`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, counts, state, seen }
}

async function api(node: RunningNode, method: string, path: string, fields: Record<string, string> = {}) {
  const answer = await node.api(path, { method, ...(method === 'POST' && { body: new URLSearchParams(fields) }) })
  const text = await answer.text()
  assert.equal(answer.status, 200, `${method} ${path}: ${text}`)
  return JSON.parse(text)
}

test('what a service says of caching is what the cache does', async (t) => {
  const [one, two] = [await startOrigin(t, 'one'), await startOrigin(t, 'two')]
  const node = await startNode(t)
  const { id } = await api(node, 'POST', '/service', { name: 'cached', type: 'vcl' })
  const at = `/service/${id}/version/1`
  const parts: [string, Record<string, string>][] = [
    ['domain', { name: host }],
    ['healthcheck', { name: 'up', path: '/up', check_interval: '1000', window: '1', threshold: '1', initial: '1' }],
    [
      'backend',
      { name: 'one', address: '127.0.0.1', port: String(one.port), auto_loadbalance: '1', healthcheck: 'up' },
    ],
    [
      'backend',
      { name: 'two', address: '127.0.0.1', port: String(two.port), auto_loadbalance: '1', healthcheck: 'up' },
    ],
    ['condition', { name: 'missing', type: 'CACHE', statement: 'beresp.status == 404', priority: '1' }],
    ['condition', { name: 'private', type: 'CACHE', statement: 'beresp.http.X-Kind == "private"', priority: '2' }],
    ['condition', { name: 'long', type: 'CACHE', statement: 'req.url ~ "^/long"', priority: '3' }],
    ['condition', { name: 'fresh', type: 'REQUEST', statement: 'req.http.X-Fresh' }],
    ['condition', { name: 'pass', type: 'REQUEST', statement: 'req.url ~ "^/long/pass"' }],
    ['cache_settings', { name: 'missing', ttl: '60', cache_condition: 'missing' }],
    ['cache_settings', { name: 'private', action: 'pass', cache_condition: 'private' }],
    ['cache_settings', { name: 'long', action: 'cache', ttl: '600', cache_condition: 'long' }],
    ['request_settings', { name: 'fresh', force_miss: '1', request_condition: 'fresh' }],
    ['request_settings', { name: 'pass', action: 'pass', request_condition: 'pass' }],
    ['gzip', { name: 'text' }],
    ['condition', { name: 'named', type: 'REQUEST', statement: 'req.url ~ "named"' }],
    [
      'header',
      {
        name: 'server',
        type: 'request',
        action: 'set',
        dst: 'http.X-Forwarded-Server',
        src: '"edge"',
        request_condition: 'named',
      },
    ],
  ]
  for (const [kind, fields] of parts) await api(node, 'POST', `${at}/${kind}`, fields)
  await api(node, 'PUT', `${at}/activate`)

  const asked = (path: string) => (one.counts.get(path) ?? 0) + (two.counts.get(path) ?? 0)
  const twice = async (path: string, headers: Record<string, string> = {}) => {
    await node.get(host, path)
    await node.get(host, path, { headers })
    return asked(path)
  }
  assert.equal(await twice('/plain'), 2, 'no-cache of the origin')
  assert.equal(await twice('/long'), 1, 'a time to live of our own, decided by the request')
  assert.equal(await twice('/missing'), 1, 'a time to live of our own, decided by the answer')
  assert.equal(await twice('/private'), 2, 'passed because of the answer')
  assert.equal(await twice('/long/pass'), 2, 'passed because of the request')
  assert.equal(await twice('/long/fresh', { 'x-fresh': '1' }), 2, 'a forced miss')

  const zipped = await node.get(host, '/long', { headers: { 'accept-encoding': 'gzip' } })
  assert.equal(zipped.headers['content-encoding'], 'gzip')
  assert.equal((await node.get(host, '/long')).headers['content-encoding'], undefined)

  // A field that clients may not bring to a shared answer is the service's to write.
  for (const [path, expected] of [
    ['/long/named', 'edge'],
    ['/long/other', undefined],
  ] as const) {
    await node.get(host, path, { headers: { 'x-forwarded-server': 'evil.example', 'fastly-client-ip': '192.0.2.9' } })
    const asked = [one, two].flatMap(({ seen }) => seen).find(({ url }) => url === path)!
    assert.deepEqual([asked.headers['x-forwarded-server'], asked.headers['fastly-client-ip']], [expected, '127.0.0.1'])
  }

  one.state.up = false
  const from = async () => {
    const names = new Set<string>()
    for (let turn = 0; turn < 20; turn++) names.add((await node.get(host, '/plain')).text.slice(0, 3))
    return [...names].sort().join()
  }
  await until(async () => (await from()) === 'two', 'requests leave the sick origin alone')
  one.state.up = true
  await until(async () => (await from()) === 'one,two', 'requests go to the origin again')
})

test('a purge by URL finds what a rule has moved: by the API, by the CLI and by PURGE', async (t) => {
  const origin = await startOrigin(t, 'moved')
  const node = await startNode(t)
  const { id } = await api(node, 'POST', '/service', { name: 'moved', type: 'vcl' })
  const at = `/service/${id}/version/1`
  const parts: [string, Record<string, string>][] = [
    ['domain', { name: host }],
    ['backend', { name: 'one', address: '127.0.0.1', port: String(origin.port) }],
    [
      'header',
      {
        name: 'move',
        type: 'request',
        action: 'regex',
        dst: 'url',
        src: 'req.url',
        regex: '^/old/',
        substitution: '/new/',
      },
    ],
    ['cache_settings', { name: 'all', action: 'cache', ttl: '600' }],
  ]
  for (const [kind, fields] of parts) await api(node, 'POST', `${at}/${kind}`, fields)
  await api(node, 'PUT', `${at}/activate`)
  const purges: [string, () => Promise<unknown>][] = [
    ['the API', () => api(node, 'POST', `/purge/${host}/old/a?b=1`)],
    ['the CLI', () => fastly(node, ['service', 'purge', '--service-id', id, '--url', `https://${host}/old/a?b=1`])],
    ['PURGE', () => node.get(host, '/old/a?b=1', { method: 'PURGE', headers: { 'fastly-key': node.token } })],
  ]
  for (const [how, purge] of purges) {
    await node.get(host, '/old/a?b=1')
    assert.equal((await node.get(host, '/old/a?b=1')).headers['x-cache'], 'HIT', how)
    const before = origin.counts.get('/new/a?b=1')
    await purge()
    assert.equal((await node.get(host, '/old/a?b=1')).headers['x-cache'], 'MISS', how)
    assert.equal(origin.counts.get('/new/a?b=1'), before! + 1, how)
  }
  // Purges are swept behind their acknowledgement: their journal is written until the node has stopped.
  await node.stop('SIGTERM')
})
