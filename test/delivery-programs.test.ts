/** What programs fetch and keep, through the shared cache of a real node. */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { startOrigin } from './support/delivery.ts'
import { startNode, temporaryFolder, wrangler } from './support/node.ts'

/** Fetches what it is told to and tells what came; keeps and finds answers. */
const program = `export default { async fetch(request) {
  const { url, init, put, match } = await request.json()
  if (put !== undefined) {
    await caches.default.put(put, new Response('kept', { headers: { 'cache-tag': 'one' } }))
    return Response.json('put')
  }
  if (match !== undefined) return Response.json(await (await caches.default.match(match))?.text() ?? null)
  const response = await fetch(url, init)
  return Response.json([response.status, await response.text(), response.headers.get('cf-cache-status')])
} }`

test('fetch() of programs and their Cache API', { timeout: 120_000 }, async (t) => {
  const origin = await startOrigin(t)
  const node = await startNode(t)
  const folder = await temporaryFolder(t, 'programs')
  for (const name of ['one', 'two']) {
    const own = join(folder, name)
    mkdirSync(own)
    writeFileSync(join(own, 'index.js'), program)
    const config = { name, main: 'index.js', compatibility_date: '2026-01-01' }
    writeFileSync(join(own, 'wrangler.json'), JSON.stringify(config))
    await wrangler(node, own, ['deploy'])
    const allowed = await node.api('/rimward/v1/egress-rules', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ program: name, destination: `127.0.0.1:${origin.port}` }),
    })
    assert.ok(allowed.ok, await allowed.text())
  }
  async function ask(name: string, body: object): Promise<unknown> {
    const answer = await node.get(`${name}.localhost`, '/', { method: 'POST', body: JSON.stringify(body) })
    return JSON.parse(answer.text)
  }
  const answers: Record<string, [number, Record<string, string>]> = {
    '/fresh': [200, { 'cache-control': 'max-age=60' }],
    '/guess': [200, { 'last-modified': 'Mon, 01 Jan 2024 00:00:00 GMT' }],
    '/silent': [200, {}],
    '/forbidden': [200, { 'cache-control': 'no-store' }],
    '/missing': [404, {}],
    '/key/1': [200, { 'cache-control': 'max-age=60' }],
    '/key/2': [200, { 'cache-control': 'max-age=60' }],
  }
  for (const [path, [status, headers]] of Object.entries(answers))
    origin.on(path, (_asked, answer, count) => answer.writeHead(status, headers).end(`${path} ${count}`))

  /** What two fetches in a row bring: the text, and what the cache said. */
  const table: [string, string, object | undefined, string, string?][] = [
    ['what says how long it is fresh is kept', '/fresh', undefined, 'HIT'],
    ['what only has a date is not', '/guess', undefined, 'not'],
    ['what says nothing is not', '/silent', undefined, 'not'],
    ['unless the program says how long', '/silent', { cf: { cacheTtl: 60 } }, 'HIT'],
    ['even against no-store', '/forbidden', { cf: { cacheTtl: 60, cacheEverything: true } }, 'HIT'],
    ['by status', '/missing', { cf: { cacheTtlByStatus: { '404': 60 } } }, 'HIT'],
    ['never', '/fresh', { cf: { cacheTtl: -1 } }, 'not'],
    ['never, in the words of fetch()', '/fresh', { cache: 'no-store' }, 'not'],
    ['under a key of its own', '/key/1', { cf: { cacheKey: 'same' } }, 'HIT', '/key/2'],
  ]
  for (const [what, path, init, expected, then = path] of table) {
    const first = (await ask('one', { url: origin.url + path, init })) as [number, string, string]
    const second = (await ask('one', { url: origin.url + then, init })) as [number, string, string]
    if (expected === 'HIT') assert.deepEqual([second[1], second[2]], [first[1], 'HIT'], what)
    else assert.notEqual(second[1], first[1], what)
  }
  const before = origin.seen('/fresh').length
  const other = (await ask('two', { url: `${origin.url}/fresh` })) as [number, string, string]
  assert.deepEqual(
    [other[2], origin.seen('/fresh').length],
    ['MISS', before + 1],
    'another program has a cache of its own',
  )

  const url = 'https://kept.example/'
  assert.equal(await ask('one', { put: url }), 'put')
  assert.equal(await ask('one', { match: url }), 'kept')
  assert.equal(await ask('two', { match: url }), null)
})
