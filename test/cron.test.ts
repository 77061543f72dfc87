/** Schedules and tail Workers: deployed by the real wrangler, told by a real node. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { type RunningNode, startNode, temporaryFolder, wrangler } from './support/node.ts'

/** Only `scheduled()`; what it was told is read by another program. */
const clock = `
export default {
  async scheduled({ cron, scheduledTime }, env, ctx) {
    console.log('due', cron)
    if (cron !== '* * * * *') throw new Error('wrong schedule')
    ctx.waitUntil(env.KV.put('cron ' + scheduledTime, JSON.stringify({ cron, scheduledTime, id: crypto.randomUUID() })))
  },
}`
/** The same as a class, and in service-worker syntax. */
const clockClass = `
import { WorkerEntrypoint } from 'cloudflare:workers'
export default class extends WorkerEntrypoint {
  async scheduled(controller) {
    controller.noRetry()
    await this.env.KV.put('class', JSON.stringify([controller.cron, controller.scheduledTime]))
  }
}`
const clockScript = `
addEventListener('scheduled', (event) => {
  event.noRetry()
  event.waitUntil(KV.put('script', JSON.stringify([event.cron, event.scheduledTime])))
})`
/** Declared in `exports` alone, without a binding. */
const planner = `
import { WorkflowEntrypoint } from 'cloudflare:workers'
export class Plan extends WorkflowEntrypoint {
  async run({ payload, schedule, instanceId }, step) {
    await step.do('keep', () => this.env.KV.put('plan ' + instanceId, JSON.stringify({ payload, schedule })))
  }
}
export default { fetch: () => new Response('planner') }`
const reader = `
export default {
  async fetch(request, env) {
    const { keys } = await env.KV.list({ prefix: decodeURIComponent(new URL(request.url).pathname.slice(1)) })
    return Response.json(await Promise.all(keys.map(({ name }) => env.KV.get(name, 'json'))))
  },
}`
const watcher = `
export default {
  async tail(events, env) {
    for (const event of events) await env.KV.put('tail ' + crypto.randomUUID(), JSON.stringify(event))
  },
}`

let node: RunningNode
let folder: string
let kv: string

const config = (name: string, more: object = {}) => ({
  ...{ name, main: `${name}.js`, compatibility_date: '2026-11-01' },
  ...{ kv_namespaces: [{ binding: 'KV', id: kv }] },
  ...more,
})

async function deploy(name: string, source: string, more: object = {}, command = ['deploy']): Promise<string> {
  writeFileSync(join(folder, `${name}.js`), source)
  writeFileSync(join(folder, 'wrangler.json'), JSON.stringify(config(name, more)))
  return (await wrangler(node, folder, command)).output
}

const api = async (path: string, init?: RequestInit) =>
  (await (await node.api(`/client/v4/accounts/${node.accountId}${path}`, init)).json()) as {
    result: { id: string; schedules: { cron: string; created_on: string }[] }
  }
const kept = async (prefix: string) =>
  JSON.parse((await node.get('reader.localhost', `/${encodeURIComponent(prefix)}`)).text) as Record<string, unknown>[]

before(async () => {
  node = await startNode(undefined)
  folder = await temporaryFolder(undefined, 'cron')
  kv = (await api('/storage/kv/namespaces', { method: 'POST', body: JSON.stringify({ title: 'told' }) })).result.id
  await deploy('reader', reader)
  await deploy('watcher', watcher)
  const said = await deploy('clock', clock, {
    triggers: { crons: ['* * * * *'] },
    tail_consumers: [{ service: 'watcher' }],
  })
  assert.match(said, /schedule: \* \* \* \* \*/)
  const triggers = { crons: ['* * * * *'] }
  await deploy('clock-class', clockClass, { triggers })
  await deploy('clock-script', clockScript, { triggers })
  const plan = { type: 'workflow', name: 'plans', schedules: ['* * * * *', '0 0 1 1 *'], concurrency: { limit: 1 } }
  const kept = { success_retention: '1 hour', error_retention: 60_000 }
  const planned = { ...plan, limits: { steps: 5 }, default_retention: kept }
  assert.match(await deploy('planner', planner, { exports: { Plan: planned } }), /workflow: plans/)
})
after(() => node?.stop('SIGKILL'))

test('wrangler sets schedules, with an upload and without; what does not parse changes nothing', async () => {
  const crons = async () => (await api('/workers/scripts/clock/schedules')).result.schedules.map(({ cron }) => cron)
  assert.deepEqual(await crons(), ['* * * * *'])
  const triggers = (crons: string[]) => deploy('clock', clock, { triggers: { crons } }, ['triggers', 'deploy'])
  await assert.rejects(triggers(['0 22 * * 0']), /invalid cron string: '0 22 \* \* 0' \[code: 10100\]/)
  assert.deepEqual(await crons(), ['* * * * *'])
  await triggers(['0 22 * * sun', '* * * * *'])
  assert.deepEqual(await crons(), ['0 22 * * sun', '* * * * *'])
})

test('a schedule is told once at its minute, and its tail Worker hears of it', { timeout: 150_000 }, async () => {
  const isTold = async () => (await kept('cron ')).length > 0
  while (!(await isTold())) await pause(500)
  const [told] = await kept('cron ')
  assert.equal(told!.cron, '* * * * *')
  assert.equal(Number(told!.scheduledTime) % 60_000, 0)
  assert.ok(Date.now() - Number(told!.scheduledTime) < 60_000)
  while ((await kept('tail ')).length === 0) await pause(100)
  const [event] = await kept('tail ')
  assert.partialDeepStrictEqual(event, {
    ...{ scriptName: 'clock', outcome: 'ok', logs: [{ message: ['due', '* * * * *'], level: 'log' }] },
    event: { cron: '* * * * *', scheduledTime: told!.scheduledTime },
  })
  assert.equal((await kept('cron ')).length, 1)
  for (const form of ['class', 'script']) {
    while ((await kept(form)).length === 0) await pause(100)
    const [[cron, at]] = (await kept(form)) as unknown as [[string, number]]
    assert.deepEqual([cron, at % 60_000], ['* * * * *', 0], form)
  }
})

test('a schedule of a workflow makes an instance, which is told of it', { timeout: 150_000 }, async () => {
  while ((await kept('plan ')).length === 0) await pause(200)
  const [{ payload, schedule }] = (await kept('plan ')) as unknown as [{ payload: object; schedule: never }]
  const { cron, scheduledTime } = schedule as { cron: string; scheduledTime: number }
  assert.deepEqual([payload, cron, scheduledTime % 60_000], [{}, '* * * * *', 0])
  const shown = await api(`/workflows/plans/instances/cron-${scheduledTime / 1000}-0`)
  assert.partialDeepStrictEqual(shown.result, { status: 'complete', trigger: { source: 'cron' } })
})

test('a tail Worker hears of requests and exceptions, and is a reason not to delete it', async () => {
  const source = `export default { async fetch(request) { console.log('asked'); throw new Error('broken') } }`
  await deploy('shop', source, { tail_consumers: [{ service: 'watcher' }] })
  assert.equal((await node.get('shop.localhost', '/basket')).status, 500)
  const ofShop = async () => (await kept('tail ')).filter(({ scriptName }) => scriptName === 'shop')
  while ((await ofShop()).length === 0) await pause(50)
  const [event] = await ofShop()
  assert.partialDeepStrictEqual(event, {
    outcome: 'exception',
    exceptions: [{ name: 'Error', message: 'broken' }],
    event: { request: { method: 'GET' } },
  })
  const { result } = await api('/workers/tails/by-consumer/watcher')
  assert.deepEqual(
    (result as unknown as { producer: { service: string } }[]).map(({ producer }) => producer.service).sort(),
    ['clock', 'shop'],
  )
})
