import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Hono } from 'hono'
import type { PurgeWish } from '#/core/cache-policy.ts'
import { defaultLimits } from '#/core/limits.ts'
import type { Site, Snapshot } from '#/core/snapshot.ts'
import { idOf } from './deps.ts'
import { fail } from './envelope.ts'
import { toVendorError } from './errors.ts'
import { purgeRoutes } from './purge.ts'

const origin = { kind: 'origin' as const, url: 'http://o.example.test' }
const sites: Site[] = [
  { name: 'shop', hostnames: ['shop.example.test', '*.cdn.example.test'], routes: [], target: origin },
  { name: 'api', hostnames: [], routes: ['example.test/api/*'], target: { kind: 'program', program: 'api-program' } },
  { name: 'other', hostnames: ['other.test'], routes: [], target: origin },
]
const snapshot: Snapshot = { revision: 1, sites, programs: new Map() }
const zone = idOf('zone example.test')

async function purge(body: unknown, to = zone) {
  const purged: PurgeWish[] = []
  const app = new Hono()
  app.onError((thrown, c) => fail(c, toVendorError(thrown)!))
  const cache = {
    purge: async (wishes: readonly PurgeWish[]) => {
      purged.push(...wishes)
      return { id: 'local-1-1', at: 1, acknowledged: [], away: [] }
    },
  }
  app.route('/', purgeRoutes({ control: { snapshot }, cache, limits: defaultLimits }))
  const init = { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) }
  const answer = await app.request(`/zones/${to}/purge_cache`, init)
  const { success, errors, result } = (await answer.json()) as {
    success: boolean
    errors: { code: number; message: string }[]
    result: unknown
  }
  return { status: answer.status, success, errors, result, purged }
}

const wish = (scope: string, what: PurgeWish['what']): PurgeWish => ({ scope, soft: false, what })

test('each way to purge, for the sites of the zone and for what their programs fetched', async () => {
  const everywhere = (what: PurgeWish['what']) => ['shop', 'api', 'api-program'].map((scope) => wish(scope, what))
  const url = (address: string) => ({ kind: 'url' as const, url: address })
  const cases: [object, PurgeWish[]][] = [
    [{ purge_everything: true }, everywhere({ kind: 'everything' })],
    [{ tags: ['a'] }, everywhere({ kind: 'tag', tag: 'a' })],
    [{ files: ['https://Shop.example.test:8443/a//b?c'] }, [wish('shop', url('https://shop.example.test/a//b?c'))]],
    [
      { files: [{ url: 'http://x.cdn.example.test/a', headers: { 'CF-IPCountry': 'DE' } }] },
      [wish('shop', url('http://x.cdn.example.test/a'))],
    ],
    [
      { files: ['https://example.test/api/x'] },
      [wish('api', url('https://example.test/api/x')), wish('api-program', url('https://example.test/api/x'))],
    ],
    [{ hosts: ['shop.example.test'] }, [wish('shop', { kind: 'host', host: 'shop.example.test' })]],
    [
      { prefixes: ['shop.example.test/img'] },
      [wish('shop', { kind: 'prefix', prefix: 'https://shop.example.test/img' })],
    ],
  ]
  for (const [body, expected] of cases) {
    const { status, success, result, purged } = await purge(body)
    assert.deepEqual([status, success, result], [200, true, { id: 'local-1-1' }], JSON.stringify(body))
    assert.deepEqual(purged, expected, JSON.stringify(body))
  }
})

test('what cannot be purged is refused whole, with a number', async () => {
  const cases: [unknown, number, number][] = [
    [{}, 400, 1012],
    [{ purge_everything: false }, 400, 1012],
    [{ purge_everything: true, tags: ['a'] }, 400, 1012],
    [{ files: ['shop.example.test/a'] }, 400, 1016],
    [{ files: ['https://other.test/a'] }, 400, 1016],
    [{ files: ['https://shop.example.test/ok', 'https://other.test/a'] }, 400, 1016],
    [{ files: [{ url: 'https://shop.example.test/', headers: { 'x-other': '1' } }] }, 400, 1016],
    [{ prefixes: ['https://shop.example.test/a'] }, 400, 1016],
    [{ hosts: ['shop.example.test/a'] }, 400, 1016],
    [{ tags: Array.from({ length: 101 }, (_, index) => String(index)) }, 400, 1094],
    [{ tags: [''] }, 400, 10001],
    [{ everything: true }, 400, 10501],
    ['{', 400, 10001],
  ]
  for (const [body, status, code] of cases) {
    const refused = await purge(body)
    assert.deepEqual([refused.status, refused.errors[0]?.code], [status, code], JSON.stringify(body))
    assert.deepEqual(refused.purged, [])
  }
  assert.deepEqual((await purge({ purge_everything: true }, idOf('zone nowhere.test'))).purged, [])
})
