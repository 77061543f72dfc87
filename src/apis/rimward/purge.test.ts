import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PurgeWish } from '#/core/cache-policy.ts'
import { defaultLimits } from '#/core/limits.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import { ownPurgeRoutes } from './purge.ts'

const target = { kind: 'origin' as const, url: 'http://o.example.test' }
const snapshot: Snapshot = {
  revision: 1,
  sites: [{ name: 'shop', hostnames: ['shop.example.test'], routes: [], target }],
  programs: new Map(),
}

async function purge(body: unknown) {
  const purged: PurgeWish[] = []
  const cache = {
    purge: async (wishes: readonly PurgeWish[]) => {
      purged.push(...wishes)
      return { id: 'local-1-1', at: 1, acknowledged: [], away: [] }
    },
  }
  const app = ownPurgeRoutes({ control: { snapshot }, cache, receipt: async () => undefined, limits: defaultLimits })
  const answer = await app.request('/purge', { method: 'POST', body: JSON.stringify(body) })
  return { status: answer.status, text: await answer.text(), purged }
}

test('URLs and prefixes go to the site of their host, everything else where it is told', async () => {
  const all = { urls: ['shop.example.test/a', 'http://elsewhere.test'], prefixes: ['shop.example.test/b'] }
  const { status, purged } = await purge({ ...all, tags: ['t'], hosts: ['X.test'], soft: true })
  assert.equal(status, 200)
  assert.deepEqual(purged, [
    { soft: true, scope: 'shop', what: { kind: 'url', url: 'https://shop.example.test/a' } },
    { soft: true, what: { kind: 'url', url: 'http://elsewhere.test/' } },
    { soft: true, scope: 'shop', what: { kind: 'prefix', prefix: 'https://shop.example.test/b' } },
    { soft: true, what: { kind: 'tag', tag: 't' } },
    { soft: true, what: { kind: 'host', host: 'x.test' } },
  ])
  assert.deepEqual((await purge({ everything: true, site: 'shop' })).purged, [
    { soft: false, scope: 'shop', what: { kind: 'everything' } },
  ])
})

test('bad wishes purge nothing', async () => {
  const cases: [unknown, number, RegExp][] = [
    [{}, 400, /Nothing to purge/],
    [{ everything: true, site: 'none' }, 404, /There is no site/],
    [{ urls: ['not a url'] }, 400, /is not a URL/],
    [{ url: 'a' }, 400, /url/],
    [7, 400, /The body/],
  ]
  for (const [body, status, why] of cases) {
    const refused = await purge(body)
    assert.equal(refused.status, status, JSON.stringify(body))
    assert.match(refused.text, why)
    assert.deepEqual(refused.purged, [])
  }
})
