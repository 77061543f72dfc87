/** Health checks by an injected clock: what turns an origin down and up, how they are spread and bounded. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Registry } from 'prom-client'
import { EdgeError } from '#/core/errors.ts'
import { defaultLimits } from '#/core/limits.ts'
import type { HealthCheck, Origin } from '#/core/origin.ts'
import type { EgressAnswer, EgressRequest } from '#/core/ports.ts'
import type { Site } from '#/core/snapshot.ts'
import { createHealthChecks } from './health-checks.ts'
import { addOriginMetrics } from './origin-metrics.ts'

const check: HealthCheck = {
  method: 'HEAD',
  path: '/health',
  expectedStatus: 200,
  headers: { 'x-probe': '1' },
  timeoutMs: 5_000,
  intervalMs: 10_000,
  threshold: 2,
  window: 3,
  initial: 2,
}
const origin = (name: string): Origin => ({ name, url: `http://${name}.example/base`, weight: 100 })
const site = (name: string, origins: Origin[], healthCheck: HealthCheck | undefined = check): Site => ({
  name,
  hostnames: [],
  routes: [],
  target: {
    kind: 'origin',
    url: origins[0]!.url,
    pool: { origins, choice: 'fallback', ...(healthCheck && { healthCheck }) },
  },
})

function world(healthChecksAtOnce = 32, healthChecks = defaultLimits.healthChecks) {
  let now = 0
  const timers = new Set<{ at: number; work: () => void }>()
  const asked: EgressRequest[] = []
  let answer: (request: EgressRequest) => Promise<number> = async () => 200
  const checks = createHealthChecks({
    egress: {
      async fetch(request): Promise<EgressAnswer> {
        asked.push(request)
        return { status: await answer(request), headers: [], body: null }
      },
    },
    limits: { ...defaultLimits, healthChecksAtOnce, healthChecks },
    clock: () => now,
    random: () => 0.5,
    schedule(ms, work) {
      const timer = { at: now + ms, work }
      timers.add(timer)
      return () => timers.delete(timer)
    },
  })
  return {
    checks,
    asked,
    timers,
    answering: (next: typeof answer) => {
      answer = next
    },
    async pass(ms: number) {
      const end = now + ms
      for (;;) {
        // Long enough for whatever waits for a place to have had its turn.
        for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
        const next = Math.min(...[...timers].map(({ at }) => at))
        if (next > end) break
        now = next
        for (const due of [...timers].filter(({ at }) => at === next)) {
          timers.delete(due)
          due.work()
        }
      }
      now = end
    },
  }
}

test('an origin goes down and comes back by threshold and window', async () => {
  const { checks, asked, answering, pass } = world()
  const a = origin('a')
  checks.adopt([site('shop', [a])])
  assert.equal(checks.isHealthy('shop', a), true)
  await pass(1_000)
  const { method, url, headers, by } = asked[0]!
  assert.deepEqual([method, url, by], ['HEAD', 'http://a.example/health', { site: 'shop' }])
  assert.deepEqual(headers, ['x-probe', '1', 'user-agent', 'rimward-health-check'])
  const refuses = () => Promise.reject(new EdgeError('origin_refused', 'a refused the connection.'))
  const steps: [() => Promise<number>, boolean, string][] = [
    [async () => 500, true, 'status 500, not 200'],
    [refuses, false, 'a refused the connection.'],
    [async () => 200, false, 'status 200'],
    [async () => 200, true, 'status 200'],
  ]
  for (const [answer, healthy, why] of steps) {
    answering(answer)
    await pass(10_000)
    const [state] = checks.states('shop')
    assert.deepEqual([state!.healthy, state!.check!.last!.why], [healthy, why])
    assert.equal(checks.isHealthy('shop', a), healthy)
  }
  assert.equal(asked.length, 5)
})

test('a check without an answer ends at its timeout', async () => {
  const { checks, answering, pass } = world()
  const hangs = (request: EgressRequest) =>
    new Promise<number>((_resolve, reject) =>
      request.signal.addEventListener('abort', () => reject(new EdgeError('client_gone', 'given up'))),
    )
  answering(hangs)
  checks.adopt([site('shop', [origin('a')])])
  await pass(5_600)
  assert.equal(checks.states('shop')[0]!.check!.last!.why, 'no answer within 5000 ms')
})

test('an origin beyond the number of checks is checked once another one leaves', () => {
  const { checks } = world(32, 2)
  const sites = ['a', 'b', 'c', 'd'].map((name) => site(name, [origin(name)]))
  const checked = () => checks.states().flatMap(({ name, check }) => (check === undefined ? [] : name))
  checks.adopt(sites)
  assert.deepEqual(checked(), ['a', 'b'])
  checks.adopt(sites.slice(1))
  assert.deepEqual(checked().sort(), ['b', 'c'])
  checks.adopt([sites[0]!, ...sites.slice(1)])
  assert.deepEqual(checked().length, 2)
  checks.adopt([sites[3]!])
  assert.deepEqual(checked(), ['d'])
})

test('checks are bounded, kept over a change of other sites, and end', async () => {
  const { checks, asked, timers, answering, pass } = world(2)
  let open = 0
  let most = 0
  answering(async () => {
    most = Math.max(most, ++open)
    await new Promise(setImmediate)
    open--
    return 503
  })
  const sites = ['a', 'b', 'c', 'd', 'e'].map((name) => site(name, [origin(name)]))
  checks.adopt(sites)
  await pass(25_000)
  assert.equal(most, 2)
  assert.equal(asked.length, 15)
  assert.equal(checks.isHealthy('a', origin('a')), false)
  checks.note('a', origin('a'), 'request')
  checks.adopt([sites[0]!, site('b', [origin('other')])])
  assert.equal(checks.isHealthy('a', origin('a')), false, 'what did not change keeps its results')
  assert.equal(checks.states('a')[0]!.requests, 1)
  assert.equal(checks.isHealthy('b', origin('other')), true)
  assert.equal(timers.size, 2)
  const registry = new Registry()
  addOriginMetrics({ registry, states: () => checks.states(), limits: { metricSites: 1 } })
  const text = await registry.metrics()
  assert.match(text, /rimward_origin_healthy\{site="a",origin="a"\} 0/)
  assert.match(text, /rimward_origin_requests_total\{site="a",origin="a"\} 1/)
  assert.doesNotMatch(text, /site="b"/)
  checks.close()
  assert.equal(timers.size, 0)
})
