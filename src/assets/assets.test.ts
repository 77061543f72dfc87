import assert from 'node:assert/strict'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { serializeManifest } from '#/core/asset-manifest.ts'
import { createBoundedCache } from '#/core/bounded-cache.ts'
import type { Answer } from '#/core/exchange.ts'
import { defaultLimits } from '#/core/limits.ts'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import type { AssetsDeployment } from '#/core/snapshot.ts'
import { createAssets } from './assets.ts'

const large = Buffer.alloc(100_000, 'x')
const contents: Record<string, string | Buffer> = {
  '/index.html': '<h1>home</h1>',
  '/404.html': 'lost',
  '/a b.txt': 'spaced',
  '/ü.txt': 'umlaut',
  '/[x].html': 'brackets',
  '/dir/file.txt': '0123456789',
  '/user/id.html': 'user',
  '/large.bin': large,
  '/empty.txt': '',
}

async function site(config: Partial<AssetsDeployment> = {}) {
  const { blobs } = createMemoryFabric(() => 0)
  const manifest = new Map()
  for (const [path, content] of Object.entries(contents)) {
    const { hash, bytes } = await blobs.put(Buffer.from(content))
    manifest.set(path, { hash: hash.slice(0, 32), blob: hash, size: bytes, type: 'text/plain' })
  }
  const stored = await blobs.put(serializeManifest(manifest))
  const assets = createAssets({ blobs, limits: defaultLimits })
  const deployment: AssetsDeployment = {
    manifest: stored.hash,
    files: manifest.size,
    htmlHandling: 'auto-trailing-slash',
    notFoundHandling: 'none',
    runProgramFirst: false,
    ...config,
  }
  const ask = (path: string, headers: string[] = [], method = 'GET') => ({ method, path, headers })
  return {
    etag: (path: string) => `"${manifest.get(path).hash}"`,
    answer: (...request: Parameters<typeof ask>) => assets.answer(deployment, ask(...request)),
    match: (...request: Parameters<typeof ask>) => assets.match(deployment, ask(...request)),
  }
}

async function text({ body }: Answer): Promise<string> {
  if (body === null) return ''
  return (body instanceof Uint8Array ? Buffer.from(body) : await buffer(body)).toString()
}

function field(answer: Answer, name: string): string | undefined {
  const index = answer.headers.findIndex((text, at) => at % 2 === 0 && text === name)
  return index < 0 ? undefined : answer.headers[index + 1]
}

test('files, with their headers', async () => {
  const { answer, etag } = await site()
  const home = await answer('/')
  assert.equal(home.status, 200)
  assert.ok(home.body instanceof Uint8Array)
  assert.equal(await text(home), '<h1>home</h1>')
  assert.equal(field(home, 'etag'), etag('/index.html'))
  assert.equal(field(home, 'cache-control'), 'public, max-age=0, must-revalidate')
  assert.equal(field(home, 'content-type'), 'text/plain')
  assert.equal(field(home, 'content-length'), '13')
  assert.equal(field(home, 'cf-cache-status'), 'MISS')
  assert.equal(field(await answer('/'), 'cf-cache-status'), 'HIT')
  assert.equal(field(await answer('/', ['Authorization', 'x']), 'cache-control'), undefined)
  assert.equal(await text(await answer('/large.bin')), large.toString())
  const head = await answer('/large.bin', [], 'HEAD')
  assert.equal(head.body, null)
  assert.equal(field(head, 'content-length'), '100000')
  assert.equal((await answer('/empty.txt')).body, null)
})

test('conditional and range requests', async () => {
  const { answer, etag } = await site({ notFoundHandling: '404-page' })
  const tag = etag('/dir/file.txt')
  const table: [string[], string, number, string, string?][] = [
    [['if-none-match', tag], 'GET', 304, ''],
    [['If-None-Match', `"other", W/${tag}`], 'HEAD', 304, ''],
    [['if-match', '"other"'], 'GET', 412, ''],
    [['range', 'bytes=2-4'], 'GET', 206, '234', 'bytes 2-4/10'],
    [['range', 'bytes=-2'], 'GET', 206, '89', 'bytes 8-9/10'],
    [['range', 'bytes=50-'], 'GET', 416, '', 'bytes */10'],
    [['range', 'bytes=0-1,3-4'], 'GET', 200, '0123456789'],
    [['range', 'bytes=0-1', 'if-range', '"other"'], 'GET', 200, '0123456789'],
    [['range', 'bytes=0-1', 'if-range', tag], 'GET', 206, '01', 'bytes 0-1/10'],
    [['range', 'bytes=0-1'], 'HEAD', 200, ''],
  ]
  for (const [headers, method, status, body, contentRange] of table) {
    const got = await answer('/dir/file.txt', headers, method)
    assert.equal(got.status, status, headers.join(' '))
    assert.equal(await text(got), body, headers.join(' '))
    assert.equal(field(got, 'content-range'), contentRange, headers.join(' '))
  }
  const part = await answer('/large.bin', ['range', 'bytes=10-19'])
  assert.deepEqual([part.status, await text(part)], [206, 'x'.repeat(10)])
  assert.equal((await answer('/missing', ['range', 'bytes=0-1'])).status, 404)
})

test('paths: one address a file, and no way out', async () => {
  const { answer } = await site()
  const table: [string, number, string][] = [
    ['/a%20b.txt', 200, 'spaced'],
    ['/a b.txt', 200, 'spaced'],
    ['/%C3%BC.txt', 200, 'umlaut'],
    ['/[x]', 307, '/%5Bx%5D'],
    ['/%5Bx%5D', 200, 'brackets'],
    ['/%64ir/file.txt?q=1', 307, '/dir/file.txt?q=1'],
    ['/dir%2Ffile.txt', 307, '/dir/file.txt'],
    ['//dir//file.txt', 307, '/dir/file.txt'],
    ['/x/../dir/file.txt', 200, '0123456789'],
    ['/x/%2e%2e/dir/file.txt', 200, '0123456789'],
    ['/index.html?a=b', 307, '/?a=b'],
    ['/../../etc/passwd', 404, ''],
    ['/..%2f..%2fetc%2fpasswd', 404, ''],
    ['/dir/file.txt%00', 404, ''],
    ['/%', 404, ''],
    ['/%ff', 404, ''],
    ['//evil.example/%2e%2e', 307, '/'],
    ['/__proto__', 404, ''],
    ['*', 200, '<h1>home</h1>'],
  ]
  for (const [path, status, expected] of table) {
    const got = await answer(path)
    assert.equal(got.status, status, path)
    assert.equal(status === 307 ? field(got, 'location') : await text(got), expected, path)
  }
})

test('a long path with many segments is answered at once', async () => {
  const { answer } = await site({ notFoundHandling: '404-page' })
  const before = process.cpuUsage().user
  assert.equal((await answer('/a'.repeat(8000))).status, 404)
  assert.ok(process.cpuUsage().user - before < 200_000)
})

test('methods: files answer GET and HEAD, the program gets what no file matches', async () => {
  const { answer, match } = await site()
  const post = await match('/', [], 'POST')
  assert.deepEqual([post?.status, post && field(post, 'allow')], [405, 'GET, HEAD'])
  assert.equal(await match('/api', [], 'POST'), undefined)
  assert.equal((await answer('/api', [], 'POST')).status, 404)
})

test('not_found_handling and the program', async () => {
  const plain = await site({ notFoundHandling: 'single-page-application' })
  assert.equal(await plain.match('/route', ['sec-fetch-mode', 'navigate']), undefined)
  assert.equal(await text(await plain.answer('/route')), '<h1>home</h1>')
  const prefers = await site({ notFoundHandling: 'single-page-application', navigationPrefersFiles: true })
  assert.equal((await prefers.match('/route', ['sec-fetch-mode', 'navigate']))?.status, 200)
  assert.equal(await prefers.match('/route', ['sec-fetch-mode', 'cors']), undefined)
  const routed = await site({ notFoundHandling: '404-page', runProgramFirst: ['/api/*'] })
  assert.equal((await routed.match('/route'))?.status, 404)
  const negative = await site({ runProgramFirst: ['/*', '!/static/*'] })
  assert.equal((await negative.match('/static/missing'))?.status, 404)
})

test('_redirects and _headers', async () => {
  const { answer, match } = await site({
    redirectsFile:
      '/old /new?x=1 301\n/keep /kept\n/u/* /user/id 200\n/gone /nowhere 200\n/out/* https://example.com/:splat 308',
    headersFile:
      '/*\n  X-Frame-Options: DENY\n  ! cf-cache-status\nhttps://only.example/*\n  X-Host: yes\n/dir/*\n  Content-Type: text/x-mine',
  })
  const table: [string, number, string][] = [
    ['/old?y=2', 301, '/new?x=1'],
    ['/keep?y=2', 302, '/kept?y=2'],
    ['/out/a?b', 308, 'https://example.com/a?b'],
    ['/u/7', 200, 'user'],
    ['/gone', 404, ''],
  ]
  for (const [path, status, expected] of table) {
    const got = await answer(path)
    assert.equal(got.status, status, path)
    assert.equal(field(got, 'location') ?? (await text(got)), expected, path)
    assert.equal(field(got, 'X-Frame-Options'.toLowerCase()), 'DENY', path)
    assert.equal(field(got, 'cf-cache-status'), undefined, path)
  }
  assert.equal((await match('/gone'))?.status, 404)
  assert.equal(field(await answer('/', ['Host', 'only.example:8080']), 'x-host'), 'yes')
  const typed = await answer('/dir/file.txt')
  assert.deepEqual(
    [field(typed, 'content-type'), typed.headers.filter((name) => name === 'content-type').length],
    ['text/x-mine', 1],
  )
})

test('the cache keeps to its cap and lets the oldest go', () => {
  const cache = createBoundedCache<string>(10)
  cache.put('a', 'A', 4)
  cache.put('b', 'B', 4)
  assert.equal(cache.get('a'), 'A')
  cache.put('c', 'C', 4)
  assert.deepEqual([cache.get('a'), cache.get('b'), cache.get('c'), cache.weight], ['A', undefined, 'C', 8])
  cache.put('huge', 'H', 11)
  assert.deepEqual([cache.get('huge'), cache.weight], [undefined, 8])
})
