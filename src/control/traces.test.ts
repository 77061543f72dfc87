import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { defaultLimits } from '#/core/limits.ts'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import { createMemoryMeshes } from '#/core/memory-mesh.ts'
import type { Trace } from '#/core/traces.ts'
import { boundTrace } from './bound-trace.ts'
import { createTraces } from './traces.ts'

function trace(scriptName: string, logs: string[] = []): Trace {
  const timestamp = 1
  return {
    scriptName,
    outcome: 'ok',
    eventTimestamp: timestamp,
    event: null,
    logs: logs.map((message) => ({ message: [message], level: 'log', timestamp })),
    exceptions: [],
  }
}

function platform() {
  let now = 1_000_000
  const clock = () => now
  const fabric = createMemoryFabric(clock)
  const ticks: (() => void)[] = []
  const every = (_: number, task: () => void) => {
    ticks.push(task)
    return () => {}
  }
  const pop = (limits = {}) => createTraces({ fabric, clock, limits: { ...defaultLimits, ...limits }, every })
  const pass = (ms: number) => {
    now += ms
  }
  const tick = () => {
    for (const task of ticks) task()
  }
  return { pop, pass, tick }
}

test('a local listener counts at once, and gets what its program emits', async () => {
  const { pop } = platform()
  const traces = pop()
  const heard: Trace[] = []
  assert.equal(traces.wanted('a'), false)
  const stop = traces.listen('a', (item) => heard.push(item))
  assert.equal(traces.wanted('a'), true)
  traces.emit(trace('a', ['one']))
  traces.emit(trace('b'))
  assert.equal(heard.length, 0, 'never inside the request')
  await turn()
  assert.deepEqual(
    heard.map(({ logs }) => logs[0]?.message),
    [['one']],
  )
  stop()
  traces.emit(trace('a'))
  await turn()
  assert.deepEqual([traces.wanted('a'), heard.length], [false, 1])
})

test('a listener elsewhere is learned of, fed, and forgotten when it is silent', async () => {
  const { pop, pass, tick } = platform()
  const here = pop()
  const there = pop()
  const heard: Trace[] = []
  const stop = there.listen('a', (item) => heard.push(item))
  await turn()
  assert.equal(here.wanted('a'), true)
  assert.equal(pop().wanted('a'), false, 'it has not read the records yet')
  const late = pop()
  await turn()
  assert.equal(late.wanted('a'), true)
  here.emit(trace('a'))
  there.emit(trace('a'))
  await turn()
  await turn()
  assert.equal(heard.length, 2, 'each trace once')
  pass(50_000)
  tick()
  await turn()
  pass(50_000)
  assert.equal(here.wanted('a'), true, 'renewed')
  pass(20_000)
  assert.equal(here.wanted('a'), false, 'its machine is gone')
  tick()
  await turn()
  assert.equal(here.wanted('a'), true)
  stop()
  await turn()
  assert.equal(here.wanted('a'), false)
})

test('a full queue drops and counts, a throwing listener harms nobody', async () => {
  const { pop } = platform()
  const traces = pop({ traceQueue: 3 })
  const heard: Trace[] = []
  let missed = 0
  traces.listen('a', () => {
    throw new Error('bad listener')
  })
  traces.listen('a', (item) => heard.push(item), { onDropped: (count) => (missed += count) })
  for (let count = 0; count < 5; count++) traces.emit(trace('a'))
  await turn()
  assert.deepEqual([heard.length, missed, traces.dropped], [3, 2, 4])
  traces.emit(trace('a'))
  await turn()
  assert.deepEqual([heard.length, missed], [4, 2])
})

test('a trace over its cap loses its last logs', () => {
  const small = trace('a', ['x'])
  assert.equal(boundTrace(small, 10_000), small)
  const bounded = boundTrace(
    trace(
      'a',
      Array.from({ length: 100 }, () => 'x'.repeat(1000)),
    ),
    10_000,
  )
  assert.ok(bounded.truncated && bounded.logs.length > 5 && bounded.logs.length < 10)
  const loud = { ...small, event: { request: { url: 'x'.repeat(20_000) } } }
  assert.deepEqual([boundTrace(loud, 10_000).event, boundTrace(loud, 10_000).logs.length], [null, 1])
  const thrown = { name: 'Error', message: 'm'.repeat(50_000), stack: 's'.repeat(50_000), timestamp: 1 }
  const exceptions = boundTrace({ ...small, exceptions: [thrown] }, 20_000).exceptions
  assert.deepEqual([exceptions[0]?.message.length, exceptions[0]?.stack?.length], [4096, 4096])
})

test('traces of a program that stays in its countries go to nodes there, and never over the fabric', async () => {
  const fabric = createMemoryFabric(() => 1_000_000)
  const published: string[] = []
  const watched = { ...fabric, publish: (topic: string) => void published.push(topic) }
  const meshes = createMemoryMeshes()
  const at = (node: string, country: string) => {
    const traces = createTraces({
      fabric: watched,
      clock: () => 1_000_000,
      limits: defaultLimits,
      every: () => () => {},
      residency: {
        within: (program) => (program === 'vault' ? ['DE', 'FR'] : undefined),
        countries: [country],
      },
    })
    traces.join(meshes.join({ node, pop: node, country }))
    return traces
  }
  const [fra, par, iad] = [at('fra', 'DE'), at('par', 'FR'), at('iad', 'US')]
  assert.throws(() => iad.listen('vault', () => {}), { code: 'not_here', message: /vault logs stays in DE,FR/ })
  const heard = Promise.withResolvers<Trace>()
  par.listen('vault', heard.resolve)
  iad.listen('free', () => {})
  await until(() => fra.wanted('vault') && fra.wanted('free'))
  fra.emit(trace('vault', ['secret']))
  fra.emit(trace('free'))
  assert.deepEqual((await heard.promise).logs[0]!.message, ['secret'])
  assert.deepEqual(published, ['trace/free'])
  assert.equal(iad.refusal('free'), undefined)
  for (const one of [fra, par, iad]) one.close()
})

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn()
}
