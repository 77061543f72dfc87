/** Small bindings, each bound by the real wrangler and used by a real Worker: rate limits, shared secrets, loaded code. */
import assert from 'node:assert/strict'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type RunningNode, root, startNode, temporaryFolder, wrangler } from './support/node.ts'

const worker = `
const limits = {
  async limited(url, env) {
    const { success } = await env.LIMITER.limit(JSON.parse(url.searchParams.get('options')))
    return Response.json({ success })
  },
  async secret(url, env) {
    return new Response(await env.SHARED.get())
  },
  async loaded(url, env) {
    const worker = env.LOADER.get(url.searchParams.get('id'), () => ({
      compatibilityDate: '2026-01-01',
      mainModule: 'main.js',
      modules: { 'main.js': 'export default { fetch: (request, env) => new Response(env.GREETING + " " + new URL(request.url).pathname) }' },
      env: { GREETING: 'loaded' },
      globalOutbound: null,
    }))
    return worker.getEntrypoint().fetch('http://inside/path')
  },
}
export default {
  async fetch(request, env) {
    const url = new URL(request.url)
    try {
      return await limits[url.pathname.slice(1)](url, env)
    } catch (error) {
      return new Response(String(error), { status: 500 })
    }
  },
}`

const config = {
  name: 'small',
  main: 'index.js',
  compatibility_date: '2026-11-01',
  ratelimits: [{ name: 'LIMITER', namespace_id: '1001', simple: { limit: 3, period: 60 } }],
  worker_loaders: [{ binding: 'LOADER' }],
}

let node: RunningNode
let folder: string
let store: string
before(async () => {
  node = await startNode(undefined)
  folder = await temporaryFolder(undefined, 'bindings')
  writeFileSync(join(folder, 'index.js'), worker)
  const made = await wrangler(node, folder, ['secrets-store', 'store', 'create', 'common', '--remote'])
  store = /ID: (\S+?)\)?$/m.exec(made.output)![1]!
  await keep('API_KEY', 'first value')
  for (const name of ['small', 'other']) {
    writeFileSync(
      join(folder, 'wrangler.json'),
      JSON.stringify({
        ...config,
        name,
        secrets_store_secrets: [{ binding: 'SHARED', store_id: store, secret_name: 'API_KEY' }],
      }),
    )
    await wrangler(node, folder, ['deploy'])
  }
})
after(() => node?.stop('SIGKILL'))

const keep = (name: string, value: string) =>
  wrangler(node, folder, [
    'secrets-store',
    'secret',
    'create',
    store,
    '--name',
    name,
    '--scopes',
    'workers',
    '--remote',
    '--value',
    value,
  ])

const limited = async (options: object, host = 'small') => {
  const answer = await node.get(`${host}.localhost`, `/limited?options=${encodeURIComponent(JSON.stringify(options))}`)
  return answer.status === 200 ? (JSON.parse(answer.text) as { success: boolean }).success : answer.text
}

test('a rate limit counts by key, over all programs of its namespace', async () => {
  // A window that ends in between starts again: then three more may pass, never six.
  const asked: unknown[] = []
  for (let time = 0; time < 7; time++) asked.push(await limited({ key: 'ann' }, time % 2 === 0 ? 'small' : 'other'))
  const passed = asked.filter((success) => success === true).length
  assert.ok(passed >= 3 && passed <= 6, `${passed} of 7 passed a limit of 3`)
  assert.ok(asked.includes(false))
  assert.equal(await limited({ key: 'bob' }), true)
})

for (const [options, says] of [
  [{ key: 'a', more: 1 }, 'Error: bad rate limit options: [more]'],
  [{ key: 7 }, 'Error: invalid key: 7'],
  [{ key: 'a', period: 30 }, 'Error: unsupported period: 30'],
  [{ key: 'a'.repeat(1025) }, 'Error: The key has 1025 bytes, more than the 1024 allowed.'],
] as const)
  test(`a rate limit refuses ${JSON.stringify(options).slice(0, 40)}`, async () => {
    assert.equal(await limited(options), says)
  })

test('a program runs code that it brings, and the code reaches nothing but what it is given', async () => {
  const { status, text } = await node.get('small.localhost', '/loaded?id=one')
  assert.deepEqual([status, text], [200, 'loaded /path'])
})

test('programs share the secrets of a store, and read a new value without a new deploy', async () => {
  const read = async (program: string) => (await node.get(`${program}.localhost`, '/secret')).text
  assert.deepEqual([await read('small'), await read('other')], ['first value', 'first value'])
  const listed = await wrangler(node, folder, ['secrets-store', 'secret', 'list', store, '--remote'])
  assert.match(listed.output, /API_KEY/)
  assert.doesNotMatch(listed.output, /first value/)
  const id = /[0-9a-f]{32}/.exec(listed.output)![0]
  const at = ['--secret-id', id, '--remote']
  await wrangler(node, folder, [
    'secrets-store',
    'secret',
    'update',
    store,
    ...at,
    '--value',
    'second',
    '--scopes',
    'workers',
  ])
  assert.deepEqual([await read('small'), await read('other')], ['second', 'second'])
  assert.match((await wrangler(node, folder, ['secrets-store', 'secret', 'get', store, ...at])).output, /API_KEY/)
  await wrangler(node, folder, ['secrets-store', 'secret', 'delete', store, ...at])
  assert.equal(await read('small'), 'Error: Secret "API_KEY" not found')
})

test('a secret that is not there is refused at the deploy, by name', async () => {
  const secrets_store_secrets = [{ binding: 'SHARED', store_id: store, secret_name: 'MISSING' }]
  writeFileSync(join(folder, 'wrangler.json'), JSON.stringify({ ...config, secrets_store_secrets }))
  const ran = await wrangler(node, folder, ['deploy'], { mayFail: true })
  assert.notEqual(ran.code, 0)
  assert.match(ran.output, /Secret 'MISSING' of the store '.*' not found \(binding 'SHARED'\)/)
})

test('Workers Sites: the real kv-asset-handler serves what the real wrangler uploaded', {
  timeout: 120_000,
}, async (t) => {
  const site = await temporaryFolder(t, 'sites')
  const write = (name: string, text: string) => writeFileSync(join(site, name), text)
  symlinkSync(join(root, 'node_modules'), join(site, 'node_modules'))
  for (const name of ['public', 'public/deep']) mkdirSync(join(site, name))
  write('public/index.html', '<h1>first</h1>')
  write('public/deep/app.js', 'export const deep = true')
  write('modules.js', siteModule)
  write('script.js', siteScript)
  const deployed = async (main: string) => {
    const names = { name: main.slice(0, -3), main, compatibility_date: '2026-11-01' }
    write('wrangler.json', JSON.stringify({ ...names, site: { bucket: './public' } }))
    return (await wrangler(node, site, ['deploy'])).output
  }
  const get = async (name: string, path: string, headers = {}) => {
    const { status, text, headers: told } = await node.get(`${name}.localhost`, path, { headers })
    return [status, text, told['content-type'], told.etag] as const
  }
  for (const main of ['modules.js', 'script.js']) {
    assert.match(await deployed(main), /Uploaded 2 of 2 assets|2 new asset/s)
    const name = main.slice(0, -3)
    const [status, text, type, etag] = await get(name, '/')
    assert.deepEqual([status, text, type], [200, '<h1>first</h1>', 'text/html; charset=utf-8'])
    assert.deepEqual((await get(name, '/deep/app.js')).slice(0, 2), [200, 'export const deep = true'])
    assert.equal((await get(name, '/nowhere'))[0], 404)
    assert.equal((await get(name, '/', { 'if-none-match': etag }))[0], 304)
  }
  write('public/index.html', '<h1>second</h1>')
  const output = await deployed('modules.js')
  assert.match(output, /Uploaded 1 of 1 asset|1 new asset/s)
  assert.equal((await get('modules', '/'))[1], '<h1>second</h1>')
  const { output: spaces } = await wrangler(node, site, ['kv', 'namespace', 'list'])
  assert.match(spaces, /__modules-workers_sites_assets/)
})

const siteModule = `
import { getAssetFromKV, NotFoundError } from '@cloudflare/kv-asset-handler'
import manifest from '__STATIC_CONTENT_MANIFEST'

export default {
  async fetch(request, env, ctx) {
    try {
      const options = { ASSET_NAMESPACE: env.__STATIC_CONTENT, ASSET_MANIFEST: JSON.parse(manifest) }
      return await getAssetFromKV({ request, waitUntil: (promise) => ctx.waitUntil(promise) }, options)
    } catch (error) {
      return new Response(String(error), { status: error instanceof NotFoundError ? 404 : 500 })
    }
  },
}`

const siteScript = `
import { getAssetFromKV, NotFoundError } from '@cloudflare/kv-asset-handler'

addEventListener('fetch', (event) => {
  const refuse = (error) => new Response(String(error), { status: error instanceof NotFoundError ? 404 : 500 })
  event.respondWith(getAssetFromKV(event).catch(refuse))
})`
