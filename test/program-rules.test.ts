/** What a program fetches from hosts with rules: a Fastly service's, and a domain's with Cloudflare's cache rules. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { say, startOrigin } from './support/delivery.ts'
import { startNode, temporaryFolder, wrangler } from './support/node.ts'

const program = `export default { async fetch(request) {
  const { url, init } = await request.json()
  const answer = await fetch(url, init)
  return Response.json([answer.status, await answer.text(), answer.headers.get('cf-cache-status'), answer.headers.get('x-rule')])
} }`

type Told = [status: number, text: string, cache: string | null, rule: string | null]

test('programs fetch through the rules of the host', { timeout: 120_000 }, async (t) => {
  const origin = await startOrigin(t)
  const other = await startOrigin(t)
  const node = await startNode(t)
  const folder = await temporaryFolder(t, 'rules')
  writeFileSync(join(folder, 'index.js'), program)
  const config = { name: 'asker', main: 'index.js', compatibility_date: '2026-01-01' }
  writeFileSync(join(folder, 'wrangler.json'), JSON.stringify(config))
  await wrangler(node, folder, ['deploy'])
  async function ask(url: string, init?: object): Promise<Told> {
    const body = JSON.stringify({ url, init })
    const answer = await node.get('asker.localhost', '/', { method: 'POST', body })
    assert.equal(answer.status, 200, answer.text)
    return JSON.parse(answer.text)
  }
  async function api(
    method: string,
    path: string,
    body: string | URLSearchParams | undefined,
    headers: Record<string, string> = {},
  ) {
    const answer = await node.api(path, { method, headers, ...(body !== undefined && { body }) })
    const text = await answer.text()
    assert.ok(answer.ok, `${method} ${path}: ${text}`)
    return JSON.parse(text)
  }
  const json = { 'content-type': 'application/json' }

  await t.test(
    "a service's rules run: origin by condition, header rules, answers of its own, times to live",
    async () => {
      const { id } = await api('POST', '/service', new URLSearchParams({ name: 'ruled', type: 'vcl' }))
      const at = `/service/${id}/version/1`
      const parts: [string, Record<string, string>][] = [
        ['domain', { name: 'ruled.example.test' }],
        ['condition', { name: 'api', type: 'REQUEST', statement: 'req.url ~ "^/api/"', priority: '1' }],
        ['condition', { name: 'no', type: 'REQUEST', statement: 'req.url.path == "/no"', priority: '2' }],
        ['backend', { name: 'pages', address: '127.0.0.1', port: String(origin.port) }],
        ['backend', { name: 'api', address: '127.0.0.1', port: String(other.port), request_condition: 'api' }],
        ['header', { name: 'mark', type: 'response', action: 'set', dst: 'http.x-rule', src: '"ran"' }],
        ['header', { name: 'seen', type: 'request', action: 'set', dst: 'http.x-seen', src: '"yes"' }],
        ['response_object', { name: 'no', status: '410', content: 'never', request_condition: 'no' }],
        ['cache_settings', { name: 'all', action: 'cache', ttl: '60' }],
      ]
      for (const [kind, fields] of parts) await api('POST', `${at}/${kind}`, new URLSearchParams(fields))
      await api('PUT', `${at}/activate`, undefined)
      origin.on('/page', (asked, answer, count) =>
        answer.writeHead(200).end(`page ${count} ${asked.headers['x-seen']} ${asked.headers.host}`),
      )
      other.on('/api/a', say({}, 'from the other origin'))

      const page: Told = [200, 'page 1 yes ruled.example.test', 'MISS', 'ran']
      assert.deepEqual(await ask('http://ruled.example.test/page'), page)
      assert.deepEqual(await ask('http://ruled.example.test/page'), [page[0], page[1], 'HIT', 'ran'])
      // One cache for those who ask the host, whoever they are.
      const client = await node.get('ruled.example.test', '/page')
      assert.deepEqual([client.text, client.headers['cf-cache-status']], [page[1], 'HIT'])
      assert.deepEqual(await ask('http://ruled.example.test/api/a'), [200, 'from the other origin', 'MISS', 'ran'])
      assert.deepEqual(await ask('http://ruled.example.test/no'), [410, 'never', null, 'ran'])
      const posted = await ask('http://ruled.example.test/page', {
        method: 'POST',
        body: 'a body',
        headers: { 'x-seen': 'forged' },
      })
      assert.deepEqual(posted, [200, 'page 2 yes ruled.example.test', 'DYNAMIC', 'ran'])
      assert.equal(origin.seen('/page').at(-1)!.body, 'a body')
      const past = await ask('http://ruled.example.test/page', { cache: 'no-store' })
      assert.deepEqual(
        past.slice(1, 3),
        ['page 3 yes ruled.example.test', 'BYPASS'],
        'what the program says itself wins',
      )
    },
  )

  await t.test('cache rules of the domain count; what the program says itself wins', async () => {
    await api('POST', '/rimward/v1/sites', JSON.stringify({ name: 'shop', origin: origin.url }), json)
    const { result } = await api('GET', '/client/v4/zones?name=shop.localhost', undefined)
    const rules = [
      ['http.request.uri.path eq "/kept"', { cache: true, edge_ttl: { mode: 'override_origin', default: 60 } }],
      ['http.request.uri.path eq "/never"', { cache: false }],
    ].map(([expression, action_parameters]) => ({ action: 'set_cache_settings', expression, action_parameters }))
    const entrypoint = `/client/v4/zones/${result[0].id}/rulesets/phases/http_request_cache_settings/entrypoint`
    await api('PUT', entrypoint, JSON.stringify({ rules }), json)
    for (const path of ['/kept', '/never', '/else'])
      origin.on(path, (_asked, answer, count) =>
        answer.writeHead(200, { 'cache-control': path === '/never' ? 'max-age=60' : 'no-cache' }).end(`${count}`),
      )
    const said = async (path: string, init?: object) => (await ask(`http://shop.localhost${path}`, init))[2]
    assert.deepEqual([await said('/kept'), await said('/kept')], ['MISS', 'HIT'])
    assert.deepEqual([await said('/never'), await said('/never')], ['BYPASS', 'BYPASS'])
    assert.deepEqual([await said('/else'), await said('/else')], ['DYNAMIC', 'DYNAMIC'])
    const cf = { cf: { cacheTtl: 60 } }
    assert.deepEqual([await said('/never', cf), await said('/never', cf)], ['MISS', 'HIT'])
    assert.equal(await said('/kept', { cache: 'no-store' }), 'BYPASS')
  })
})
