/** The cache in front of a Worker, switched on in wrangler's configuration: in a shared cell and in a cell of its own. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { startNode, temporaryFolder, until, wrangler } from './support/node.ts'

/** Counts its runs; answers with what the query says. `VERSION` tells deployments apart. */
const program = `import { WorkerEntrypoint } from 'cloudflare:workers'
let runs = 0
const answer = async (request, ctx) => {
  const url = new URL(request.url)
  if (url.pathname === '/purge') return Response.json(await ctx.cache.purge(await request.json()))
  if (url.pathname === '/invalidate') return new Response(await ctx.cache.invalidate({}).catch(({ message }) => message))
  if (url.pathname === '/slow') await scheduler.wait(300)
  if (url.pathname === '/throw') throw new Error('thrown')
  const headers = new Headers(Object.fromEntries(url.searchParams))
  return new Response('VERSION run ' + ++runs + ' ' + request.method + ' ' + (request.headers.get('x-lang') ?? '-'), { headers })
}`
const asHandlers = `${program}
export default { fetch: (request, env, ctx) => answer(request, ctx) }`
const asClass = `${program}
export default class extends WorkerEntrypoint { fetch(request) { return answer(request, this.ctx) } }`

const kept = 'cache-control=max-age%3D60'

for (const [where, source, config] of [
  ['a shared cell', asHandlers, {}],
  ['a cell of its own', asHandlers, { limits: { cpu_ms: 30_000 } }],
  ['a class as the default export', asClass, {}],
  [
    'a class in a cell of its own, before env could be imported',
    asClass,
    { limits: { cpu_ms: 30_000 }, compatibility_date: '2024-09-23' },
  ],
] as const)
  test(`Workers Cache: ${where}`, { timeout: 120_000 }, async (t) => {
    const node = await startNode(t)
    const folder = await temporaryFolder(t, 'front')
    async function deploy(version: string, cache: object) {
      writeFileSync(join(folder, 'index.js'), source.replaceAll('VERSION', version))
      const all = { name: 'front', main: 'index.js', compatibility_date: '2026-01-01', cache, ...config }
      writeFileSync(join(folder, 'wrangler.json'), JSON.stringify(all))
      return wrangler(node, folder, ['deploy'])
    }
    const get = (path: string, headers: Record<string, string> = {}, host = 'front.localhost') =>
      node.get(host, path, { headers })
    const said = async (path: string, headers?: Record<string, string>, host?: string) => {
      const answer = await get(path, headers, host)
      return `${answer.headers['cf-cache-status'] ?? 'none'} ${answer.text.replace(/.*run /, '')}`
    }
    async function purge(options: unknown) {
      const answer = await node.get('front.localhost', '/purge', { method: 'POST', body: JSON.stringify(options) })
      assert.equal(answer.status, 200, answer.text)
      return JSON.parse(answer.text)
    }

    await deploy('one', { enabled: true })
    assert.equal(await said(`/a?${kept}`), 'MISS 1 GET -')
    assert.equal(await said(`/a?${kept}`), 'HIT 1 GET -')
    assert.equal(await said(`/a?${kept}&b`), 'MISS 2 GET -', 'the query is part of the key')
    const head = await node.get('front.localhost', `/a?${kept}`, { method: 'HEAD' })
    assert.deepEqual([head.status, head.text, head.headers['cf-cache-status']], [200, '', 'HIT'])
    assert.match((await said('/silent')) + (await said('/silent')), /DYNAMIC 3 GET -DYNAMIC 4 GET -/)
    assert.match(await said('/private?cache-control=private'), /DYNAMIC 5/)
    assert.match(await said(`/cookie?${kept}&set-cookie=a`), /DYNAMIC 6/)
    const post = await node.get('front.localhost', `/a?${kept}`, { method: 'POST' })
    assert.match(post.text, /run 7 POST/)

    const vary = `/vary?${kept}&vary=x-lang`
    assert.equal(await said(vary, { 'x-lang': 'de' }), 'MISS 8 GET de')
    assert.equal(await said(vary, { 'x-lang': 'en' }), 'MISS 9 GET en')
    assert.equal(await said(vary, { 'x-lang': 'de' }), 'HIT 8 GET de')
    assert.equal(
      await said(`/a?${kept}`, { 'x-forwarded-host': 'evil.example' }),
      'HIT 1 GET -',
      'set by the edge alone',
    )
    assert.match(
      await said(`/a?${kept}`, { 'x-original-url': '/evil' }),
      /MISS 10/,
      'what may poison is part of the key',
    )

    const together = await Promise.all(Array.from({ length: 10 }, () => get(`/slow?${kept}`)))
    assert.deepEqual([...new Set(together.map(({ text }) => text))], ['one run 11 GET -'], 'ten clients, one run')

    const stale = '/swr?cache-control=max-age%3D0,stale-while-revalidate%3D600&etag=%22a%22'
    assert.equal(await said(stale), 'MISS 12 GET -')
    assert.match(await said(stale), /(STALE|UPDATING) 12/)
    await until(async () => /run 1[3-9]/.test((await get(stale)).text), 'a fresh answer is made behind the stale one')

    assert.equal((await get('/throw')).status, 500)
    assert.match((await get('/invalidate')).text, /invalidate\(\) is not supported by Rimward/)

    for (const path of ['/t1', '/t2', '/dir/a', '/dir/b', '/dire'])
      await get(`${path}?${kept}&cache-tag=${path.slice(1)},all`)
    assert.equal('cache-tag' in (await get(`/t1?${kept}&cache-tag=t1,all`)).headers, false)
    const hit = async (path: string) => (await said(`${path}?${kept}&cache-tag=${path.slice(1)},all`)).startsWith('HIT')
    assert.deepEqual(await purge({ tags: ['T1'], pathPrefixes: ['/dir/'] }), { success: true, errors: [] })
    assert.deepEqual(
      [await hit('/t1'), await hit('/t2'), await hit('/dir/a'), await hit('/dire')],
      [false, true, false, true],
    )
    assert.deepEqual(await purge({ purgeEverything: true }), { success: true, errors: [] })
    assert.deepEqual([await hit('/t2'), await hit('/dire')], [false, false])
    for (const bad of [
      {},
      { tags: 'a' },
      { pathPrefixes: ['dir'] },
      { hosts: ['a'] },
      { tags: Array(101).fill('a') },
      null,
    ]) {
      const { success, errors } = await purge(bad)
      assert.deepEqual([success, errors.length, typeof errors[0].code], [false, 1, 'number'], JSON.stringify(bad))
    }

    assert.match(await said(`/version?${kept}`), /^MISS/)
    await deploy('two', { enabled: true, cross_version_cache: true })
    assert.match((await get(`/version?${kept}`)).text, /^two run/, 'a version starts with an empty cache')
    const across = await get(`/across?${kept}`)
    await deploy('three', { enabled: true, cross_version_cache: true })
    assert.deepEqual((await get(`/across?${kept}`)).text, across.text, 'unless the cache is for all of them')
    await deploy('four', { enabled: false })
    assert.match((await get(`/across?${kept}`)).text, /^four run/)
    assert.equal((await get(`/across?${kept}`)).headers['cf-cache-status'], undefined)
  })

test('what of Workers Cache cannot be given is refused at deploy', { timeout: 60_000 }, async (t) => {
  const node = await startNode(t)
  const folder = await temporaryFolder(t, 'front-bad')
  const cases: [string, object, RegExp][] = [
    [
      `import { cache } from 'cloudflare:workers'; export default { async fetch() { await cache.purge({ purgeEverything: true }); return new Response() } }`,
      { cache: { enabled: true } },
      /imports cache from "cloudflare:workers"/,
    ],
    [
      `import { WorkerEntrypoint } from 'cloudflare:workers'; export class Api extends WorkerEntrypoint {}; export default { fetch() { return new Response() } }`,
      { cache: { enabled: true }, exports: { Api: { type: 'worker', cache: { enabled: true } } } },
      /exports\.Api.*default export only/,
    ],
  ]
  for (const [source, config, says] of cases) {
    writeFileSync(join(folder, 'index.js'), source)
    const all = { name: 'front', main: 'index.js', compatibility_date: '2026-01-01', ...config }
    writeFileSync(join(folder, 'wrangler.json'), JSON.stringify(all))
    const ran = await wrangler(node, folder, ['deploy'], { mayFail: true })
    assert.notEqual(ran.code, 0, ran.output)
    assert.match(ran.output.replace(/\s+/g, ' '), says)
  }
})
