import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseManifest } from '#/core/asset-manifest.ts'
import { defaultLimits } from '#/core/limits.ts'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import { parseAssetsConfig } from './assets-config.ts'
import { createAssetHash, extensionOf } from './assets-content.ts'
import { createAssetUploads } from './assets-uploads.ts'

const seal = { seal: (text: string) => `sealed ${text}`, open: (text: string) => text.replace('sealed ', '') }

function hashOf(path: string, content: string): string {
  const hash = createAssetHash(extensionOf(path))
  // In uneven pieces, as a socket gives them.
  for (const piece of [content.slice(0, 1), content.slice(1, 6), content.slice(6)]) hash.update(Buffer.from(piece))
  return hash.digest()
}

const files = { '/index.html': '<h1>home</h1>', '/a/b.txt': 'text', '/a/twin.txt': 'text', '/LICENSE': '' }
const list = (contents: Record<string, string>) =>
  Object.fromEntries(
    Object.entries(contents).map(([path, content]) => [
      path,
      { hash: hashOf(path, content), size: Buffer.byteLength(content) },
    ]),
  )

async function* bytes(...parts: string[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part)
}

async function platform() {
  let now = 1_800_000_000_000
  const fabric = createMemoryFabric(() => now)
  const open = () => createAssetUploads({ fabric, seal, limits: defaultLimits, clock: () => now })
  return { fabric, open, uploads: await open(), pass: (ms: number) => (now += ms) }
}

test('a session asks for what is missing, once, and ends in a manifest', async () => {
  const { fabric, uploads } = await platform()
  const manifest = list(files)
  const session = await uploads.open('site', manifest)
  assert.deepEqual(session.buckets.flat().sort(), [...new Set(Object.values(manifest).map(({ hash }) => hash))].sort())
  const claims = JSON.parse(Buffer.from(session.jwt.split('.')[1]!, 'base64url').toString())
  assert.equal(claims.wrangler_single_asset_uploads, true)
  assert.equal(claims.program, 'site')
  const token = await uploads.authorize(session.jwt)
  const send = (path: keyof typeof files, type?: string) =>
    uploads.store(token, manifest[path]!.hash, type, bytes(files[path]))
  assert.deepEqual(await send('/index.html', 'text/html; charset=utf-8'), {})
  assert.deepEqual(await send('/LICENSE', 'application/null'), {})
  const { jwt } = await send('/a/b.txt')
  assert.deepEqual(await send('/a/b.txt'), { jwt }, 'a repeated last upload gets its token again')
  const done = await uploads.resolveCompletion(jwt!)
  assert.deepEqual([done.files, done.program], [4, 'site'])
  const stored = parseManifest((await fabric.blobs.get(done.manifest))!)
  assert.deepEqual([...stored.keys()], ['/LICENSE', '/a/b.txt', '/a/twin.txt', '/index.html'])
  assert.deepEqual(
    [...stored.values()].map(({ type, size }) => [type, size]),
    [
      [undefined, 0],
      ['text/plain; charset=utf-8', 4],
      ['text/plain; charset=utf-8', 4],
      ['text/html; charset=utf-8', 13],
    ],
  )
  const again = await uploads.open('other', { '/index.html': manifest['/index.html'] })
  assert.deepEqual(again.buckets, [])
  assert.equal((await uploads.resolveCompletion(again.jwt)).files, 1)
  const kept: string[] = []
  for await (const blob of uploads.inUse()) kept.push(blob)
  assert.equal(kept.length, 3)
})

test('an upload that broke off goes on, also on another machine', async () => {
  const { open, uploads } = await platform()
  const manifest = list(files)
  const { jwt } = await uploads.open('site', manifest)
  const token = await uploads.authorize(jwt)
  await uploads.store(token, manifest['/index.html']!.hash, undefined, bytes('<h1>home</h1>'))
  const other = await open()
  const there = await other.authorize(jwt)
  await other.store(there, manifest['/LICENSE']!.hash, undefined, bytes())
  const last = await uploads.store(token, manifest['/a/b.txt']!.hash, undefined, bytes('te', 'xt'))
  assert.ok(last.jwt)
  assert.deepEqual((await other.open('site', manifest)).buckets, [])
})

test('a blob that was swept is asked for again', async () => {
  const { fabric, uploads } = await platform()
  const manifest = list({ '/a.txt': 'a' })
  const token = await uploads.authorize((await uploads.open('site', manifest)).jwt)
  await uploads.store(token, manifest['/a.txt']!.hash, undefined, bytes('a'))
  for await (const { hash } of fabric.blobs.list()) await fabric.blobs.delete(hash)
  assert.equal((await uploads.open('site', manifest)).buckets.length, 1)
})

test('content that is not what was announced is refused, and nothing is kept', async () => {
  const { fabric, uploads, pass } = await platform()
  const manifest = list({ '/a.txt': 'hello' })
  const { jwt } = await uploads.open('site', manifest)
  const token = await uploads.authorize(jwt)
  const hash = manifest['/a.txt']!.hash
  const count = async () => (await Array.fromAsync(fabric.blobs.list())).length
  const before = await count()
  const refused = (why: string, message: RegExp) => ({ name: 'AssetsRefused', why, message })
  const send = (name: string, body: AsyncIterable<Uint8Array>, type?: string) => uploads.store(token, name, type, body)
  await assert.rejects(send(hash, bytes('hell')), refused('wrong_content', /ended after 4 of 5/))
  await assert.rejects(send(hash, bytes('hello!')), refused('wrong_content', /longer/))
  await assert.rejects(send(hash, bytes('jello')), refused('wrong_content', /has the hash/))
  await assert.rejects(send('0'.repeat(32), bytes('x')), refused('unknown_file', /No file/))
  await assert.rejects(send(hash, bytes('hello'), 'a\nb'), refused('bad_request', /media type/))
  const broken = async function* () {
    yield Buffer.from('he')
    throw new Error('connection lost')
  }
  await assert.rejects(send(hash, broken()), /connection lost/)
  assert.equal(await count(), before)
  await assert.rejects(uploads.authorize(`${jwt}x`), refused('bad_token', /not a token/))
  await assert.rejects(uploads.resolveCompletion(jwt), refused('bad_token', /not a token/))
  pass(3_601_000)
  await assert.rejects(uploads.authorize(jwt), refused('token_expired', /expired/))
})

test('lists that cannot be used are refused by file', async () => {
  const { uploads } = await platform()
  const good = { hash: '0'.repeat(32), size: 1 }
  const table: [unknown, RegExp][] = [
    [[], /object of paths/],
    [null, /object of paths/],
    [{ 'a.txt': good }, /begin with a slash/],
    [{ '/../a': good }, /segment/],
    [{ '/a/./b': good }, /segment/],
    [{ '/a//b': good }, /empty segment/],
    [{ '/a\0': good }, /NUL/],
    [{ '/a': { ...good, hash: 'x' } }, /hash of \/a/],
    [{ '/a': { ...good, size: -1 } }, /size of \/a/],
    [{ '/a': null }, /hash of \/a/],
    [{ '/a': { ...good, size: 26 * 1024 * 1024 } }, /at most 26214400/],
    [{ '/a.txt': good, '/b.html': good }, /same hash/],
    [Object.fromEntries(Array.from({ length: 100_001 }, (_, index) => [`/${index}`, good])), /at most 100000/],
  ]
  for (const [manifest, message] of table) await assert.rejects(uploads.open('site', manifest), { message })
})

test('configuration is checked value by value', () => {
  const base = { program: 'site', hasCode: true, compatibilityDate: '2026-11-01' }
  const parse = (config: unknown, context = {}) => parseAssetsConfig(config, { ...base, ...context }, defaultLimits)
  assert.deepEqual(parse(undefined), {
    htmlHandling: 'auto-trailing-slash',
    notFoundHandling: 'none',
    runProgramFirst: false,
    navigationPrefersFiles: true,
  })
  assert.equal(parse({}, { compatibilityDate: '2025-03-31' }).navigationPrefersFiles, false)
  assert.equal(parse({}, { compatibilityFlags: ['assets_navigation_has_no_effect'] }).navigationPrefersFiles, false)
  assert.deepEqual(parse({ run_worker_first: ['/api/*'] }).runProgramFirst, ['/api/*'])
  assert.equal(parse({ _headers: '/*\n  a: b' }).headersFile, '/*\n  a: b')
  assert.equal(parse({ base_path: 'app//x/../y' }).basePath, '/app/y/')
  assert.equal(parse({ base_path: '/' }).basePath, undefined)
  const table: [unknown, object, string, RegExp][] = [
    [{ base_path: 'https://example.com/' }, {}, 'bad_config', /base_path is .*not a URL/],
    [{ base_path: '/a%20b' }, {}, 'bad_config', /percent/],
    [[], {}, 'bad_config', /must be an object/],
    [{ html_handling: 'x' }, {}, 'bad_config', /html_handling is "x"; known values are auto/],
    [{ not_found_handling: 1 }, {}, 'bad_config', /not_found_handling is 1/],
    [{ serve_directly: true }, {}, 'bad_config', /serve_directly is not supported/],
    [{ run_worker_first: 'yes' }, {}, 'bad_config', /true, false or a list/],
    [{ run_worker_first: true }, { hasCode: false }, 'bad_config', /no program to run/],
    [{ run_worker_first: ['api'] }, {}, 'bad_config', /Invalid routes/],
    [{ _redirects: '/a\n/* /index.html 200' }, {}, 'bad_redirects', /Line 1: .*\nLine 2: Infinite loop/],
    [{ _headers: '/a\nb' }, {}, 'bad_headers', /Line 1: No headers.*\nLine 2: Expected/s],
    [{ _headers: 7 }, {}, 'bad_config', /text of the file/],
    [{ _redirects: 'x'.repeat(1_100_000) }, {}, 'bad_config', /larger than/],
  ]
  for (const [config, context, why, message] of table)
    assert.throws(() => parse(config, context), { why, message }, JSON.stringify(config).slice(0, 80))
})

test('a completion token is good for its own program', async () => {
  const { uploads } = await platform()
  const { jwt } = await uploads.open('site', {})
  const context = { program: 'site', hasCode: false }
  assert.equal((await uploads.assetsDeploymentFrom({ jwt, config: {} }, context)).files, 0)
  const refused = (metadata: unknown, message: RegExp, program = 'site') =>
    assert.rejects(uploads.assetsDeploymentFrom(metadata, { ...context, program }), { message })
  await refused({ jwt }, /uploaded for 'site', not for 'other'/, 'other')
  await refused({ jwt: 'x' }, /not a token/)
  await refused({ jwt, other: '/x' }, /assets.other is not supported/)
  await refused({}, /completion token/)
})
