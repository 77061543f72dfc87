import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readCacheOptions } from './cache-options.ts'

const policy = { defaultTtl: 0 }

test('what fetch(url, { cf }) asks of the cache', () => {
  const table: [object | '', object | RegExp][] = [
    ['', { policy }],
    [{ colo: 'TST', country: 'DE' }, { policy }],
    [
      { cacheTtl: 60, cacheControl: 'max-age=60' },
      { policy, ttl: 60 },
    ],
    [
      { cacheTtl: 0, cacheControl: 'max-age=0' },
      { policy, ttl: 0 },
    ],
    [{ cacheTtl: -1, cacheControl: 'no-store' }, { bypass: true }],
    [{ cacheEverything: true }, { everything: true }],
    [{ cacheEverything: false }, { policy }],
    [
      { cacheKey: 'k', cacheTags: ['a', 'b'] },
      { policy, key: 'k', tags: ['a', 'b'] },
    ],
    [
      { cacheTtlByStatus: { '200-299': 86_400, '404': 1, '500-599': -1 } },
      {
        policy,
        ttlByStatus: [
          { from: 404, to: 404, ttl: 1 },
          { from: 200, to: 299, ttl: 86_400 },
          { from: 500, to: 599, ttl: -1 },
        ],
      },
    ],
    // fetch(url, { cache: 'no-store' }), 'reload' and 'no-cache', in the runtime's words.
    [{ cacheTtl: -1, cacheLevel: 'bypass', cacheControl: 'no-store' }, { bypass: true }],
    [{ cacheLevel: 'bypass' }, { bypass: true }],
    [{ cacheForceRevalidate: true, cacheControl: 'no-cache' }, { bypass: true }],
    [{ mirage: true, polish: 'lossy', minify: {}, scrapeShield: false, cacheDeceptionArmor: true }, { policy }],
    [{ cacheTtl: '60' }, /cf\.cacheTtl of fetch\(\) must be a number/],
    [{ cacheEverything: 1 }, /cacheEverything/],
    [{ cacheKey: 'a\nb' }, /cacheKey/],
    [{ cacheKey: 1 }, /cacheKey/],
    [{ cacheTags: 'a' }, /cacheTags/],
    [{ cacheTtlByStatus: { ok: 1 } }, /cacheTtlByStatus/],
    [{ cacheTtlByStatus: [1] }, /cacheTtlByStatus/],
    [{ cacheControl: 'max-age=5' }, /cf\.cacheControl/],
    [{ image: { width: 1 } }, /cf\.image/],
    [{ resolveOverride: 'a.example' }, /cf\.resolveOverride/],
  ]
  for (const [cf, expected] of table) {
    const read = readCacheOptions(cf === '' ? '' : JSON.stringify(cf))
    const what = JSON.stringify(cf)
    if (expected instanceof RegExp) assert.match(read.kind === 'refused' ? read.why : 'taken', expected, what)
    else assert.deepEqual(read, { kind: 'wish', wish: expected }, what)
  }
})
