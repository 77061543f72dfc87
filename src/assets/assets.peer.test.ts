/** The same files behind Cloudflare's own asset worker (in miniflare) and behind ours: the same answers. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { serializeManifest } from '#/core/asset-manifest.ts'
import { defaultLimits } from '#/core/limits.ts'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import type { AssetsDeployment } from '#/core/snapshot.ts'
import { createAssets } from './assets.ts'

const files = [
  '/index.html',
  '/404.html',
  '/file.html',
  '/folder/index.html',
  '/both.html',
  '/both/index.html',
  '/bin',
  '/bin.html',
  '/tool/index',
  '/deep/404.html',
  '/logo.png',
  '/[x].html',
  '/sp ace.txt',
  '/ünï.html',
  '/per%cent.txt',
]

const redirects = `/old /new 301
/query /new?a=1#top
/moved/* /posts/:splat 308
/u/:id/x /folder/ 200
/ext/* https://example.com/:splat?z=1 307
/gone /nowhere 200
/slashes/* /:splat
`

const headers = `/*
  X-All: yes
/file
  X-All: again
  ! Cache-Control
/logo.png
  Cache-Control: max-age=5
  X-Name: :splat
/deep/:name
  X-Deep: :name
`

const stems = ['', '/', '/index', '/index/', '/index.html', '/index.html/', '.html', '.html/']
const paths = [
  ...['', '/file', '/folder', '/both', '/bin', '/tool', '/deep', '/missing', '/a/b'].flatMap((name) =>
    stems.map((stem) => name + stem),
  ),
  ...['/logo.png', '/logo.png?q=1', '/[x]', '/%5Bx%5D', '/%5bx%5d', '/sp%20ace.txt', '/sp ace.txt', '/%C3%BCn%C3%AF'],
  ...[
    '/ünï',
    '/per%25cent.txt',
    '/per%cent.txt',
    '//file',
    '/folder//',
    '/x/../file',
    '/%66ile',
    '/folder%2Findex.html',
  ],
  ...[
    '/%',
    '/%ff',
    '/%00',
    '/..%2ffile',
    '/a\\b',
    '/old',
    '/old?x=1',
    '/old/',
    '/query?x=2',
    '/moved/a/b',
    '/moved//x',
  ],
  ...['/u/7/x', '/u/7/y', '/ext/a?b=1', '/gone', '/slashes//example.com', '/slashes/%2f%2fexample.com', '/deep/x'],
].filter((path) => path.startsWith('/'))

const kept = ['location', 'content-type', 'cache-control', 'x-all', 'x-name', 'x-deep']

type Config = Pick<AssetsDeployment, 'htmlHandling' | 'notFoundHandling' | 'basePath'>

async function peer(t: TestContext, config: Config) {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-peer-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  for (const [path, text] of [...files.map((file) => [file, file]), ['_redirects', redirects], ['_headers', headers]]) {
    await mkdir(dirname(join(folder, path!)), { recursive: true })
    await writeFile(join(folder, path!), text!)
  }
  const options = convertV4MiniflareOptions({
    name: 'site',
    compatibilityDate: '2026-11-01',
    modules: true,
    script: 'export default {}',
    assets: {
      directory: folder,
      routerConfig: { has_user_worker: false },
      assetConfig: {
        html_handling: config.htmlHandling,
        not_found_handling: config.notFoundHandling,
        ...(config.basePath === undefined ? {} : { base_path: config.basePath }),
      },
    },
  })
  const miniflare = new Miniflare(options)
  t.after(() => miniflare.dispose())
  const base = await miniflare.ready
  return async (path: string) => {
    const response = await fetch(new URL(`http://${base.host}${path}`), { redirect: 'manual' })
    const text = await response.text()
    return { status: response.status, text, headers: kept.map((name) => response.headers.get(name)) }
  }
}

async function ours(config: Config) {
  const { blobs } = createMemoryFabric(() => 0)
  const manifest = new Map()
  const types: Record<string, string> = {
    html: 'text/html; charset=utf-8',
    txt: 'text/plain; charset=utf-8',
    png: 'image/png',
  }
  for (const file of files) {
    const { hash, bytes } = await blobs.put(Buffer.from(file))
    const type = types[file.split('.')[1] ?? '']
    manifest.set(file, { hash: hash.slice(0, 32), blob: hash, size: bytes, ...(type === undefined ? {} : { type }) })
  }
  const stored = await blobs.put(serializeManifest(manifest))
  const assets = createAssets({ blobs, limits: defaultLimits })
  const deployment: AssetsDeployment = {
    ...config,
    manifest: stored.hash,
    files: files.length,
    runProgramFirst: false,
    redirectsFile: redirects,
    headersFile: headers,
  }
  return async (path: string) => {
    // As fetch sends it.
    const url = new URL(`http://h${path}`)
    const answer = await assets.answer(deployment, { method: 'GET', path: url.pathname + url.search, headers: [] })
    const { body } = answer
    const bytes = body === null ? Buffer.alloc(0) : body instanceof Uint8Array ? body : await buffer(body)
    const found = new Headers()
    for (let index = 0; index < answer.headers.length; index += 2)
      found.append(answer.headers[index]!, answer.headers[index + 1]!)
    const shown = kept.map((name) => found.get(name))
    return { status: answer.status, text: Buffer.from(bytes).toString(), headers: shown }
  }
}

const handlings = ['auto-trailing-slash', 'force-trailing-slash', 'drop-trailing-slash', 'none'] as const
const notFounds = ['none', '404-page', 'single-page-application'] as const

for (const [index, htmlHandling] of handlings.entries())
  test(`${htmlHandling}: the same answers as Cloudflare's asset worker`, async (t) => {
    const config = { htmlHandling, notFoundHandling: notFounds[index % notFounds.length]! }
    const [theirs, mine] = await Promise.all([peer(t, config), ours(config)])
    for (const path of paths)
      assert.deepEqual(await mine(path), await theirs(path), `${path} (${config.notFoundHandling})`)
  })

for (const htmlHandling of handlings)
  test(`base_path with ${htmlHandling}: the same answers`, async (t) => {
    const config: Config = { htmlHandling, notFoundHandling: '404-page', basePath: '/blog/' }
    const [theirs, mine] = await Promise.all([peer(t, config), ours(config)])
    const below = ['/', '/index.html', '/blog', '/blogs', '/%62log', '/old', ...paths.map((path) => `/blog${path}`)]
    for (const path of below) assert.deepEqual(await mine(path), await theirs(path), path)
  })
