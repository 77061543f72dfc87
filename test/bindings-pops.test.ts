/**
 * Buckets, workflows, limits of rates and dispatch namespaces over three points of presence: one home, the same from
 * everywhere; what is restricted lies nowhere else.
 */
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { get, type RunningNode, until } from './support/node.ts'
import { stopAfterAll } from './support/stop-after-all.ts'
import { filesWith, ok, type Platform, startPlatform } from './support/three-countries.ts'

type PopName = keyof Platform['at']
const pops = ['fra', 'iad', 'nrt'] as const

const t = stopAfterAll()
let platform: Platform
let node: RunningNode

const worker = `
import { WorkflowEntrypoint } from 'cloudflare:workers'
export class Flow extends WorkflowEntrypoint {
  async run({ payload }, step) {
    const first = await step.do('first', async () => payload.text + ' done')
    const told = await step.waitForEvent('told', { type: 'go', timeout: '1 day' })
    return first + ', ' + told.payload
  }
}
const ways = {
  put: async (url, env, request) => (await env.FILES.put(url.searchParams.get('key'), request.body)).etag,
  get: async (url, env) => (await (await env.FILES.get(url.searchParams.get('key')))?.text()) ?? 'none',
  create: async (url, env) => (await env.FLOW.create({ id: url.searchParams.get('id'), params: { text: url.searchParams.get('text') } })).id,
  status: async (url, env) => JSON.stringify(await (await env.FLOW.get(url.searchParams.get('id'))).status()),
  tell: async (url, env) => String(await (await env.FLOW.get(url.searchParams.get('id'))).sendEvent({ type: 'go', payload: 'told' })),
  limit: async (url, env) => String((await env.LIMITER.limit({ key: 'one' })).success),
  dispatch: async (url, env) => (await env.CUSTOMERS.get('ann').fetch('http://inside/')).text(),
}
export default {
  async fetch(request, env) {
    const url = new URL(request.url)
    try {
      return new Response(await ways[url.pathname.slice(1)](url, env, request))
    } catch (error) {
      return new Response(error.message, { status: 500 })
    }
  },
}`

before(async () => {
  platform = await startPlatform(t)
  node = platform.node
})

interface Told {
  readonly success: boolean
  readonly result: { readonly id: string }
  readonly errors: readonly { readonly message: string }[]
}

async function api(method: string, path: string, body?: object | FormData, headers: Record<string, string> = {}) {
  const sent = body instanceof FormData ? { body } : body === undefined ? {} : { body: JSON.stringify(body) }
  const answer = await node.api(`/client/v4/accounts/${node.accountId}${path}`, { method, headers, ...sent })
  return (await answer.json()) as Told
}

/** Without wrangler: it is not about that. */
async function upload(path: string, source: string, bindings: readonly object[] = []): Promise<Told> {
  const body = new FormData()
  body.set('metadata', JSON.stringify({ main_module: 'index.js', compatibility_date: '2026-11-01', bindings }))
  body.set('index.js', new File([source], 'index.js', { type: 'application/javascript+module' }))
  return api('PUT', path, body)
}

async function deploy(name: string, bindings: readonly object[]): Promise<void> {
  assert.deepEqual((await upload(`/workers/scripts/${name}`, worker, bindings)).errors, [])
  await api('POST', `/workers/scripts/${name}/subdomain`, { enabled: true })
}

async function ask(pop: PopName, program: string, path: string, body?: string): Promise<string> {
  const init = body === undefined ? {} : { method: 'POST', body }
  const { status, text } = await get(platform.at[pop], `${program}.localhost`, path, init)
  assert.equal(status, 200, `${pop} ${path}: ${text}`)
  return text
}

/** Points of presence that have something in this folder of theirs. */
async function holders(folder: string): Promise<string[]> {
  const found: string[] = []
  for (const pop of pops)
    if ((await readdir(join(node.data, 'pops', pop, folder)).catch(() => [])).length > 0) found.push(pop)
  return found
}

test('a bucket lives near its hint, and every point of presence reads and writes it', async () => {
  await api('POST', '/r2/buckets', { name: 'open', locationHint: 'enam' })
  await deploy('files', [{ type: 'r2_bucket', name: 'FILES', bucket_name: 'open' }])
  const large = 'large '.repeat(40_000)
  for (const pop of pops) {
    await ask(pop, 'files', `/put?key=${pop}`, `small at ${pop}`)
    await ask(pop, 'files', `/put?key=large-${pop}`, `${pop} ${large}`)
  }
  for (const pop of pops)
    for (const other of pops) {
      assert.equal(await ask(pop, 'files', `/get?key=${other}`), `small at ${other}`)
      assert.equal(await ask(pop, 'files', `/get?key=large-${other}`), `${other} ${large}`)
    }
  assert.deepEqual(await holders('bucket'), ['iad'])
})

test('what stays in a country is on no other disk, public or not', async () => {
  await api('POST', '/r2/buckets', { name: 'secret' }, { 'cf-r2-jurisdiction': 'eu' })
  const binding = { type: 'r2_bucket', name: 'FILES', bucket_name: 'secret', jurisdiction: 'eu' }
  const refused = await upload('/workers/scripts/inside', worker, [binding])
  assert.match(refused.errors[0]!.message, /may run anywhere/)
  await ok(platform, 'residency', 'program:inside', 'eu')
  await deploy('inside', [binding])
  const marker = 'marker-of-an-object-51ab'
  for (const [key, body] of [
    ['small', marker],
    ['large', marker.repeat(10_000)],
  ] as const)
    await ask('nrt', 'inside', `/put?key=${key}`, body)
  assert.equal(await ask('iad', 'inside', '/get?key=small'), marker)
  const eu = { 'cf-r2-jurisdiction': 'eu' }
  const shown = await api('PUT', '/r2/buckets/secret/domains/managed', { enabled: true }, eu)
  const { domain } = shown.result as unknown as { domain: string }
  for (const pop of pops)
    assert.equal((await get(platform.at[pop], domain, '/large')).text.length, marker.length * 10_000)
  const found = await filesWith(node.data, marker)
  assert.ok(found.length >= 2 && found.every((path) => path.startsWith('pops/fra/')), found.join(' '))
  assert.match(await ok(platform, 'audit'), /fra \(DE\) +bucket\//)
  // The site follows its bucket.
  await ok(platform, 'residency', 'program:inside', 'DE')
  await ok(platform, 'residency', 'bucket:secret@eu', 'DE')
  assert.match(await ok(platform, 'residency'), new RegExp(`${domain.split('.')[0]}.* DE`))
})

test('a workflow is started, asked and told from anywhere, and runs on at its home', async () => {
  const flow = (workflow_name: string) => ({ type: 'workflow', name: 'FLOW', workflow_name, class_name: 'Flow' })
  const make = (name: string, script_name: string) =>
    api('PUT', `/workflows/${name}`, { script_name, class_name: 'Flow' })
  await deploy('flows', [flow('steps')])
  assert.deepEqual((await make('steps', 'flows')).errors, [])
  await ask('nrt', 'flows', '/create?id=a&text=open')
  const waits = async (pop: PopName, program: string) => {
    const { status } = JSON.parse(await ask(pop, program, '/status?id=a')) as { status: string }
    return status === 'waiting'
  }
  await until(() => waits('fra', 'flows'), 'it waits', 20_000)
  await ask('iad', 'flows', '/tell?id=a')
  const finished = async (pop: PopName, program: string) => {
    const { status, output } = JSON.parse(await ask(pop, program, '/status?id=a')) as { status: string; output: string }
    return status === 'complete' && output === `${program === 'flows' ? 'open' : 'marker-of-a-step-90fe'} done, told`
  }
  for (const pop of pops) await until(() => finished(pop, 'flows'), 'it is complete', 20_000)
  assert.equal((await holders('workflow')).length, 1)

  await ok(platform, 'residency', 'program:flows-inside', 'DE')
  await deploy('flows-inside', [flow('steps-inside')])
  assert.deepEqual((await make('steps-inside', 'flows-inside')).errors, [])
  // Started by a program that may run anywhere: it is part of its own, and lies where that stays.
  await deploy('starter', [{ ...flow('steps-inside'), script_name: 'flows-inside' }])
  await ask('iad', 'starter', '/create?id=a&text=marker-of-a-step-90fe')
  await until(() => waits('nrt', 'flows-inside'), 'it waits', 20_000)
  await ask('nrt', 'flows-inside', '/tell?id=a')
  await until(() => finished('iad', 'flows-inside'), 'it is complete', 20_000)
  const stored = (await filesWith(node.data, 'marker-of-a-step-90fe')).filter((path) => path.includes('/workflow/'))
  assert.ok(stored.length > 0 && stored.every((path) => path.startsWith('pops/fra/')), stored.join(' '))
})

test('a limit of a rate counts at each point of presence alone', async () => {
  await deploy('limited', [{ type: 'ratelimit', name: 'LIMITER', namespace_id: '7', simple: { limit: 2, period: 60 } }])
  for (const pop of pops) {
    const told: string[] = []
    // A window may end in between: then the count began anew once.
    for (let asked = 0; asked < 5; asked++) told.push(await ask(pop, 'limited', '/limit'))
    assert.equal(told[0], 'true', pop)
    assert.ok(told.includes('false'), `${pop}: ${told}`)
  }
})

test('a deploy into a dispatch namespace reaches all', async () => {
  await api('POST', '/workers/dispatch/namespaces', { name: 'customers' })
  const customer = (version: number) =>
    upload(
      '/workers/dispatch/namespaces/customers/scripts/ann',
      `export default { fetch: () => new Response('${version}') }`,
    )
  assert.deepEqual((await customer(1)).errors, [])
  await deploy('dispatcher', [{ type: 'dispatch_namespace', name: 'CUSTOMERS', namespace: 'customers' }])
  for (const version of [1, 2, 3]) {
    await customer(version)
    for (const pop of pops)
      await until(async () => (await ask(pop, 'dispatcher', '/dispatch')) === String(version), `${version} at ${pop}`)
  }
})
