import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { serialize } from 'node:v8'
import type { Limits } from '#/core/limits.ts'
import type { MessageType, ProgramEvent, QueueMessage } from '#/core/program-events.ts'
import type { Program } from '#/core/snapshot.ts'
import { openStage } from './engine-stage.ts'
import { until } from './own-cells-for-tests.ts'
import { openOwnEngine } from './own-engine.ts'

const source = `
const told = []
const note = (env, value) => env.KV.put('told', JSON.stringify(value))
export default {
  async scheduled(controller, env, ctx) {
    const { cron, scheduledTime } = controller
    if (cron === 'throw') throw new TypeError('boom')
    if (cron === 'loop') for (;;) {}
    if (cron === 'wait') await scheduler.wait(60000)
    if (cron === 'once') controller.noRetry()
    console.log('due', cron)
    ctx.waitUntil(scheduler.wait(50).then(() => note(env, [cron, scheduledTime])))
  },
  async queue(batch, env) {
    const kinds = batch.messages.map(({ id, timestamp, attempts, body }) => [id, timestamp.getTime(), attempts,
      body instanceof Uint8Array ? [...body] : body instanceof Map ? [...body] : body, body?.constructor?.name])
    await note(env, [batch.queue, kinds, batch.metadata?.metrics])
    for (const message of batch.messages) {
      if (message.body === 'ack') message.ack()
      if (message.body === 'retry') message.retry()
      if (message.body === 'later') message.retry({ delaySeconds: 7 })
      if (message.body === 'ack all') batch.ackAll()
      if (message.body === 'retry all') batch.retryAll({ delaySeconds: 9 })
      if (message.body === 'throw') throw new Error('poison')
    }
  },
  async tail(traces, env) { await note(env, traces.map(({ scriptName, event }) => [scriptName, event])) },
}`

const kv = { kind: 'kv', name: 'KV', store: 'told' } as const
const message = (body: string | Uint8Array, more: Partial<QueueMessage> = {}): QueueMessage => ({
  ...{ id: `m-${body}`, sentAt: 1_700_000_000_000, type: 'text', attempts: 1, body: Buffer.from(body) },
  ...more,
})
const batch = (...messages: QueueMessage[]): ProgramEvent => ({
  ...{ kind: 'queue', queue: 'orders', messages, metrics: { backlogCount: 3, backlogBytes: 30 } },
})
const scheduled = (cron: string): ProgramEvent => ({ kind: 'scheduled', cron, scheduledTime: 1_700_000_060_000 })

async function open(limits: Partial<Limits>) {
  const stage = await openStage({ programCpuMs: 300, eventWallMs: 10_000, ...limits }, { ownCells: openOwnEngine })
  const program = await stage.add({ name: 'listener', modules: { 'main.js': source }, bindings: [kv] })
  const reader = await stage.add({
    name: 'reader',
    modules: { 'main.js': `export default { fetch: async (request, env) => new Response(await env.KV.get('told')) }` },
    bindings: [kv],
  })
  return { stage, program, reader }
}

const stages = [
  ['shared cells', await open({ cells: 1, spareCells: 1 })],
  ['cells of their own', await open({ cells: 0, spareCells: 0, cellStallMs: -1 })],
] as const

for (const [where, { stage, program }] of stages) {
  after(() => stage.close())
  const deliver = (event: ProgramEvent, to: Program = program) =>
    stage.engine.deliver(to, to.rollout[0]!.deployment, event)
  const told = async () => {
    const { body } = await stage.fetch('reader', '/')
    const bytes = body instanceof Uint8Array ? body : Buffer.concat(await body!.toArray())
    return JSON.parse(Buffer.from(bytes).toString()) as unknown
  }

  test(`${where}: a schedule is told to a program without fetch(), with what it waits for`, async () => {
    assert.deepEqual(await deliver(scheduled('*/5 * * * *')), { end: 'ok' })
    assert.deepEqual(await told(), ['*/5 * * * *', 1_700_000_060_000])
    assert.deepEqual(await deliver(scheduled('once')), { end: 'ok', noRetry: true })
    assert.partialDeepStrictEqual(await deliver(scheduled('throw')), { end: 'exception' })
  })

  test(`${where}: messages of every type arrive as they were sent`, async () => {
    const types: [MessageType, Uint8Array][] = [
      ['text', Buffer.from('\ufeffhé')],
      ['bytes', new Uint8Array([0, 255])],
      ['json', Buffer.from('{"a":[1]}')],
      ['json', Buffer.from('null')],
      ['v8', serialize(new Map([['k', 1]]))],
    ]
    const messages = types.map(([type, body], index) => message(body, { id: `${index}`, type, attempts: index + 1 }))
    const outcome = await deliver(batch(...messages))
    assert.deepEqual(outcome, { end: 'ok', verdict: { ackAll: false, acks: [], retries: [] } })
    const at = 1_700_000_000_000
    assert.deepEqual(await told(), [
      'orders',
      [
        ['0', at, 1, '\ufeffhé', 'String'],
        ['1', at, 2, [0, 255], 'Uint8Array'],
        ['2', at, 3, { a: [1] }, 'Object'],
        ['3', at, 4, null, null],
        ['4', at, 5, [['k', 1]], 'Map'],
      ],
      { backlogCount: 3, backlogBytes: 30 },
    ])
  })

  const verdicts: [string[], object][] = [
    [['ack', 'x'], { end: 'ok', verdict: { ackAll: false, acks: ['m-ack'], retries: [] } }],
    [
      ['retry', 'later'],
      {
        end: 'ok',
        verdict: { ackAll: false, acks: [], retries: [{ id: 'm-retry' }, { id: 'm-later', delaySeconds: 7 }] },
      },
    ],
    [['ack all'], { end: 'ok', verdict: { ackAll: true, acks: [], retries: [] } }],
    [['retry all'], { end: 'ok', verdict: { ackAll: false, retryAll: { delaySeconds: 9 }, acks: [], retries: [] } }],
    [['ack', 'throw'], { end: 'exception', verdict: { ackAll: false, acks: ['m-ack'], retries: [] } }],
  ]
  for (const [bodies, expected] of verdicts)
    test(`${where}: the consumer says ${bodies.join(', ')}`, async () => {
      assert.partialDeepStrictEqual(await deliver(batch(...bodies.map((body) => message(body)))), expected)
    })

  test(`${where}: traces of others are told`, async () => {
    const trace = { scriptName: 'other', outcome: 'ok', eventTimestamp: 1, logs: [], exceptions: [] }
    const event = { request: { url: 'http://x/' } }
    assert.deepEqual(await deliver({ kind: 'tail', traces: [{ ...trace, event }] }), { end: 'ok' })
    assert.deepEqual(await told(), [['other', event]])
  })

  test(`${where}: too long and too much have names, and the next event is told`, async () => {
    assert.deepEqual(await deliver(scheduled('wait')), { end: 'exceededWallTime' })
    assert.partialDeepStrictEqual(await deliver(scheduled('loop')), { end: 'exceededCpu' })
    assert.deepEqual(await deliver(scheduled('again')), { end: 'ok' })
  })

  test(`${where}: what does not start, or does not listen, says so`, async () => {
    const broken = await stage.add({ name: 'broken', modules: { 'main.js': 'export default {' } })
    await assert.rejects(deliver(scheduled('x'), broken), { code: 'program_start_failed' })
    const deaf = await stage.add({ name: 'deaf', modules: { 'main.js': 'export default { fetch() {} }' } })
    assert.partialDeepStrictEqual(await deliver(scheduled('x'), deaf), { end: 'exception' })
    assert.partialDeepStrictEqual(await deliver(batch(message('x')), deaf), { end: 'exception' })
  })

  test(`${where}: traces tell events in the vendor's shapes`, async () => {
    stage.traced.add('listener')
    stage.traces.splice(0)
    await deliver(scheduled('traced'))
    await deliver(batch(message('a'), message('b')))
    await until(() => stage.traces.length >= 2)
    stage.traced.clear()
    const [first, second] = stage.traces
    assert.partialDeepStrictEqual(first, {
      ...{ scriptName: 'listener', outcome: 'ok', logs: [{ message: ['due', 'traced'] }] },
      event: { cron: 'traced', scheduledTime: 1_700_000_060_000 },
    })
    assert.partialDeepStrictEqual(second, { outcome: 'ok', event: { queue: 'orders', batchSize: 2 } })
  })
}
