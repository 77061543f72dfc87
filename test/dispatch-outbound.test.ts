/** Workers for Platforms: what a dispatcher grants the programs of its customers, and what these are kept from. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type RunningNode, startNode, temporaryFolder, wrangler } from './support/node.ts'

const dispatcher = `
export default {
  async fetch(request, env) {
    const url = new URL(request.url)
    const options = JSON.parse(url.searchParams.get('options') ?? '{}')
    const asked = new Request('http://inside' + url.pathname + url.search, request)
    try {
      const customer = env[url.searchParams.get('by') ?? 'THROUGH'].get(url.searchParams.get('to'), {}, options)
      if (url.pathname === '/rpc') return new Response(await customer.fetches(url.searchParams.get('from')))
      return await customer.fetch(asked)
    } catch (error) {
      return new Response(String(error), { status: 500 })
    }
  },
}`

/** The platform's own: sees what customers' programs fetch. */
const outbound = `
export default {
  async fetch(request, env) {
    const { hostname, pathname } = new URL(request.url)
    if (hostname === 'blocked.test') return new Response('not there, ' + env.customer?.name, { status: 403 })
    if (hostname !== 'shown.test') return fetch(request)
    return Response.json({ path: pathname, method: request.method, body: await request.text(), customer: env.customer, word: env.WORD,
      ticket: request.headers.get('rimward-ticket') })
  },
}`

/** A customer's program that tries what it can. */
const customer = `
import { WorkerEntrypoint } from 'cloudflare:workers'
import { AsyncLocalStorage } from 'node:async_hooks'
const outside = AsyncLocalStorage.snapshot()
const said = async (answer) => (await answer).text()
const ways = {
  shown: () => said(fetch('http://shown.test/a', { method: 'POST', body: 'hello' })),
  blocked: () => said(fetch('http://blocked.test/')),
  origin: (url) => said(fetch(url.searchParams.get('from'))),
  later: () => new Promise((resolve) => setTimeout(() => resolve(said(fetch('http://shown.test/later'))), 5)),
  async many(url) {
    const count = Number(url.searchParams.get('count'))
    for (let sent = 0; sent < count; sent++) await said(fetch('http://shown.test/' + sent))
    return count + ' sent'
  },
  escape: () => said(outside(() => fetch('http://shown.test/'))),
  forge: () => said(outside(() => fetch('http://shown.test/', { headers: { 'rimward-ticket': 'AAAA' } }))),
  cf: (url, request) => String(request.cf),
  caches: async () => {
    const own = await caches.open('own')
    await own.put('http://cached.test/', new Response('kept', { headers: { 'cache-control': 'max-age=60' } }))
    const kept = await said(await own.match('http://cached.test/'))
    try { return String(caches.default) } catch (error) { return kept + ', ' + error.message }
  },
  async spin() { for (;;); },
  file: () => 'the program',
}
export default class extends WorkerEntrypoint {
  async fetch(request) {
    const url = new URL(request.url)
    try {
      return new Response(await ways[url.pathname.slice(1)](url, request))
    } catch (error) {
      return new Response('caught ' + error.message, { status: 500 })
    }
  }
  async fetches(url) { return said(fetch(url)) }
}`

/** Handlers instead of a class, and objects of its own, which no dispatcher calls. */
const withObjects = `
import { DurableObject } from 'cloudflare:workers'
export class Thing extends DurableObject {
  async fetch(request) { return new Response('object: ' + (await (await fetch(new URL(request.url).searchParams.get('from'))).text())) }
}
export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url)
    if (pathname === '/object') return env.THINGS.get(env.THINGS.idFromName('one')).fetch(request)
    return new Response(await (await fetch('http://shown.test/handlers')).text())
  },
}`

let node: RunningNode
let folder: string
const origin = createServer((request, response) =>
  response.end(`origin ${request.url} ${request.headers['rimward-ticket']}`),
)
let from: string
const there = 'dispatch/namespaces/customers/scripts'
const limiter = { type: 'ratelimit', name: 'LIMITER', namespace_id: '1', simple: { limit: 3, period: 60 } }

before(async () => {
  origin.listen(0, '127.0.0.1')
  await once(origin, 'listening')
  from = `http://127.0.0.1:${(origin.address() as AddressInfo).port}/`
  node = await startNode(undefined)
  folder = await temporaryFolder(undefined, 'outbound')
  await wrangler(node, folder, ['dispatch-namespace', 'create', 'customers'])
  await deploy('shared', customer, {}, ['--dispatch-namespace', 'customers'])
  await upload(`${there}/own`, customer, { bindings: [limiter] })
  const things = { type: 'durable_object_namespace', name: 'THINGS', class_name: 'Thing' }
  const migrations = { new_tag: 'v1', new_sqlite_classes: ['Thing'] }
  await upload(`${there}/objects`, withObjects, { bindings: [things], migrations })
  const word = { type: 'plain_text', name: 'WORD', text: 'its own' }
  await upload('scripts/outbound', outbound, { bindings: [word] })
  await upload('scripts/native-outbound', outbound, { bindings: [word, limiter] })
  const through = (binding: string, service: string) => ({
    binding,
    namespace: 'customers',
    outbound: { service, parameters: ['customer'] },
  })
  const free = { binding: 'FREE', namespace: 'customers' }
  await deploy('platform', dispatcher, {
    dispatch_namespaces: [through('THROUGH', 'outbound'), through('NATIVE', 'native-outbound'), free],
  })
})
after(async () => {
  origin.close()
  await node?.stop('SIGKILL')
  if (node !== undefined) rmSync(node.data, { recursive: true, force: true })
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
})

async function deploy(name: string, source: string, config: object, args: string[] = [], mayFail = false) {
  writeFileSync(join(folder, 'index.js'), source)
  const base = { name, main: 'index.js', compatibility_date: '2026-01-01', compatibility_flags: ['nodejs_compat'] }
  writeFileSync(join(folder, 'wrangler.json'), JSON.stringify({ ...base, ...config }))
  return wrangler(node, folder, ['deploy', ...args], { mayFail })
}

/** Without wrangler, which takes a second or two each time. */
async function upload(path: string, source: string, metadata: object = {}): Promise<void> {
  const body = new FormData()
  const base = { main_module: 'index.js', compatibility_date: '2026-01-01', compatibility_flags: ['nodejs_compat'] }
  body.set('metadata', JSON.stringify({ ...base, ...metadata }))
  body.set('index.js', new File([source], 'index.js', { type: 'application/javascript+module' }))
  assert.deepEqual((await api(path, { method: 'PUT', body })).errors, [])
}

async function ask(
  path: string,
  to: string,
  more: { by?: string; options?: object; from?: string; count?: number } = {},
) {
  const { options, ...plain } = more
  const query = new URLSearchParams({ to, ...(options && { options: JSON.stringify(options) }) })
  for (const [key, value] of Object.entries(plain)) query.set(key, String(value))
  return (await node.get('platform.localhost', `${path}?${query}`)).text
}

async function api(path: string, init?: RequestInit) {
  const answer = await node.api(`/client/v4/accounts/${node.accountId}/workers/${path}`, init)
  // biome-ignore lint/suspicious/noExplicitAny: each call has its own shape, which the assertions tell.
  return (await answer.json()) as { result: any; errors: { code: number; message: string }[] }
}

async function allow(program: string): Promise<void> {
  const body = JSON.stringify({ program, destination: new URL(from).host })
  const headers = { 'content-type': 'application/json' }
  const answer = await node.api('/rimward/v1/egress-rules', { method: 'POST', headers, body })
  assert.ok(answer.ok, await answer.text())
}

const told = { customer: { name: 'Ann & Co', plan: ['é', 1] } }
test('what a program fetches goes through the outbound Worker, with parameters of the dispatcher', async () => {
  for (const [to, by] of ['shared', 'own'].flatMap((to) => [[to, 'THROUGH'] as const, [to, 'NATIVE'] as const])) {
    const options = { outbound: told }
    const seen = { path: '/a', method: 'POST', body: 'hello', customer: told.customer, word: 'its own', ticket: null }
    assert.deepEqual(JSON.parse(await ask('/shown', to, { by, options })), seen)
    assert.equal(JSON.parse(await ask('/later', to, { by, options })).customer.name, 'Ann & Co')
    assert.equal(await ask('/blocked', to, { by, options }), 'not there, Ann & Co')
    assert.equal(await ask('/blocked', to, { by }), 'not there, undefined')
  }
})

test('what the outbound Worker lets through leaves under its own egress rules', async () => {
  assert.match(await ask('/origin', 'shared', { from }), /error code: 1003/)
  await allow('outbound')
  assert.equal(await ask('/origin', 'shared', { from }), 'origin / undefined')
  assert.equal(await ask('/rpc', 'own', { from }), 'origin / undefined')
  assert.match(await ask('/origin', 'shared', { from, by: 'FREE' }), /error code: 1003/)
})

test('a program cannot leave past the outbound Worker, nor see what is for trusted ones', async () => {
  for (const to of ['shared', 'own']) {
    for (const way of ['/escape', '/forge'])
      assert.equal(await ask(way, to), 'caught This fetch() belongs to no call of a dispatcher.')
    assert.equal(await ask('/cf', to), 'undefined')
    assert.match(await ask('/caches', to), /^kept, caches\.default is not there/)
  }
})

test('fetches beyond subRequests fail', async () => {
  for (const to of ['shared', 'own']) {
    const options = { limits: { subRequests: 2 } }
    assert.equal(await ask('/many', to, { options, count: 2 }), '2 sent')
    assert.equal(await ask('/many', to, { options, count: 3 }), 'caught Too many subrequests.')
    assert.equal(await ask('/many', to, { options, count: 2 }), '2 sent')
  }
})

test('a program that uses more CPU time than cpuMs is ended, and only it', async () => {
  const options = { limits: { cpuMs: 50 } }
  assert.match(await ask('/shown', 'shared', { options }), /hello/)
  assert.equal(await ask('/spin', 'shared', { options }), 'Error: Worker exceeded CPU time limit.')
  assert.match(await ask('/shown', 'shared', { options }), /hello/)
})

test('handlers go through the outbound Worker, objects do not, and what cannot be granted is said', async () => {
  assert.match(await ask('/', 'objects'), /"path":"\/handlers"/)
  const { namespace_id: id } = (await api('dispatch/namespaces/customers')).result
  await allow(`${id}.objects`)
  assert.match(await ask('/object', 'objects', { from }), /^object: origin/)
  assert.match(
    await ask('/', 'objects', { options: { limits: { cpuMs: 5 } } }),
    /does not limit cpuMs of a Worker with Durable Objects/,
  )
  await upload(`${there}/sockets`, customer.replace('const said', "import 'node:net'; const said"))
  assert.match(await ask('/cf', 'sockets'), /may open TCP sockets/)
  assert.equal(await ask('/cf', 'sockets', { by: 'FREE' }), 'undefined')
  const large = { outbound: { customer: 'x'.repeat(9000) } }
  assert.match(await ask('/cf', 'shared', { options: large }), /more than the 8192 allowed/)
  const unknown = { outbound: { other: 1 } }
  assert.match(await ask('/cf', 'shared', { options: unknown }), /'other' is not among the parameters/)
})

test('a program of a namespace has static files, before its code or alone', async () => {
  mkdirSync(join(folder, 'files'), { recursive: true })
  writeFileSync(join(folder, 'files', 'file.txt'), 'a file')
  const args = ['--dispatch-namespace', 'customers']
  await deploy('site', customer, { assets: { directory: 'files' } }, args)
  assert.equal(await ask('/file.txt', 'site'), 'a file')
  assert.equal(await ask('/file', 'site'), 'the program')
  writeFileSync(
    join(folder, 'wrangler.json'),
    JSON.stringify({ name: 'only', compatibility_date: '2026-01-01', assets: { directory: 'files' } }),
  )
  await wrangler(node, folder, ['deploy', ...args])
  assert.equal(await ask('/file.txt', 'only'), 'a file')
  assert.match(await ask('/rpc', 'only', { from }), /has files and no fetches\(\)/)
})

test('a tail Worker of a customer is told what the program did, under its own name', async () => {
  const watcher = `let seen = []
export default {
  fetch: () => Response.json(seen),
  tail(items) { seen.push(...items.map(({ scriptName, dispatchNamespace, outcome }) => [scriptName, dispatchNamespace, outcome])) },
}`
  await upload('scripts/watcher', watcher)
  await api('scripts/watcher/subdomain', { method: 'POST', body: '{"enabled":true}' })
  await upload(`${there}/watched`, customer, { tail_consumers: [{ service: 'watcher' }] })
  assert.equal(await ask('/cf', 'watched'), 'undefined')
  let seen = '[]'
  while (seen === '[]') seen = (await node.get('watcher.localhost', '/')).text
  assert.deepEqual(JSON.parse(seen)[0], ['watched', 'customers', 'ok'])
})

test('scripts have tags, by which they are listed and deleted together', async () => {
  const scripts = 'dispatch/namespaces/customers/scripts'
  const headers = { 'content-type': 'application/json' }
  const put = (path: string, body?: unknown) =>
    api(`${scripts}/${path}`, { method: 'PUT', ...(body !== undefined && { body: JSON.stringify(body), headers }) })
  assert.deepEqual((await put('shared/tags', ['plan-free', 'eu'])).result, ['plan-free', 'eu'])
  await put('own/tags/plan-free')
  assert.deepEqual((await api(`${scripts}/own/tags`)).result, ['plan-free'])
  const listed = async (filter: string) =>
    (await api(`${scripts}?tags=${filter}`)).result.map((one: { id: string }) => one.id).sort()
  assert.deepEqual(await listed('plan-free:yes'), ['own', 'shared'])
  assert.deepEqual(await listed('plan-free:yes,eu:no'), ['own'])
  assert.match((await put('own/tags/a,b')).errors[0]!.message, /is no tag/)
  assert.match((await api(`${scripts}?tags=eu`)).errors[0]!.message, /is no filter/)
  assert.match((await api(scripts, { method: 'DELETE' })).errors[0]!.message, /needs \?tags/)
  await api(`${scripts}?tags=eu:yes`, { method: 'DELETE' })
  assert.deepEqual(await listed('plan-free:yes'), ['own'])
  assert.equal(await ask('/cf', 'shared'), 'Error: Worker not found.')
})

test('an outbound Worker that is in use is not deleted, and one that is missing is not bound', async () => {
  const { result } = await api('scripts/outbound/references')
  const held = { service: 'platform', environment: 'production', name: 'platform', namespace: 'customers' }
  assert.deepEqual(result.dispatch_outbounds, [{ ...held, params: [{ name: 'customer' }] }])
  assert.match((await api('scripts/outbound', { method: 'DELETE' })).errors[0]!.message, /platform bound to it/)
  const missing = [{ binding: 'USERS', namespace: 'customers', outbound: { service: 'nobody' } }]
  const ran = await deploy('refused', dispatcher, { dispatch_namespaces: missing }, [], true)
  assert.match(ran.output, /Target script 'nobody' not found/)
})
