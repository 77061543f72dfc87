/** Small bindings, each bound by the real wrangler and used by a real Worker: rate limits, shared secrets, loaded code. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type RunningNode, startNode, temporaryFolder, wrangler } from './support/node.ts'

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
