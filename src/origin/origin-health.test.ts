import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { HealthCheck, SiteOrigin } from '#/core/delivery-rules.ts'
import { defaultLimits } from '#/core/limits.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import { createEgress } from './egress.ts'
import { createOriginHealth, initialResults, isHealthy } from './origin-health.ts'

const check: HealthCheck = {
  method: 'HEAD',
  host: 'check.example.test',
  path: '/up',
  status: 204,
  everyMs: 5,
  timeoutMs: 1000,
  window: 5,
  threshold: 3,
  initial: 2,
}

test('healthy is who answered well often enough of late', () => {
  const cases: [readonly boolean[], boolean][] = [
    [initialResults(check), false],
    [[...initialResults(check), true], true],
    [[true, true, true, false, false], true],
    [[true, true, false, false, false], false],
    [[], false],
  ]
  for (const [results, expected] of cases) assert.equal(isHealthy(results, check), expected, String(results))
  assert.equal(initialResults({ ...check, initial: 9 }).length, 5)
})

test('an origin is sick while its answers are wrong, and well again after', async (t) => {
  let status = 204
  let host: string | undefined
  const server = createServer((request, response) => {
    host = request.headers.host
    response.writeHead(request.url === '/up' ? status : 404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const egress = createEgress({
    rules: { grants: () => [{ names: 'address', port: true }] },
    ownSite: () => undefined,
    limits: defaultLimits,
    clock: Date.now,
  })
  const changes: string[] = []
  let changed = () => {}
  const health = createOriginHealth({
    egress,
    limits: defaultLimits,
    log: (message) => {
      changes.push(message)
      changed()
    },
  })
  t.after(async () => {
    health.close()
    await egress.close()
    server.closeAllConnections()
    server.close()
  })
  const change = () =>
    new Promise<void>((resolve) => {
      changed = resolve
    })

  const origin: SiteOrigin = {
    name: 'o',
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connectMs: 1000,
    firstByteMs: 1000,
    betweenBytesMs: 1000,
    sharesLoad: true,
    weight: 100,
    check,
  }
  const rules = { origins: [origin], requests: [], headers: [], answers: [], caching: [], compression: [] }
  const site = { name: 's', hostnames: [], routes: [], target: { kind: 'origin' as const, url: origin.url }, rules }
  const snapshot = (sites: Snapshot['sites']): Snapshot => ({ revision: 1, sites, programs: new Map() })
  const well = change()
  health.adopt(snapshot([site]))
  assert.equal(health.isSick('s', 'o'), true, 'two good answers are assumed, three needed')
  await well
  assert.equal(health.isSick('s', 'o'), false)
  assert.equal(host, 'check.example.test')

  const sick = change()
  status = 500
  await sick
  assert.equal(health.isSick('s', 'o'), true)
  health.adopt(snapshot([{ ...site }]))
  assert.equal(health.isSick('s', 'o'), true, 'another Snapshot with the same check forgets nothing')

  const again = change()
  status = 204
  await again
  assert.equal(health.isSick('s', 'o'), false)
  health.adopt(snapshot([]))
  assert.equal(health.isSick('s', 'o'), false)
  assert.deepEqual(changes, ['an origin is well again', 'an origin is sick', 'an origin is well again'])
  assert.equal(health.isSick('other', 'o'), false)
})
