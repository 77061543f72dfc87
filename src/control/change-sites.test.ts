/** Sites: what a wish becomes in the Snapshot and in the record. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cachePolicySchema } from './cache-policy.ts'

test('a cache policy is checked by name', () => {
  const good = {
    defaultTtl: 60,
    ttlByStatus: [{ from: 404, to: 404, ttl: 5 }],
    storeSetCookie: true,
    key: { query: { kind: 'only', names: ['a'] }, sortQuery: true, headers: ['X-Plan'] },
    bypassPaths: ['/admin/*'],
  }
  const read = cachePolicySchema.parse(good)
  assert.deepEqual(read, { ...good, key: { ...good.key, headers: ['x-plan'] } })
  const bad: [object, RegExp][] = [
    [{ ttl: 1 }, /"ttl"/],
    [{ defaultTtl: -1 }, /defaultTtl/],
    [{ ttlByStatus: [{ from: 500, to: 404, ttl: 1 }] }, /from/],
    [{ key: { headers: ['a b'] } }, /token/],
    [{ bypassPaths: ['admin'] }, /start with/],
  ]
  for (const [policy, why] of bad) {
    const result = cachePolicySchema.safeParse(policy)
    assert.match(JSON.stringify(result.error?.issues), new RegExp(why.source.replaceAll('"', '\\\\?"')))
  }
})
