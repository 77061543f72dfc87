/** A Fastly service without VCL, from the unmodified CLI to answers of a real node. */
import assert from 'node:assert/strict'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { fastly } from '../support/fastly.ts'
import { type RunningNode, startNode } from '../support/node.ts'

const host = 'shop.example.test'

interface Origin {
  readonly port: number
  readonly asked: IncomingMessage[]
}

async function startOrigin(t: TestContext): Promise<Origin> {
  const asked: IncomingMessage[] = []
  const server = createServer((request, response) => {
    asked.push(request)
    response.setHeader('x-powered-by', 'php')
    response.setHeader('surrogate-key', 'all page')
    response.statusCode = request.url?.startsWith('/gone') ? 404 : 200
    response.end(`origin ${request.url}`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, asked }
}

/** What the CLI has no commands for is set as other tools do: by a form to the same API. */
async function set(node: RunningNode, path: string, fields: Record<string, string>): Promise<void> {
  const answer = await node.api(path, { method: 'POST', body: new URLSearchParams(fields) })
  assert.equal(answer.status, 200, await answer.text())
}

/** The id of the only thing in a list. */
async function idOf(node: RunningNode, key: string, args: readonly string[]): Promise<string> {
  const { output } = await fastly(node, [...args, '--json'])
  const [found] = JSON.parse(output) as Record<string, string>[]
  assert.ok(found?.[key], output)
  return found[key]
}

test('a service is made, serves by its rules, changes its tables, goes back, and is purged', async (t) => {
  const origin = await startOrigin(t)
  const node = await startNode(t)
  const cli = (...args: string[]) => fastly(node, args)
  assert.match((await cli('whoami')).output, /admin@localhost/)

  const created = (await cli('service', 'create', '--name', 'My Shop')).output
  const id = /Created service (\w+)/.exec(created)?.[1] ?? ''
  const on = ['--service-id', id, '--version', '1']
  await cli('service', 'domain', 'create', ...on, '--name', host)
  await cli(
    'service',
    'backend',
    'create',
    ...on,
    '--name',
    'o',
    '--address',
    '127.0.0.1',
    '--port',
    String(origin.port),
  )
  await cli('service', 'healthcheck', 'create', ...on, '--name', 'up', '--path', '/up')
  await cli('service', 'dictionary', 'create', ...on, '--name', 'moved')
  await cli('service', 'acl', 'create', ...on, '--name', 'blocked')
  const condition = (name: string, type: string, statement: string) =>
    cli('service', 'vcl', 'condition', 'create', ...on, '--name', name, '--type', type, '--statement', statement)
  await condition('is moved', 'REQUEST', 'table.contains(moved, req.url.path)')
  await condition('is blocked', 'REQUEST', 'client.ip ~ blocked')
  await condition('is gone', 'CACHE', 'beresp.status == 404')
  const parts = `/service/${id}/version/1`
  const answer = { status: '302', response: 'Found', content: 'moved' }
  await set(node, `${parts}/response_object`, { name: 'moved', ...answer, request_condition: 'is moved' })
  await set(node, `${parts}/response_object`, {
    name: 'no',
    status: '403',
    content: 'no',
    request_condition: 'is blocked',
  })
  await set(node, `${parts}/response_object`, {
    name: 'gone',
    status: '404',
    content: 'our 404',
    cache_condition: 'is gone',
  })
  const rules: Record<string, string>[] = [
    {
      name: 'location',
      type: 'response',
      action: 'set',
      dst: 'http.Location',
      src: 'table.lookup(moved, req.url.path)',
      request_condition: 'is moved',
    },
    { name: 'php', type: 'response', action: 'delete', dst: 'http.X-Powered-By' },
    { name: 'strip', type: 'request', action: 'regex', dst: 'url', src: 'req.url', regex: '[?]utm=.*$' },
    { name: 'edge', type: 'request', action: 'set', dst: 'http.X-Edge', src: '"rim/" server.datacenter' },
  ]
  for (const rule of rules) await set(node, `${parts}/header`, rule)
  await cli('service', 'version', 'activate', ...on)

  const plain = await node.get(host, '/page?utm=mail', { headers: { cookie: 'a=1' } })
  assert.deepEqual([plain.status, plain.text], [200, 'origin /page'])
  assert.deepEqual([plain.headers['x-powered-by'], plain.headers['surrogate-key']], [undefined, undefined])
  assert.equal(origin.asked.at(-1)?.headers['x-edge'], 'rim/local')
  assert.equal(origin.asked.at(-1)?.headers.host, host, 'without an override the origin sees the host of the client')
  assert.deepEqual((({ status, text }) => [status, text])(await node.get(host, '/gone')), [404, 'our 404'])
  assert.equal((await node.get('my-shop.localhost', '/')).status, 404, 'it has a domain of its own')

  // Tables change what is served without a new version.
  const moved = await idOf(node, 'DictionaryID', ['service', 'dictionary', 'list', ...on])
  const item = ['service', 'dictionary-entry', 'create', '--service-id', id, '--dictionary-id', moved]
  await cli(...item, '--key', '/old', '--value', '/new')
  const redirect = await node.get(host, '/old?a=1')
  assert.deepEqual([redirect.status, redirect.headers.location, redirect.text], [302, '/new', 'moved'])
  const blocked = await idOf(node, 'ACLID', ['service', 'acl', 'list', ...on])
  await cli(
    'service',
    'acl-entry',
    'create',
    '--service-id',
    id,
    '--acl-id',
    blocked,
    '--ip',
    '127.0.0.0',
    '--subnet',
    '8',
  )
  assert.equal((await node.get(host, '/page')).status, 403)
  const entry = await idOf(node, 'EntryID', ['service', 'acl-entry', 'list', '--service-id', id, '--acl-id', blocked])
  await cli('service', 'acl-entry', 'delete', '--service-id', id, '--acl-id', blocked, '--id', entry)
  assert.equal((await node.get(host, '/page')).status, 200)

  // A second version, and back.
  const override = ['--autoclone', '--name', 'o', '--override-host', 'inner.example.test']
  await cli('service', 'backend', 'update', '--service-id', id, '--version', 'active', ...override)
  await cli('service', 'version', 'activate', '--service-id', id, '--version', '2')
  await node.get(host, '/second')
  assert.equal(origin.asked.at(-1)?.headers.host, 'inner.example.test')
  await cli('service', 'version', 'activate', ...on)
  await node.get(host, '/first')
  assert.equal(origin.asked.at(-1)?.headers.host, host)

  const locked = await fastly(node, ['service', 'domain', 'create', ...on, '--name', 'x.test'], { mayFail: true })
  assert.equal(locked.code, 1)
  const vcl = ['service', 'vcl', 'custom', 'create', '--service-id', id, '--version', '2', '--autoclone']
  const refused = await fastly(node, [...vcl, '--name', 'main', '--content', 'sub vcl_recv {}'], { mayFail: true })
  assert.match(refused.output, /Custom VCL is not supported by Rimward/)

  // Purges: what was kept answers until the call is answered, and never after.
  const purge = (...args: string[]) => cli('service', 'purge', '--service-id', id, ...args)
  const state = async (path: string) => (await node.get(host, path)).headers['cf-cache-status']
  const purges: [string[], string, RegExp][] = [
    [['--key', 'page'], 'MISS', /Purged key: page/],
    [['--key', 'page', '--soft'], 'REVALIDATED EXPIRED UPDATING STALE', /soft: true/],
    [['--key', 'other'], 'HIT', /Purged key: other/],
    [['--url', `http://${host}/page`], 'MISS', /Purged URL/],
    [['--url', `https://${host}/another`], 'HIT', /Purged URL/],
    [['--all'], 'MISS', /ok/],
  ]
  for (const [args, after, said] of purges) {
    await state('/page')
    assert.equal(await state('/page'), 'HIT', args.join(' '))
    assert.match((await purge(...args)).output, said)
    const found = await state('/page')
    assert.ok(after.split(' ').includes(found as string), `${args.join(' ')}: ${found}`)
  }
  const statuses = []
  for (const headers of [{}, { 'fastly-key': 'wrong' }, { 'fastly-key': node.token }] as Record<string, string>[])
    statuses.push((await node.get(host, '/page', { method: 'PURGE', headers })).status)
  assert.deepEqual(statuses, [401, 403, 200])
  const byBearer = await node.get(host, '/page', {
    method: 'PURGE',
    headers: { authorization: `Bearer ${node.token}`, 'fastly-soft-purge': '1' },
  })
  assert.equal(JSON.parse(byBearer.text).status, 'ok')

  // What was acknowledged is there after the process was killed.
  await node.stop('SIGKILL')
  const again = await startNode(t, { data: node.data })
  assert.equal((await again.get(host, '/old')).status, 302)
  assert.match((await fastly(again, ['service', 'list'])).output, /My Shop/)
  await fastly(again, ['service', 'delete', '--force', '--service-id', id])
  assert.equal((await again.get(host, '/')).status, 404)
})
