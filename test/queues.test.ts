/** Queues: made and bound by the real wrangler, used by a real Worker, pulled over HTTP. */
import assert from 'node:assert/strict'
import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type RunningNode, rimward, root, startNode, temporaryFolder, until, wrangler } from './support/node.ts'

let node: RunningNode
let folder: string

const consumer = (queue: string, more: object = {}) => ({ queue, max_batch_size: 10, max_batch_timeout: 0, ...more })
const config = {
  name: 'post',
  main: 'worker.js',
  compatibility_date: '2026-11-01',
  compatibility_flags: ['queue_expose_error_codes'],
  durable_objects: { bindings: [{ name: 'DIARY', class_name: 'Diary' }] },
  migrations: [{ tag: 'v1', new_sqlite_classes: ['Diary'] }],
  queues: {
    producers: [
      { binding: 'Q', queue: 'letters' },
      { binding: 'SLOW', queue: 'slow', delivery_delay: 1 },
      { binding: 'TRIED', queue: 'tried' },
      { binding: 'PULLED', queue: 'pulled' },
    ],
    consumers: [
      consumer('letters'),
      consumer('slow', { max_batch_timeout: 1 }),
      consumer('tried', { max_batch_size: 1, max_retries: 2, dead_letter_queue: 'dead', max_concurrency: 1 }),
      consumer('dead'),
    ],
  },
}

const run = async (...args: string[]) => (await wrangler(node, folder, args)).output
const fails = async (...args: string[]) => {
  const { code, output } = await wrangler(node, folder, args, { mayFail: true })
  assert.notEqual(code, 0, output)
  return output
}
const ask = async (path: string) => {
  const { status, text } = await node.get('post.localhost', path)
  return status === 200 ? (JSON.parse(text) as unknown) : text
}
interface Told {
  readonly body: unknown
  readonly attempts: number
  readonly batch: number
  readonly whole: boolean
}
const told = async (queue: string) => (await ask(`/told?queue=${queue}`)) as Told[]
const bodies = async (queue: string) => (await told(queue)).map(({ body }) => body)
const heard = (queue: string, count: number) =>
  until(async () => (await told(queue)).length >= count, `${count} messages of ${queue}`, 30_000)

const api = async (path: string, body?: object, method = body === undefined ? 'GET' : 'POST') => {
  const init = { method, ...(body !== undefined && { body: JSON.stringify(body) }) }
  const answer = await node.api(`/client/v4/accounts/${node.accountId}/queues${path}`, init)
  return (await answer.json()) as { result: never; errors: { code: number; message: string }[] }
}
const queueId = async (name: string) =>
  (await api(`?name=${name}`)).result[0]!['queue_id' as never] as unknown as string

before(async () => {
  node = await startNode(undefined)
  folder = await temporaryFolder(undefined, 'queues')
  copyFileSync(join(root, 'test/queues/worker.js'), join(folder, 'worker.js'))
  for (const name of ['letters', 'slow', 'tried', 'pulled', 'dead']) {
    const said = await run('queues', 'create', name)
    assert.match(said, /Created queue/)
  }
  writeFileSync(join(folder, 'wrangler.json'), JSON.stringify(config))
  const said = await run('deploy')
  assert.match(said, /Consumer for letters/)
})
after(() => node?.stop('SIGKILL'))

test('messages of every type arrive as they were sent', async () => {
  for (const value of ['text', 'json', 'bytes', 'v8', 'usual']) {
    const answer = (await ask(`/send?value=${value}`)) as { metadata: { metrics: { backlogCount: number } } }
    assert.ok(answer.metadata.metrics.backlogCount >= 0, JSON.stringify(answer))
  }
  await heard('letters', 5)
  const all = await told('letters')
  const arrived = all.map(({ body }) => JSON.stringify(body)).sort()
  const sent = [
    'héllo\ufeff',
    ['bytes', 0, 255],
    ['map', 'when', '1970-01-01T00:00:00.005Z'],
    { a: [1, null] },
    { usual: true },
  ]
  assert.deepEqual(arrived, sent.map((body) => JSON.stringify(body)).sort())
  assert.ok(all.every(({ attempts, whole }) => attempts === 1 && whole))
})

test('a delay holds a message back; what waits together comes together', async () => {
  const began = Date.now()
  for (let count = 0; count < 3; count++) await ask(`/say?to=SLOW&text=s${count}`)
  await heard('slow', 3)
  assert.ok(Date.now() - began >= 1900, 'a second of delay and one of waiting')
  assert.deepEqual(
    (await told('slow')).map(({ batch }) => batch),
    [3, 3, 3],
  )
})

test('retries count, poison ends in the dead letter queue, what was acknowledged stays so', async () => {
  for (const text of ['poison', 'later', 'ack and throw', 'fine'])
    await ask(`/say?to=TRIED&text=${encodeURIComponent(text)}`)
  await heard('dead', 1)
  assert.deepEqual(await bodies('dead'), ['poison'])
  await until(async () => (await bodies('tried')).includes('fine'), 'the one behind poison', 30_000)
  await until(
    async () => (await bodies('tried')).filter((body) => body === 'later').length === 3,
    'three times later',
    30_000,
  )
  const counts = (await told('tried')).map(({ body, attempts }) => `${String(body)} ${attempts}`)
  assert.deepEqual(counts.sort(), [
    'ack and throw 1',
    'fine 1',
    ...['later 1', 'later 2', 'later 3'],
    ...['poison 1', 'poison 2', 'poison 3'],
  ])
  assert.deepEqual(((await ask('/metrics?of=TRIED')) as { backlogCount: number }).backlogCount, 0)
})

for (const [path, says] of [
  ['/batch?count=1&size=128001', 'Error: message length of 128001 bytes exceeds limit of 128000 (10204)'],
  ['/batch?count=101', 'Error: batch message count of 101 exceeds limit of 100 (10206)'],
  ['/batch?count=3&size=100000', 'Error: batch size of 300000 bytes exceeds limit of 288000 (10205)'],
  ['/send?value=text&delay=86401', 'Error: message delay 86401 is invalid (10203)'],
  ['/send?value=text&delay=-1', 'Error: message delay -1 is invalid (10203)'],
  ['/batch?count=0', 'TypeError: sendBatch() requires at least one message'],
] as const)
  test(`refused, and nothing of it kept: ${path}`, async () => {
    assert.equal(await ask(path), says)
  })

test('messages are pulled over HTTP, under leases that end', async () => {
  const id = await queueId('pulled')
  assert.equal((await api(`/${id}/messages/pull`, { batch_size: 1 })).errors[0]!.code, 11003)
  await run('queues', 'consumer', 'http', 'add', 'pulled', '--message-retries', '1', '--dead-letter-queue', 'dead')
  assert.match(await run('queues', 'info', 'pulled'), /HTTP Pull Consumer/)
  await api(`/${id}/messages/batch`, {
    messages: [
      { body: 'one', content_type: 'text' },
      { body: { two: 2 }, content_type: 'json' },
      { body: 'AP8=', content_type: 'bytes' },
    ],
  })
  type Pulled = { message_backlog_count: number; messages: { body: string; lease_id: string; attempts: number }[] }
  const pull = async (wish: object) => (await api(`/${id}/messages/pull`, wish)).result as unknown as Pulled
  const { messages } = await pull({ batch_size: 10, visibility_timeout_ms: 60_000 })
  assert.deepEqual(
    messages.map(({ body, attempts }) => [body, attempts]),
    [
      ['one', 1],
      [Buffer.from('{"two":2}').toString('base64'), 1],
      ['AP8=', 1],
    ],
  )
  assert.deepEqual((await pull({ batch_size: 10 })).messages, [], 'they are somebody else’s')
  const [one, two, three] = messages
  const answered = await api(`/${id}/messages/ack`, {
    acks: [{ lease_id: one!.lease_id }, { lease_id: 'x.y' }],
    retries: [{ lease_id: two!.lease_id, delay_seconds: 0 }],
  })
  assert.partialDeepStrictEqual(answered.result, { ackCount: 1, retryCount: 1 })
  const again = await pull({ batch_size: 10, visibility_timeout_ms: 0 })
  assert.deepEqual(
    again.messages.map(({ attempts }) => attempts),
    [2],
  )
  // Its lease is over at once, and it was tried as often as it may be.
  assert.deepEqual((await pull({ batch_size: 10 })).messages, [])
  await until(
    async () => (await bodies('dead')).some((body) => JSON.stringify(body) === '{"two":2}'),
    'two among the dead',
  )
  assert.partialDeepStrictEqual((await api(`/${id}/messages/ack`, { acks: [{ lease_id: three!.lease_id }] })).result, {
    ackCount: 1,
  })
})

test('delivery pauses and goes on; a purge leaves nothing', async () => {
  const before = (await told('letters')).length
  await run('queues', 'pause-delivery', 'letters')
  await ask('/batch?count=100')
  const { backlogCount } = (await ask('/metrics')) as { backlogCount: number }
  assert.equal(backlogCount, 100)
  await run('queues', 'purge', 'letters', '--force')
  assert.equal(((await ask('/metrics')) as { backlogCount: number }).backlogCount, 0)
  await ask('/batch?count=100&from=500')
  await run('queues', 'resume-delivery', 'letters')
  await heard('letters', before + 100)
  const numbers = (await bodies('letters')).slice(before).map(Number)
  assert.deepEqual(
    numbers.sort((a, b) => a - b),
    Array.from({ length: 100 }, (_, n) => 500 + n),
  )
  const backlog = async () => ((await ask('/metrics')) as { backlogCount: number }).backlogCount
  await until(async () => (await backlog()) === 0, 'all of them acknowledged')
})

test('a queue that only a producer names is made by the deploy, and found again by the next', async () => {
  const own = { ...config, name: 'maker', queues: { producers: [{ binding: 'NEW_ONES' }] } }
  writeFileSync(join(folder, 'maker.json'), JSON.stringify(own))
  for (let time = 0; time < 2; time++) await run('deploy', '-c', 'maker.json')
  const names = ((await api('?page=1')).result as unknown as { queue_name: string }[]).map((one) => one.queue_name)
  assert.deepEqual(
    names.filter((name) => name.startsWith('maker')),
    ['maker-new-ones'],
  )
})

test('what is set wrongly is refused by number, and the list says what there is', async () => {
  assert.match(await run('queues', 'list'), /letters/)
  assert.match(await fails('queues', 'create', 'letters'), /\[code: 11009\]/)
  assert.match(await fails('queues', 'info', 'nobody'), /Queue "nobody" does not exist/)
  assert.match(await fails('queues', 'consumer', 'add', 'pulled', 'post'), /\[code: 11004\]/)
  await run('queues', 'create', 'fresh', '--message-retention-period-secs', '60', '--delivery-delay-secs', '5')
  assert.match(
    await fails('queues', 'consumer', 'add', 'fresh', 'post', '--batch-size', '101'),
    /consumer settings are invalid/,
  )
  assert.match(await fails('queues', 'consumer', 'add', 'fresh', 'nobody'), /\[code: 10007\]/)
  await run('queues', 'consumer', 'add', 'fresh', 'post')
  await run('queues', 'update', 'fresh', '--delivery-delay-secs', '0')
  const view = (await api(`/${await queueId('fresh')}`)).result as unknown as { settings: object }
  assert.deepEqual(view.settings, { delivery_delay: 0, delivery_paused: false, message_retention_period: 60 })
  await run('queues', 'consumer', 'remove', 'fresh', 'post')
  await run('queues', 'delete', 'fresh')
  assert.match(await fails('queues', 'info', 'fresh'), /does not exist/)
})

test('`rimward deploy` makes the queues and sets the consumers and schedules that wrangler would', async () => {
  const producers = [...config.queues.producers, { binding: 'MORE', queue: 'made-by-rimward' }]
  const consumers = [...config.queues.consumers, consumer('made-by-rimward', { max_batch_size: 7 })]
  writeFileSync(
    join(folder, 'wrangler.json'),
    JSON.stringify({ ...config, queues: { producers, consumers }, triggers: { crons: ['0 0 1 1 *'] } }),
  )
  const { code, output } = await rimward(node, folder, ['deploy'])
  assert.equal(code, 0, output)
  assert.match(output, /schedule: 0 0 1 1 \*\n +consumer for letters\n/)
  const { consumers: set } = (await api(`/${await queueId('made-by-rimward')}`)).result as unknown as {
    consumers: { script: string; settings: { batch_size: number } }[]
  }
  assert.deepEqual([set[0]!.script, set[0]!.settings.batch_size], ['post', 7])
  const schedules = await node.api(`/client/v4/accounts/${node.accountId}/workers/scripts/post/schedules`)
  assert.match(await schedules.text(), /"cron":"0 0 1 1 \*"/)
})

test('after SIGKILL of the node, what waited is told by the next one', async () => {
  const before = (await told('letters')).length
  await run('queues', 'pause-delivery', 'letters')
  for (let from = 900; from < 1000; from += 50) await ask(`/batch?count=50&from=${from}`)
  await ask('/say?to=Q&text=last')
  await node.stop('SIGKILL')
  node = await startNode(undefined, { data: node.data })
  assert.equal(((await ask('/metrics')) as { backlogCount: number }).backlogCount, 101)
  await run('queues', 'resume-delivery', 'letters')
  await heard('letters', before + 101)
  const after = new Set((await bodies('letters')).slice(before))
  assert.equal(after.size, 101)
  // Nobody asks for the queue: its home finds by itself what is due.
  await ask('/send?value=text&delay=2')
  await node.stop('SIGKILL')
  node = await startNode(undefined, { data: node.data })
  await heard('letters', before + 102)
})
