/** Small bindings, each bound by the real wrangler and used by a real Worker: rate limits, code that is loaded at run time. */
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
before(async () => {
  node = await startNode(undefined)
  const folder = await temporaryFolder(undefined, 'bindings')
  writeFileSync(join(folder, 'index.js'), worker)
  for (const name of ['small', 'other']) {
    writeFileSync(join(folder, 'wrangler.json'), JSON.stringify({ ...config, name }))
    await wrangler(node, folder, ['deploy'])
  }
})
after(() => node?.stop('SIGKILL'))

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
