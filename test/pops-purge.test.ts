/** Purges and shields over three points of presence of one process: receipts, tiers, nothing stale anywhere. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fastly } from './support/fastly.ts'
import { get, type RunningNode, rimward, startNode } from './support/node.ts'

interface NodeFile {
  readonly pops: readonly { readonly id: string; readonly http: string }[]
}

async function startOrigin(t: TestContext) {
  const state = { version: 1, asked: 0, last: {} as IncomingHttpHeaders }
  const server = createServer((request, response) => {
    state.asked++
    state.last = request.headers
    if (request.url === '/private') response.setHeader('cache-control', 'private').setHeader('set-cookie', 'a=b')
    else response.setHeader('cache-control', 'max-age=600').setHeader('surrogate-key', 'pages')
    response.setHeader('etag', `"${state.version}"`)
    if (request.method === 'POST') {
      request.pipe(response)
      return
    }
    response.end(`version ${state.version}`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    ...(server.address() as AddressInfo),
    state,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  }
}

async function popsOf(node: RunningNode) {
  const { pops } = JSON.parse(await readFile(join(node.data, 'node.json'), 'utf8')) as NodeFile
  return Object.fromEntries(pops.map(({ id, http }) => [id, http])) as Record<string, string>
}

test('a shield fetches once for all, and a purge over all of them comes with a receipt', async (t) => {
  const origin = await startOrigin(t)
  const node = await startNode(t, { args: ['--pops', 'fra:DE,iad:US,nrt:JP'] })
  const pops = await popsOf(node)
  const run = async (...args: string[]) => {
    const ran = await rimward(node, node.data, args)
    assert.equal(ran.code, 0, ran.output)
    return ran.output
  }
  const unknown = await rimward(node, node.data, ['site', 'add', 'www', '--origin', origin.url, '--shield', 'lhr'])
  assert.equal(unknown.code, 1)
  assert.match(unknown.output, /no point of presence 'lhr'.*fra, iad, nrt/)
  await run('site', 'add', 'www', '--origin', origin.url, '--shield', 'iad')
  const ask = (pop: string, path = '/', options = {}) => get(pops[pop]!, 'www.localhost', path, options)

  // Three at once: one of them asks the origin.
  const first = await Promise.all(Object.keys(pops).map((pop) => ask(pop)))
  assert.deepEqual(
    first.map(({ text }) => text),
    ['version 1', 'version 1', 'version 1'],
  )
  assert.equal(origin.state.asked, 1)
  assert.equal(first[0]!.headers['x-served-by'], 'iad, fra')
  assert.equal(first[1]!.headers['x-served-by'], 'iad')
  assert.equal(first[0]!.headers['surrogate-key'], undefined)
  const [above, own] = String(first[0]!.headers['cache-status']).split(', ')
  assert.match(above!, /^rimward; .*rimward-pop=iad$/)
  assert.match(own!, /^rimward; fwd=uri-miss; fwd-status=200; ttl=(600|599); stored$/)
  const hit = await ask('fra')
  assert.match(String(hit.headers['cache-status']), /^rimward; hit/)
  assert.equal(hit.headers['x-served-by'], 'fra')

  // The tags came along: a purge by one of them reaches every tier.
  origin.state.version++
  const said = await run('purge', '--tag', 'pages', '--site', 'www')
  assert.match(said, /^Purged at 3 nodes\. Receipt fra-\d+-\d+\n/)
  assert.match(said, /^nrt +nrt +after [\d.]+ ms$/m)
  for (const pop of Object.keys(pops)) assert.equal((await ask(pop)).text, 'version 2', pop)
  assert.equal(origin.state.asked, 2)

  const receipt = JSON.parse(await run('purge', '--all', '--json')) as { id: string; acknowledged: object[] }
  assert.equal(receipt.acknowledged.length, 3)
  const again = (await (await node.api(`/rimward/v1/purges/${receipt.id}`)).json()) as { id: string }
  assert.equal(again.id, receipt.id)
  assert.equal((await node.api('/rimward/v1/purges/fra-1-1')).status, 404)

  // What no cache may keep goes all the way, each time.
  const before = origin.state.asked
  for (let time = 0; time < 2; time++) {
    const answer = await ask('nrt', '/private')
    assert.equal(answer.headers['set-cookie']?.[0], 'a=b')
    assert.equal(answer.headers['x-served-by'], 'iad, nrt')
  }
  assert.equal(origin.state.asked, before + 2)
  const sent = 'x'.repeat(300_000)
  assert.equal((await ask('fra', '/post', { method: 'POST', body: sent })).text, sent)
  const part = await ask('nrt', '/', { headers: { range: 'bytes=0-6' } })
  assert.deepEqual([part.status, part.text], [206, 'version'])

  // PURGE at one of them, by the address.
  origin.state.version++
  const purged = await ask('nrt', '/', { method: 'PURGE', headers: { 'fastly-key': node.token } })
  assert.match(purged.text, /"id":"nrt-\d+-\d+"/)
  for (const pop of Object.keys(pops)) assert.equal((await ask(pop)).text, 'version 3', pop)

  // Killed as soon as the purge is acknowledged: what lies on disk does not come back.
  origin.state.version++
  await run('purge', '--all')
  await node.stop('SIGKILL')
  const after = await startNode(t, { data: node.data, args: ['--pops', 'fra:DE,iad:US,nrt:JP'] })
  assert.equal((await fetch(`${after.addresses.api}/readyz`)).status, 200)
  for (const [pop, http] of Object.entries(await popsOf(after)))
    assert.equal((await get(http, 'www.localhost', '/')).text, 'version 4', pop)
  assert.equal(await after.stop(), 0)
})

test("a backend's shield: a service's rules for origin answers hold on the shield", async (t) => {
  const origin = await startOrigin(t)
  const node = await startNode(t, { args: ['--pops', 'fra:DE,iad:US'] })
  const pops = await popsOf(node)
  const call = async (method: string, path: string, fields: Record<string, string> = {}) => {
    const answer = await node.api(path, { method, ...(method === 'POST' && { body: new URLSearchParams(fields) }) })
    return { status: answer.status, body: (await answer.json()) as Record<string, string> }
  }
  const { body: service } = await call('POST', '/service', { name: 'mag', type: 'vcl' })
  const at = `/service/${service.id}/version/1`
  const backend = { name: 'o', address: '127.0.0.1', port: new URL(origin.url).port }
  const refused = await call('POST', `${at}/backend`, { ...backend, shield: 'fra-de-de' })
  assert.equal(refused.status, 400)
  assert.match(JSON.stringify(refused.body), /no point of presence 'fra-de-de'.*fra, iad/)
  const parts: [string, Record<string, string>][] = [
    ['domain', { name: 'mag.example.test' }],
    ['backend', { ...backend, shield: 'iad' }],
    ['condition', { name: 'private', type: 'CACHE', statement: 'beresp.http.Set-Cookie' }],
    ['header', { name: 'bare', type: 'cache', action: 'delete', dst: 'http.Set-Cookie', cache_condition: 'private' }],
    ['cache_settings', { name: 'kept', action: 'cache', ttl: '600', cache_condition: 'private' }],
  ]
  for (const [kind, fields] of parts) assert.equal((await call('POST', `${at}/${kind}`, fields)).status, 200, kind)
  await fastly(node, ['service', 'version', 'activate', '--service-id', service.id!, '--version', '1'])
  for (const pop of ['fra', 'iad', 'fra'])
    assert.equal((await get(pops[pop]!, 'mag.example.test', '/page')).text, 'version 1')
  assert.equal(origin.state.asked, 1)
  const { body } = await call('POST', `/service/${service.id}/purge/pages`)
  assert.match(body.id!, /^fra-\d+-\d+$/)
  origin.state.version++
  assert.equal((await get(pops.fra!, 'mag.example.test', '/page')).text, 'version 2')
  const asked = origin.state.asked
  for (const pop of ['iad', 'fra']) {
    const answer = await get(pops[pop]!, 'mag.example.test', '/private')
    assert.equal(answer.headers['set-cookie'], undefined, pop)
    assert.equal(answer.text, 'version 2')
  }
  assert.ok(origin.state.asked > asked)
  assert.equal(await node.stop(), 0)
})
