/** Queues and datasets over several points of presence: one home, reached from all; what they hold stays in their countries. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { get, type RunningNode, until, wrangler } from './support/node.ts'
import { stopAfterAll } from './support/stop-after-all.ts'
import { filesWith, ok, type Platform, startPlatform } from './support/three-countries.ts'

const t = stopAfterAll()
let platform: Platform
let node: RunningNode

const worker = `
export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url)
    if (pathname === '/point') return Response.json(String(env.AE.writeDataPoint({ blobs: [searchParams.get('text')] })))
    if (pathname === '/send') return Response.json(await env.Q.send(searchParams.get('text'), { contentType: 'text' }))
    const { keys } = await env.KV.list()
    return Response.json(await Promise.all(keys.map(({ name }) => env.KV.get(name, 'json'))))
  },
  async queue(batch, env) {
    for (const { body, id } of batch.messages)
      await env.KV.put(id, JSON.stringify({ body, name: env.NAME }))
  },
}`

const ask = async (pop: keyof Platform['at'], host: string, path: string) => {
  const { status, text } = await get(platform.at[pop], host, path)
  assert.equal(status, 200, text)
  return JSON.parse(text) as { body: string; name: string }[]
}

async function api(path: string, body?: object, method = 'POST') {
  const init = body === undefined ? {} : { method, body: JSON.stringify(body) }
  const answer = await node.api(`/client/v4/accounts/${node.accountId}${path}`, init)
  return (await answer.json()) as {
    success: boolean
    result: { id: string; queue_id: string }
    errors: { message: string }[]
  }
}

async function deploy(name: string, queues: object, kv: string, more: object = {}) {
  const config = { name, main: 'index.js', compatibility_date: '2026-11-01', vars: { NAME: name }, queues, ...more }
  const { folder } = platform
  writeFileSync(join(folder, 'index.js'), worker)
  writeFileSync(
    join(folder, 'wrangler.json'),
    JSON.stringify({ ...config, kv_namespaces: [{ binding: 'KV', id: kv }] }),
  )
  return wrangler(node, folder, ['deploy'], { mayFail: true })
}

let kv: string
before(async () => {
  platform = await startPlatform(t)
  node = platform.node
  kv = (await api('/storage/kv/namespaces', { title: 'told' })).result.id
})

test('a queue has one home; it is sent to from anywhere, and its consumer is told where it may run', async () => {
  await api('/queues', { queue_name: 'news' })
  const queues = { producers: [{ binding: 'Q', queue: 'news' }], consumers: [{ queue: 'news', max_batch_timeout: 0 }] }
  assert.equal((await deploy('paper', queues, kv)).code, 0)
  for (const pop of ['fra', 'iad', 'nrt'] as const) await ask(pop, 'paper.localhost', `/send?text=${pop}`)
  const told = async () => (await ask('fra', 'paper.localhost', '/')).map(({ body }) => body).sort()
  await until(async () => (await told()).length >= 3, 'all three', 20_000)
  assert.deepEqual(await told(), ['fra', 'iad', 'nrt'])
  const homes: string[] = []
  for (const pop of ['fra', 'iad', 'nrt'])
    if ((await readdir(join(node.data, 'pops', pop, 'queue'))).length > 0) homes.push(pop)
  assert.equal(homes.length, 1)
  // The consumer may run in one country only, where the queue does not live.
  const [home] = homes as [string]
  const country = home === 'iad' ? 'JP' : 'US'
  await ok(platform, 'residency', 'program:paper', country)
  await ask(home === 'iad' ? 'nrt' : 'iad', 'paper.localhost', '/send?text=abroad')
  await until(async () => (await told()).includes('abroad'), 'told abroad', 20_000)
  await ok(platform, 'residency', 'program:paper', 'anywhere')
})

test('what stays in a country is on no other disk, with its dead letters and its consumer', async () => {
  const { queue_id: id } = (await api('/queues', { queue_name: 'private' })).result
  await ok(platform, 'residency', 'queue:private', 'DE')
  const queues = { producers: [{ binding: 'Q', queue: 'private' }] }
  assert.match((await deploy('mail', queues, kv)).output, /stays in DE/)
  await ok(platform, 'residency', 'program:mail', 'DE')
  assert.equal((await deploy('mail', queues, kv)).code, 0)
  const consumer = { type: 'worker', script_name: 'paper', dead_letter_queue: 'private-dead' }
  assert.match(
    (await api(`/queues/${id}/consumers`, consumer)).errors[0]!.message,
    /queue 'private', which stays in DE/,
  )
  await api(`/queues/${id}`, { settings: { delivery_paused: true } }, 'PATCH')
  assert.equal((await api(`/queues/${id}/consumers`, { ...consumer, script_name: 'mail' })).success, true)
  await ask('iad', 'mail.localhost', '/send?text=marker-of-a-message-77c1')
  const found = await filesWith(node.data, 'marker-of-a-message-77c1')
  const stored = found.filter((path) => /\/queue\//.test(path))
  assert.ok(stored.length > 0 && stored.every((path) => path.startsWith('pops/fra/queue/')), found.join(' '))
  const audit = await ok(platform, 'audit')
  assert.match(audit, new RegExp(`store ${id} +fra \\(DE\\) +queue/${id}.* DE`))
  assert.match(await ok(platform, 'residency'), /private-dead.*DE/s)
})

test('points of all points of presence are one dataset, which stays where it may be', async () => {
  const datasets = { analytics_engine_datasets: [{ binding: 'AE', dataset: 'visits' }] }
  const counted = async (where: string, many: number) =>
    until(
      async () => {
        const init = { method: 'POST', body: `SELECT count() AS n FROM visits WHERE ${where} FORMAT TabSeparated` }
        const answer = await node.api(`/client/v4/accounts/${node.accountId}/analytics_engine/sql`, init)
        return (await answer.text()) === `${many}\n`
      },
      `${many} points`,
      20_000,
    )
  assert.equal((await deploy('counter', {}, kv, datasets)).code, 0)
  assert.match((await platform.run('residency', 'dataset:visits', 'DE')).output, /its binding 'AE' is to the store/)
  await ok(platform, 'residency', 'program:counter', 'DE,US')
  await ok(platform, 'residency', 'dataset:visits', 'DE,US')
  for (const pop of ['fra', 'iad', 'nrt'] as const)
    await ask(pop, 'counter.localhost', `/point?text=marker-of-a-point-31f0-${pop}`)
  await counted("startsWith(blob1, 'marker')", 3)
  const found = await filesWith(node.data, 'marker-of-a-point-31f0')
  const stored = found.filter((path) => /\/dataset\//.test(path))
  const homes = new Set(stored.map((path) => path.split('/')[1]))
  assert.equal(homes.size, 1, found.join(' '))
  assert.ok(!homes.has('nrt'), found.join(' '))
  assert.match(await ok(platform, 'audit'), /store [\w-]+ +\w+ \(\w\w\) +dataset\/[\w-]+.* DE/)
})
