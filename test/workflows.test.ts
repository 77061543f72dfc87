/** Workflows as people use them: the real wrangler, a deployed Worker with the runtime's own binding, asked over HTTP. */
import assert from 'node:assert/strict'
import { cp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { askSteps, type Told } from './support/ask-steps.ts'
import { type RunningNode, root, startNode, temporaryFolder, until as untilTrue, wrangler } from './support/node.ts'

let node: RunningNode
let folder: string

before(async () => {
  node = await startNode(undefined)
  folder = await temporaryFolder(undefined, 'workflows')
  await cp(join(root, 'test/workflows/worker.js'), join(folder, 'index.js'))
  await writeFile(join(folder, 'wrangler.json'), JSON.stringify(configuration))
  await wrangler(node, folder, ['deploy'])
})
after(async () => {
  await node.stop('SIGKILL')
})

const configuration = {
  name: 'shop',
  main: 'index.js',
  compatibility_date: '2026-11-01',
  workflows: [{ name: 'orders', binding: 'FLOW', class_name: 'Flow' }],
}

const { ask, does } = askSteps(() => node, 'shop.localhost')

const create = (id: string, ...steps: object[]) => does('create', { options: { id, params: { steps } } })

/** Asks until it has this status; a final one that is another fails at once. */
async function until(id: string, wanted: string): Promise<Told> {
  let told: Told
  const isSo = async () => {
    told = await does('status', { id })
    if (told.status === wanted) return true
    assert.ok(!['complete', 'errored', 'terminated'].includes(told.status), JSON.stringify(told))
    return false
  }
  await untilTrue(isSo, `${id} to be ${wanted}`, 60_000, () => told)
  return told
}

test('an instance is made, runs its steps and tells what they gave', { timeout: 120_000 }, async () => {
  const id = await create('first', { kind: 'give', name: 'one', value: 1 }, { kind: 'give', name: 'two', value: [2] })
  assert.equal(id, 'first')
  const { output } = await until(id, 'complete')
  assert.deepEqual(output, { results: [1, [2]], instanceId: 'first', workflowName: 'orders', dated: true })
})

interface StepLog {
  readonly name: string
  readonly type: string
  readonly attempts: readonly { readonly success: boolean; readonly error: { readonly message: string } | null }[]
  readonly success: boolean | null
  readonly output: unknown
}

interface Described {
  readonly status: string
  readonly steps: readonly StepLog[]
}

async function describe(id: string): Promise<Described> {
  const answer = await node.api(`/client/v4/accounts/${node.accountId}/workflows/orders/instances/${id}`)
  const told = (await answer.json()) as { result: Described }
  assert.equal(answer.status, 200, JSON.stringify(told))
  return told.result
}

const soon = (limit: number, backoff = 'constant') => ({ retries: { limit, delay: 20, backoff } })

test('steps are tried again, and what they throw is told', { timeout: 120_000 }, async () => {
  const cases: [name: string, steps: object[], ends: object][] = [
    [
      'constant',
      [{ kind: 'fail', name: 'a', times: 2, message: 'no', config: soon(2) }],
      { status: 'complete', results: ['after 3'] },
    ],
    [
      'linear',
      [{ kind: 'fail', name: 'a', times: 1, message: 'no', config: soon(5, 'linear') }],
      { status: 'complete', results: ['after 2'] },
    ],
    [
      'exponential',
      [{ kind: 'fail', name: 'a', times: 3, message: 'no', config: soon(5, 'exponential') }],
      { status: 'complete', results: ['after 4'] },
    ],
    [
      'spent',
      [{ kind: 'fail', name: 'a', times: 9, message: 'never', config: soon(1) }],
      { status: 'errored', error: { name: 'Error', message: 'never' } },
    ],
    [
      'final',
      [{ kind: 'fail', name: 'a', times: 9, message: 'give up', final: true, config: soon(5) }],
      { status: 'errored', error: { name: 'NonRetryableError', message: 'give up' } },
    ],
    [
      'caught',
      [{ kind: 'caught', of: { kind: 'fail', name: 'a', times: 9, message: 'caught', config: soon(0) } }],
      { status: 'complete', results: [{ name: 'Error', message: 'caught' }] },
    ],
    [
      'late',
      [{ kind: 'caught', of: { kind: 'slow', name: 'a', ms: 60_000, config: { ...soon(0), timeout: 50 } } }],
      {
        status: 'complete',
        results: [{ name: 'Error', message: 'WorkflowTimeoutError: Execution timed out after 50ms' }],
      },
    ],
  ]
  const batch = cases.map(([id, steps]) => ({ id, params: { steps } }))
  assert.deepEqual(
    await does('createBatch', { batch }),
    cases.map(([id]) => id),
  )
  for (const [id, , { status, results, error }] of cases as [string, object[], Told][]) {
    const told = await until(id, status)
    assert.deepEqual({ results: told.output?.results, error: told.error }, { results, error }, id)
  }
  const { attempts, ...step } = (await describe('constant')).steps[0]!
  assert.deepEqual([step.name, step.type, step.success, step.output], ['a-1', 'step', true, 'after 3'])
  assert.deepEqual(
    attempts.map(({ success, error }) => [success, error?.message]),
    [
      [false, 'no'],
      [false, 'no'],
      [true, undefined],
    ],
  )
  assert.equal((await describe('final')).steps[0]!.attempts.length, 1)
})

test('values of every kind come back, steps of one name are counted, steps run beside each other', {
  timeout: 120_000,
}, async () => {
  const config = { retries: { limit: 2, delay: '1 second', backoff: 'linear' }, timeout: '1 minute' }
  await create(
    'values',
    { kind: 'rich', name: 'rich' },
    { kind: 'many', count: 30 },
    {
      kind: 'both',
      of: [
        { kind: 'give', name: 'b', value: 'b' },
        { kind: 'slow', name: 's', ms: 50 },
      ],
    },
    { kind: 'context', name: 'c', config },
  )
  const { output } = await until('values', 'complete')
  assert.deepEqual(output.results, [
    { year: 2026, map: '1', bytes: [1, 2, 255], isSelf: true },
    30,
    ['b', 1],
    { step: { name: 'c', count: 1 }, attempt: 1, config },
  ])
  assert.equal((await describe('values')).steps.length, 34)
})

test('a long sleep ends the run, and the next one goes on behind it', { timeout: 120_000 }, async () => {
  await create(
    'sleeper',
    { kind: 'unique', name: 'before' },
    { kind: 'until', name: 'day', at: Date.now() + 5000 },
    { kind: 'sleep', name: 'long', duration: '3 seconds' },
    { kind: 'sleep', name: 'short', duration: 10 },
    { kind: 'caught', of: { kind: 'until', name: 'past', at: 0 } },
    { kind: 'unique', name: 'after' },
  )
  await until('sleeper', 'waiting')
  const { output: before } = (await describe('sleeper')).steps[0]!
  const { output } = await until('sleeper', 'complete')
  assert.equal(output.results[0], before)
  assert.equal(output.results[4].message, "You can't sleep until a time in the past, time-traveler")
})

test('events are waited for, kept until then, or come too late', { timeout: 120_000 }, async () => {
  const send = (type: string, payload: unknown) => does('sendEvent', { id: 'waiter', event: { type, payload } })
  await create(
    'waiter',
    { kind: 'event', name: 'paid', type: 'payment', timeout: '1 minute' },
    { kind: 'event', name: 'again', type: 'payment' },
    { kind: 'caught', of: { kind: 'event', name: 'never', type: 'nothing', timeout: 100 } },
    { kind: 'event', name: 'slow', type: 'later', timeout: '1 hour' },
  )
  await send('payment', { amount: 3 })
  await send('payment', 'second')
  // It has given its run up by then.
  await until('waiter', 'waiting')
  await send('later', [1])
  const { output } = await until('waiter', 'complete')
  assert.deepEqual(output.results, [
    { type: 'payment', payload: { amount: 3 }, dated: true },
    { type: 'payment', payload: 'second', dated: true },
    { name: 'Error', message: 'WorkflowTimeoutError: Execution timed out after 100ms' },
    { type: 'later', payload: [1], dated: true },
  ])
})

test('instances are paused, resumed, terminated, begun again and deleted', { timeout: 120_000 }, async () => {
  const work = [
    { kind: 'unique', name: 'first' },
    { kind: 'slow', name: 'slow', ms: 300 },
    { kind: 'event', name: 'go', type: 'go' },
    { kind: 'unique', name: 'last' },
  ]
  await create('changed', ...work)
  await until('changed', 'running')
  await does('pause', { id: 'changed' })
  await until('changed', 'paused')
  await does('sendEvent', { id: 'changed', event: { type: 'go', payload: null } })
  await does('resume', { id: 'changed' })
  const whole = await until('changed', 'complete')

  await does('restart', { id: 'changed', options: { from: { name: 'last' } } })
  const half = await until('changed', 'complete')
  assert.equal(half.output.results[0], whole.output.results[0])
  assert.notEqual(half.output.results[3], whole.output.results[3])

  await does('restart', { id: 'changed' })
  await until('changed', 'waiting')
  await does('terminate', { id: 'changed' })
  assert.equal((await does('status', { id: 'changed' })).status, 'terminated')
  await does('delete', { id: 'changed' })

  const refused: [step: string, rest: object, message: RegExp][] = [
    ['get', { id: 'changed' }, /\(instance\.not_found\) Instance does not exist/],
    ['delete', { id: 'changed' }, /\(instance\.not_found\)/],
    ['terminate', { id: 'first' }, /\(instance\.cannot_terminate\) Cannot terminate instance since its on a finite/],
    ['restart', { id: 'first', options: { from: { name: 'x' } } }, /Step "x" not found in execution history/],
    ['create', { options: { id: 'first' } }, /\(instance\.already_exists\)/],
    ['create', { options: { id: 'a b' } }, /\(instance\.invalid_id\) Workflow instance has invalid id/],
    ['create', { options: { id: 'x'.repeat(101) } }, /\(instance\.invalid_id\)/],
    ['create', { options: { params: 'x'.repeat(2 ** 20) } }, /too large\. Maximum allowed size is 1MiB/],
    ['createBatch', { batch: [] }, /batchCreate should have at least 1 instance/],
    ['sendEvent', { id: 'first', event: { type: 'a', payload: 1 } }, /\(instance\.cannot_send_event\)/],
    ['terminate', { id: 'values', options: { rollback: true } }, /not rolled back here/],
  ]
  for (const [step, rest, message] of refused) assert.match((await ask(step, rest)).error, message, step)
  assert.deepEqual(await does('createBatch', { batch: [{ id: 'first' }] }), [])
  assert.deepEqual((await does('deleteBatch', { ids: ['first', 'nobody'] })).deleted, [{ id: 'first' }])
})

test('what a step may not be or give is said in words', { timeout: 120_000 }, async () => {
  const cases: [what: string, message: RegExp][] = [
    ['function', /serializ|serialis/],
    ['large', /Step large-1 output is too large\. Maximum allowed size is 1MiB\./],
    ['config', /Step config for "config" is in a invalid format/],
    ['name', /exceeds max length \(256 chars\)/],
    ['callback', /Step "callback" requires a callback function/],
    ['rollback', /rollback options, which are not supported/],
  ]
  for (const [what] of cases) await create(`strange-${what}`, { kind: 'strange', name: what, what })
  for (const [what, message] of cases)
    assert.match((await until(`strange-${what}`, 'errored')).error.message, message, what)
})

test('wrangler lists, describes, triggers and changes', { timeout: 300_000 }, async () => {
  const run = async (...words: string[]) => (await wrangler(node, folder, ['workflows', ...words])).output
  const fails = (wanted: RegExp, ...words: string[]) => assert.rejects(run(...words), wanted)
  const steps = [
    { kind: 'give', name: 'one', value: 'given' },
    { kind: 'event', name: 'go', type: 'go' },
  ]
  const [listed, described] = await Promise.all([
    run('list'),
    run('describe', 'orders'),
    run('trigger', 'orders', JSON.stringify({ steps }), '--id', 'mine'),
    fails(/workflow_not_found/, 'describe', 'nothing'),
  ])
  assert.match(listed, /orders .*shop .*Flow/)
  assert.match(described, /Class Name:.*Flow/)
  await until('mine', 'waiting')
  const shown = await run('instances', 'describe', 'orders', 'latest')
  for (const word of [/mine/, /Waiting/, /one-1/, /"given"/, /go-1/, /API/]) assert.match(shown, word)
  await run('instances', 'pause', 'orders', 'mine')
  const [paused] = await Promise.all([
    run('instances', 'list', 'orders', '--status', 'paused'),
    run('instances', 'send-event', 'orders', 'mine', '--type', 'go', '--payload', '{"a":1}'),
  ])
  assert.match(paused, /mine.*Paused/)
  await run('instances', 'resume', 'orders', 'mine')
  assert.deepEqual((await until('mine', 'complete')).output.results[1].payload, { a: 1 })
  await run('instances', 'restart', 'orders', 'mine')
  await run('instances', 'terminate', 'orders', 'mine')
  await Promise.all([
    fails(/cannot_terminate/, 'instances', 'terminate', 'orders', 'mine'),
    run('instances', 'delete', 'orders', 'constant', 'values'),
  ])
  await fails(/instance\.not_found/, 'instances', 'describe', 'orders', 'values')
})

test('a node that is killed goes on where its instances were', { timeout: 120_000 }, async () => {
  await create(
    'killed',
    { kind: 'unique', name: 'done' },
    { kind: 'slow', name: 'cut', ms: 3000 },
    { kind: 'unique', name: 'end' },
  )
  await create('asleep', { kind: 'unique', name: 'done' }, { kind: 'sleep', name: 'nap', duration: '5 seconds' })
  const finished = async (id: string) => (await describe(id)).steps.filter(({ output }) => typeof output === 'string')
  await untilTrue(async () => (await describe('killed')).steps.length === 2, 'two steps to be begun', 60_000)
  await until('asleep', 'waiting')
  const [kept] = await finished('killed')
  const [napped] = await finished('asleep')
  await node.stop('SIGKILL')
  node = await startNode(undefined, { data: node.data })
  const { output } = await until('killed', 'complete')
  assert.equal(output.results[0], kept!.output)
  // It ran at least twice.
  assert.equal(output.results[1], 2)
  assert.equal((await until('asleep', 'complete')).output.results[0], napped!.output)
})

test('a binding, and what is set for a workflow, must fit what is there', { timeout: 120_000 }, async () => {
  const other = await temporaryFolder(undefined, 'workflows-other')
  await writeFile(join(other, 'index.js'), 'export class Flow {}\nexport default { fetch: () => new Response() }')
  const flow = { name: 'bills', binding: 'FLOW', class_name: 'Flow' }
  const deploy = async (more: object, exports?: object) => {
    const workflows = exports === undefined ? [{ ...flow, ...more }] : []
    const written = { ...configuration, name: 'bank', workflows, ...(exports !== undefined && { exports }) }
    await writeFile(join(other, 'wrangler.json'), JSON.stringify(written))
    const { code, output } = await wrangler(node, other, ['deploy'], { mayFail: true })
    assert.notEqual(code, 0, output)
    return output
  }
  assert.match(await deploy({ script_name: 'nobody' }), /Target script 'nobody' not found.*\[code: 10143\]/s)
  assert.match(await deploy({ script_name: 'shop', class_name: 'Tide' }), /'shop' exports no class 'Tide'.*10021/s)
  const noClass = /the script exports no class of that name that extends WorkflowEntrypoint/
  assert.match(await deploy({}), noClass)
  assert.match(await deploy({}, { Flow: { type: 'workflow', name: 'bills' } }), noClass)
  const put = async (wish: object) => {
    const body = JSON.stringify({ script_name: 'shop', class_name: 'Flow', ...wish })
    const answer = await node.api(`/client/v4/accounts/${node.accountId}/workflows/orders`, { method: 'PUT', body })
    return answer.text()
  }
  const cases: [wish: object, says: RegExp][] = [
    [{ class_name: 'Tide' }, /class_not_found: 'shop' exports no class 'Tide'/],
    [{ schedules: [{ cron: '0 22 * * 0' }] }, /10100.*invalid cron string: '0 22 \* \* 0'/],
    [{ default_retention: { success_retention: '31 days' } }, /success_retention is ."31 days.", not a duration/],
    [{ jurisdiction: 'eu' }, /10209.*jurisdiction_immutable/],
    [{ concurrency: { limit: 0 } }, /concurrency/],
  ]
  for (const [wish, says] of cases) assert.match(await put(wish), says)
})

test('instances rest while their program is not deployed, and go on when it is', { timeout: 120_000 }, async () => {
  await create('rests', { kind: 'event', name: 'go', type: 'go' })
  await until('rests', 'waiting')
  await wrangler(node, folder, ['delete', '--force'])
  await wrangler(node, folder, [
    'workflows',
    'instances',
    'send-event',
    'orders',
    'rests',
    '--type',
    'go',
    '--payload',
    '{}',
  ])
  // It is due, and nobody tries.
  await new Promise((resolve) => setTimeout(resolve, 1000))
  assert.equal((await describe('rests')).status, 'waiting')
  assert.match(await readFile(join(node.data, 'log/rimward.jsonl'), 'utf8'), /its program is not deployed/)
  await wrangler(node, folder, ['deploy'])
  await until('rests', 'complete')
})

test('a workflow that is deleted leaves nothing behind', { timeout: 120_000 }, async () => {
  const folders = () => readdir(join(node.data, 'workflow'))
  assert.equal((await folders()).length, 1)
  await create('last', { kind: 'event', name: 'go', type: 'go' })
  await wrangler(node, folder, ['workflows', 'delete', 'orders'])
  assert.match((await ask('create', {})).error, /There is no workflow orders/)
  await untilTrue(async () => (await folders()).length === 0, 'its folder to be gone', 60_000, folders)
})
