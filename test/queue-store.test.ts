/** What a store of queues promises, with consumers of every kind, at many messages, and through SIGKILL. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { EdgeError } from '#/core/errors.ts'
import type { QueueEvent } from '#/core/program-events.ts'
import { allRight, openQueueStage, type QueueStage, text, worker } from './queues/stage.ts'
import { until } from './support/node.ts'

async function open(t: TestContext, limits = {}): Promise<QueueStage> {
  const stage = await openQueueStage(undefined, limits)
  t.after(() => stage.close())
  return stage
}

const bodiesOf = ({ messages }: QueueEvent) => messages.map(({ body }) => Buffer.from(body).toString())
const backlog = async ({ calls }: QueueStage, name: string) => (await calls.metrics(name)).backlogCount

test('batches fill, run beside each other up to their number, and tell what is left', async (t) => {
  const stage = await open(t)
  await stage.set('q', { paused: true, consumer: worker('p', { batchSize: 10, maxConcurrency: 3 }) })
  for (let from = 0; from < 100; from += 50)
    await stage.calls.send(
      'q',
      Array.from({ length: 50 }, (_, n) => text(String(from + n))),
    )
  let running = 0
  let most = 0
  const told: string[][] = []
  const left: number[] = []
  stage.consumers.p = async (event) => {
    most = Math.max(most, ++running)
    told.push(bodiesOf(event))
    left.push(event.metrics.backlogCount)
    await new Promise((resolve) => setTimeout(resolve, 5))
    running--
    return allRight
  }
  await stage.set('q', { consumer: worker('p', { batchSize: 10, maxConcurrency: 3 }) })
  await until(async () => told.flat().length === 100 && (await backlog(stage, 'q')) === 0, 'all of them')
  assert.equal(most, 3)
  assert.deepEqual(
    told.map((batch) => batch.length),
    Array.from({ length: 10 }, () => 10),
  )
  assert.deepEqual(
    told.flat(),
    Array.from({ length: 100 }, (_, n) => String(n)),
    'in the order of their sending',
  )
  assert.equal(left[0], 90)
})

test('a batch is full at 256 KB, or when it has waited', async (t) => {
  const stage = await open(t)
  const told: number[] = []
  stage.consumers.p = (event) => {
    told.push(event.messages.length)
    return allRight
  }
  await stage.set('q', { consumer: worker('p', { batchSize: 4, maxWaitMs: 150 }) })
  const began = performance.now()
  await stage.calls.send('q', [text('one')])
  await until(() => told.length === 1, 'the one that waited')
  assert.ok(performance.now() - began >= 149)
  const large = 'x'.repeat(125_000)
  for (let count = 0; count < 4; count++) await stage.calls.send('q', [text(large)])
  await until(() => told.reduce((sum, count) => sum + count) === 5, 'the large ones')
  assert.deepEqual(told, [1, 2, 2])
})

test('a consumer that throws for ever: each message as often as set, then dropped or dead', async (t) => {
  const stage = await open(t)
  const attempts: number[] = []
  const dead: string[] = []
  stage.consumers.p = (event) => {
    attempts.push(...event.messages.map((message) => message.attempts))
    return { end: 'exception' }
  }
  stage.consumers.dead = (event) => {
    dead.push(...bodiesOf(event))
    return allRight
  }
  await stage.set('dropped', { consumer: worker('p', { maxRetries: 2 }) })
  await stage.calls.send('dropped', [text('a')])
  await until(async () => (await backlog(stage, 'dropped')) === 0, 'dropped')
  assert.deepEqual(attempts.splice(0), [1, 2, 3])
  assert.match(stage.logged.at(-1)!.message, /dropped/)
  await stage.set('tried', { consumer: worker('p', { maxRetries: 0, deadLetterQueue: 'graves' }) })
  await stage.calls.send('tried', [text('b')])
  await until(() => stage.logged.some(({ message }) => /cannot be moved/.test(message)), 'nowhere to go')
  assert.equal(await backlog(stage, 'tried'), 1, 'kept while its dead letter queue is not there')
  await stage.set('graves', { consumer: worker('dead') })
  await until(() => dead.length === 1, 'moved once it is')
  assert.deepEqual(dead, ['b'])
  await until(async () => (await backlog(stage, 'tried')) === 0, 'and gone from where it was')
})

test('a consumer that nobody reaches is no attempt; one that breaks off is', async (t) => {
  const stage = await open(t)
  const seen: number[] = []
  const failures = [
    new EdgeError('peer_away', 'x'),
    new EdgeError('overloaded', 'x'),
    new EdgeError('program_hung_up', 'x'),
  ]
  stage.consumers.p = (event) => {
    seen.push(event.messages[0]!.attempts)
    const failure = failures.shift()
    if (failure !== undefined) throw failure
    return allRight
  }
  await stage.set('q', { consumer: worker('p') })
  await stage.calls.send('q', [text('a')])
  await until(async () => seen.length === 4 && (await backlog(stage, 'q')) === 0, 'told in the end')
  assert.deepEqual(seen, [1, 1, 1, 2])
})

test('messages are kept for as long as set, wherever they wait, and a queue that rests is closed and found again', async (t) => {
  const stage = await open(t, { queueSweepMs: 20, queueIdleMs: 50 })
  const told: string[] = []
  stage.consumers.p = (event) => {
    told.push(...bodiesOf(event))
    return allRight
  }
  await stage.set('old', { retentionS: 60 })
  await stage.set('late', { consumer: worker('p') })
  await stage.calls.send('old', [text('a')])
  await stage.calls.send('late', [text('b', 3600)])
  await new Promise((resolve) => setTimeout(resolve, 200))
  assert.deepEqual(told, [])
  stage.ahead = 61_000
  await until(async () => (await backlog(stage, 'old')) === 0, 'too old')
  stage.ahead = 3_601_000
  await until(() => told.length === 1, 'due at last')
  await stage.remove('old')
  assert.deepEqual(await stage.held(), ['late'])
})

test('a queue that is full, or was removed, takes nothing', async (t) => {
  const stage = await open(t, { queueBytes: 1000 })
  await stage.set('q')
  await stage.calls.send('q', [text('x'.repeat(600))])
  const answer = await stage.calls.send('q', [text('y'.repeat(600))])
  assert.partialDeepStrictEqual(answer, { refused: { status: 429, code: 10251 } })
  assert.equal(await backlog(stage, 'q'), 1)
  await stage.calls.purge('q')
  assert.equal((await stage.calls.send('q', [text('y'.repeat(600))])).refused, undefined)
  await stage.remove('q')
  await assert.rejects(stage.calls.send('q', [text('z')]), { code: 'store_unknown' })
  await stage.set('q')
  assert.equal(await backlog(stage, 'q'), 0)
})

test('with 10,000 messages waiting, sending and telling take as long as with few', async (t) => {
  const stage = await open(t)
  await stage.set('q', { paused: true })
  const consumer = worker('p', { batchSize: 100 })
  const sendOne = async () => {
    const began = performance.now()
    await stage.calls.send('q', [text('one')])
    return performance.now() - began
  }
  const median = async () => {
    const times: number[] = []
    for (let count = 0; count < 30; count++) times.push(await sendOne())
    return times.sort((a, b) => a - b)[15]!
  }
  const few = await median()
  for (let count = 0; count < 100; count++)
    await stage.calls.send(
      'q',
      Array.from({ length: 100 }, () => text('x'.repeat(100))),
    )
  const many = await median()
  const total = await backlog(stage, 'q')
  assert.equal(total, 10_060)
  let told = 0
  stage.consumers.p = (event) => {
    told += event.messages.length
    return allRight
  }
  const began = performance.now()
  await stage.set('q', { consumer })
  await until(() => told >= total, 'all told', 60_000)
  const drained = performance.now() - began
  t.diagnostic(
    `send: ${few.toFixed(2)} ms with few, ${many.toFixed(2)} ms with 10,000; all told in ${drained.toFixed(0)} ms`,
  )
  assert.equal(told, total)
  // Far above what differs by chance on a busy machine, far below what grows with the backlog.
  assert.ok(many < few * 10 + 20, `${many} ms against ${few} ms`)
})

test('SIGKILL: what was acknowledged is there, and is told at least once', { timeout: 120_000 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-queues-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const sent = new Set<string>()
  const told = new Set<string>()
  for (let round = 0; round < 4; round++) {
    const lines = await killed(folder, round, 400 + round * 150)
    for (const line of lines) {
      const [what, body] = line.split(' ') as [string, string]
      if (what === 'sent') sent.add(body)
      else told.add(body)
    }
  }
  assert.ok(sent.size > 100, `${sent.size} sent`)
  const stage = await openQueueStage(folder)
  t.after(() => stage.close())
  stage.consumers.reader = (event) => {
    for (const body of bodiesOf(event)) told.add(body)
    return allRight
  }
  await stage.set('kept', { consumer: worker('reader', { batchSize: 100 }) })
  await stage.set('read', { consumer: worker('reader', { batchSize: 100 }) })
  const done = async () => (await backlog(stage, 'kept')) + (await backlog(stage, 'read')) === 0
  await until(done, 'everything is told', 60_000)
  assert.deepEqual(
    [...sent].filter((body) => !told.has(body)),
    [],
  )
})

/** Whole lines that the child printed before it was killed. */
async function killed(folder: string, round: number, afterMs: number): Promise<string[]> {
  const child = spawn(process.execPath, [
    '--disable-warning=ExperimentalWarning',
    join(import.meta.dirname, 'queues/send-until-killed.child.ts'),
    ...[folder, String(round)],
  ])
  let output = ''
  const began = Promise.withResolvers<void>()
  child.stdout.on('data', (chunk: Buffer) => {
    output += String(chunk)
    began.resolve()
  })
  let failed = ''
  child.stderr.on('data', (chunk: Buffer) => {
    failed += String(chunk)
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  await Promise.race([began.promise, ended])
  await new Promise((resolve) => setTimeout(resolve, afterMs))
  child.kill('SIGKILL')
  await ended
  assert.notEqual(output, '', failed)
  return output.slice(0, output.lastIndexOf('\n')).split('\n')
}
