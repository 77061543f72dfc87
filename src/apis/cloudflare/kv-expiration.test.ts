import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readExpiration } from './kv-expiration.ts'

test('expirations', () => {
  const now = 1_000_000_500
  const cases: [Parameters<typeof readExpiration>[0], number | undefined | RegExp][] = [
    [{}, undefined],
    [{ ttl: '60' }, 1_000_060_000],
    [{ ttl: 3600 }, 1_003_600_000],
    [{ expiration: '1000060' }, 1_000_060_000],
    [{ ttl: '60', expiration: '1' }, 1_000_060_000],
    [{ ttl: '59' }, /^Invalid expiration_ttl of 59\. Expiration TTL must be at least 60\.$/],
    [{ ttl: 0 }, /greater than 0/],
    [{ ttl: '' }, /greater than 0/],
    [{ ttl: '1e3' }, /greater than 0/],
    [{ ttl: '-60' }, /greater than 0/],
    [{ ttl: 60.5 }, /greater than 0/],
    [{ ttl: '9'.repeat(30) }, /greater than 0/],
    [{ expiration: '1000000' }, /^Invalid expiration of 1000000\. Please specify integer greater than the current/],
    [{ expiration: 'soon' }, /greater than the current/],
    [{ expiration: 1_000_059 }, /at least 60 seconds in the future\.$/],
  ]
  for (const [given, wanted] of cases) {
    const read = readExpiration(given, now, 60)
    if (wanted instanceof RegExp) assert.match(read.ok ? 'accepted' : read.message, wanted, JSON.stringify(given))
    else assert.deepEqual(read, wanted === undefined ? { ok: true } : { ok: true, expiresAt: wanted })
  }
})
