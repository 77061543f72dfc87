/** Workers for Platforms: a namespace made, filled and bound by the real wrangler, and a Worker that dispatches into it. */
import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type RunningNode, startNode, temporaryFolder, wrangler } from './support/node.ts'

const dispatcher = `
const ways = {
  forward: (url, env, request) => env.DISPATCHER.get(url.searchParams.get('to')).fetch(request),
  async posted(url, env) {
    const body = new Blob(['from the dispatcher']).stream()
    return env.DISPATCHER.get('ann').fetch('http://inside/echo?a=b', { method: 'POST', body, headers: { 'x-of': 'mine' } })
  },
  async endless(url, env) {
    const { body } = await env.DISPATCHER.get('ann').fetch('http://inside/endless')
    const reader = body.getReader()
    const { value } = await reader.read()
    await reader.cancel()
    return new Response(value)
  },
  async called(url, env) {
    return new Response(await env.DISPATCHER.get('bob').add(2, 3))
  },
  async options(url, env) {
    return env.DISPATCHER.get('ann', {}, JSON.parse(url.searchParams.get('options'))).fetch('http://inside/')
  },
}
export default {
  async fetch(request, env) {
    const url = new URL(request.url)
    try {
      return await ways[url.pathname.slice(1)](url, env, request)
    } catch (error) {
      return new Response(String(error), { status: 500 })
    }
  },
}`

const ann = `
export default {
  async fetch(request, env) {
    const { pathname, search } = new URL(request.url)
    if (pathname === '/endless') return new Response(new ReadableStream({
      async pull(controller) {
        await scheduler.wait(1)
        controller.enqueue(new TextEncoder().encode('and so on '))
      },
    }))
    if (pathname === '/echo') return Response.json({
      method: request.method, search, of: request.headers.get('x-of'),
      inner: request.headers.get('rimward-dispatch'), body: await request.text(),
    })
    return new Response('ann ' + (env.WORD ?? 'without a word'))
  },
}`

/** Runs in a cell of its own, because of its binding. */
const bob = `
import { WorkerEntrypoint } from 'cloudflare:workers'
export default class extends WorkerEntrypoint {
  fetch() { return new Response('bob') }
  add(a, b) { return String(a + b) }
}`

let node: RunningNode
let folder: string
before(async () => {
  node = await startNode(undefined)
  folder = await temporaryFolder(undefined, 'dispatch')
  await wrangler(node, folder, ['dispatch-namespace', 'create', 'first-name'])
  await wrangler(node, folder, ['dispatch-namespace', 'rename', 'first-name', 'customers'])
  await deploy('ann', ann, {}, ['--dispatch-namespace', 'customers'])
  const ratelimits = [{ name: 'LIMITER', namespace_id: '1', simple: { limit: 3, period: 60 } }]
  await deploy('bob', bob, { ratelimits }, ['--dispatch-namespace', 'customers'])
  await deploy('platform', dispatcher, bound('customers'))
})
after(async () => {
  await node?.stop('SIGKILL')
  if (node !== undefined) rmSync(node.data, { recursive: true, force: true })
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
})

const bound = (namespace: string) => ({
  dispatch_namespaces: [{ binding: 'DISPATCHER', namespace }],
})

async function deploy(name: string, source: string, config: object, args: string[] = [], mayFail = false) {
  writeFileSync(join(folder, 'index.js'), source)
  const all = { name, main: 'index.js', compatibility_date: '2026-01-01', ...config }
  writeFileSync(join(folder, 'wrangler.json'), JSON.stringify(all))
  return wrangler(node, folder, ['deploy', ...args], { mayFail })
}

const ask = async (path: string) => (await node.get('platform.localhost', path)).text

async function api(path: string, init?: RequestInit) {
  const answer = await node.api(`/client/v4/accounts/${node.accountId}/workers/${path}`, init)
  // biome-ignore lint/suspicious/noExplicitAny: each call has its own shape, which the assertions tell.
  return (await answer.json()) as { result: any; errors: { code: number; message: string }[] }
}

function upload(bindings: readonly object[], name = 'refused') {
  const body = new FormData()
  body.set('metadata', JSON.stringify({ main_module: 'index.js', compatibility_date: '2026-01-01', bindings }))
  body.set('index.js', new File([dispatcher], 'index.js', { type: 'application/javascript+module' }))
  return api(`scripts/${name}`, { method: 'PUT', body })
}

test('a Worker dispatches to programs by name, wherever they run', async () => {
  assert.equal(await ask('/forward?to=ann'), 'ann without a word')
  assert.equal(await ask('/forward?to=bob'), 'bob')
  assert.equal(await ask('/called'), '5')
})

test('what is dispatched arrives whole, and answers stream', async () => {
  const echoed = { method: 'POST', search: '?a=b', of: 'mine', inner: null, body: 'from the dispatcher' }
  assert.deepEqual(JSON.parse(await ask('/posted')), echoed)
  assert.match(await ask('/endless'), /^(and so on )+$/)
})

for (const name of ['nobody', 'platform', '', '../ann', 'Ann'])
  test(`a program '${name}', which the namespace does not hold, is not found`, async () => {
    assert.equal(await ask(`/forward?to=${encodeURIComponent(name)}`), 'Error: Worker not found.')
  })

const refusedOptions: readonly (readonly [object, string])[] = [
  [{ other: 1 }, "Error: get() of a dispatch namespace: Rimward does not support 'other'."],
  [{ limits: { memory: 1 } }, "Error: get() of a dispatch namespace: Rimward does not support 'limits.memory'."],
  [
    { limits: { cpuMs: 0 } },
    "TypeError: get() of a dispatch namespace: 'limits.cpuMs' is a whole number of at least 1.",
  ],
  [
    { outbound: { who: 'me' } },
    "Error: get() of a dispatch namespace: the binding has no outbound Worker for 'outbound'.",
  ],
]
test('options that a call cannot have are refused by name', async () => {
  const options = (given: object) => ask(`/options?options=${encodeURIComponent(JSON.stringify(given))}`)
  assert.equal(await options({}), 'ann without a word')
  for (const [given, said] of refusedOptions) assert.equal(await options(given), said)
})

test('programs of a namespace are apart from those of the account', async () => {
  const { result: namespace } = await api('dispatch/namespaces/customers')
  assert.equal(namespace.script_count, 2)
  const ids = (list: { id: string }[]) => list.map(({ id }) => id)
  assert.deepEqual(ids((await api('dispatch/namespaces/customers/scripts')).result), ['ann', 'bob'])
  assert.deepEqual(ids((await api('scripts')).result), ['platform'])
  const inner = `${namespace.namespace_id}.ann`
  for (const path of [`scripts/${inner}/settings`, `scripts/${inner}`, `services/ann`])
    assert.ok((await api(path)).errors.length > 0, path)
  assert.equal((await api(`scripts/${inner}`, { method: 'DELETE' })).errors[0]!.code, 10007)
  assert.equal((await upload([], `${namespace.namespace_id}.new`)).errors[0]!.code, 10007)
  assert.notEqual((await node.get('ann.localhost', '/')).status, 200)
  assert.notEqual((await node.get(`${inner}.localhost`, '/')).status, 200)
  // The account's own program of the same name is another one.
  await deploy('ann', `export default { fetch: () => new Response('the other ann') }`, {})
  assert.equal((await node.get('ann.localhost', '/')).text, 'the other ann')
  assert.equal(await ask('/forward?to=ann'), 'ann without a word')
})

test('a program of a namespace has secrets of its own, which are never shown', async () => {
  const path = 'dispatch/namespaces/customers/scripts/ann/secrets'
  const body = JSON.stringify({ name: 'WORD', text: 'keeps a secret', type: 'secret_text' })
  await api(path, { method: 'PUT', body, headers: { 'content-type': 'application/json' } })
  assert.deepEqual((await api(path)).result, [{ name: 'WORD', type: 'secret_text' }])
  assert.equal(await ask('/forward?to=ann'), 'ann keeps a secret')
  const settings = (await api('dispatch/namespaces/customers/scripts/ann/settings')).result
  assert.deepEqual(settings.bindings, [{ name: 'WORD', type: 'secret_text' }])
})

test('a node that is killed knows its namespaces and their programs again', async () => {
  await node.stop('SIGKILL')
  node = await startNode(undefined, { data: node.data })
  assert.equal(await ask('/forward?to=ann'), 'ann keeps a secret')
  assert.equal(await ask('/forward?to=bob'), 'bob')
  assert.equal((await api('dispatch/namespaces')).result[0].script_count, 2)
})

test('what a deploy cannot have is refused by name', async () => {
  const refused = async (config: object, args: string[] = []) => {
    const ran = await deploy('refused', dispatcher, config, args, true)
    assert.notEqual(ran.code, 0)
    return ran.output
  }
  // wrangler would make the namespace; others do not.
  const { errors } = await upload([{ type: 'dispatch_namespace', name: 'DISPATCHER', namespace: 'missing' }])
  assert.match(errors[0]!.message, /there is no dispatch namespace 'missing'/)
  assert.equal(errors[0]!.code, 100119)
  assert.match(await refused({}, ['--dispatch-namespace', 'missing']), /there is no dispatch namespace 'missing'/)
})

test('a namespace is deleted when nobody needs it, a program of it at any time', async () => {
  const namespace = 'dispatch/namespaces/customers'
  const remove = async (mayFail: boolean) =>
    (await wrangler(node, folder, ['dispatch-namespace', 'delete', 'customers'], { mayFail })).output
  assert.match(await remove(true), /it holds 2 scripts/)
  for (const name of ['ann', 'bob']) await api(`${namespace}/scripts/${name}`, { method: 'DELETE' })
  assert.equal((await api(`${namespace}/scripts/ann`)).errors[0]!.code, 10092)
  assert.equal(await ask('/forward?to=ann'), 'Error: Worker not found.')
  assert.match(await remove(true), /platform bound to it/)
  await api('scripts/platform', { method: 'DELETE' })
  assert.match(await remove(false), /Deleted dispatch namespace "customers"/)
  assert.deepEqual((await api('dispatch/namespaces')).result, [])
  assert.match((await wrangler(node, folder, ['dispatch-namespace', 'list'])).output, /\[\]/)
})
