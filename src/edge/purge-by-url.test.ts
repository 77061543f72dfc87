/** What a purge becomes before it goes to all nodes: with the URLs that rules make of it, and hidden by who may read it. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { PurgeWish } from '#/core/cache-policy.ts'
import type { DeliveryRules } from '#/core/delivery-rules.ts'
import { createMemoryMeshes } from '#/core/memory-mesh.ts'
import type { Site, Snapshot } from '#/core/snapshot.ts'
import { createPurgeByUrl } from './purge-by-url.ts'

const pool = { origins: [{ name: 'o', url: 'https://o.test/', weight: 100 }], choice: 'weighted-random' as const }
const header = {
  name: 'strip',
  phase: 'request',
  action: 'replace',
  target: { kind: 'url' },
  pattern: '[?].*$',
} as const
const rules: DeliveryRules = {
  pools: [{ name: 'o', pool }],
  requests: [],
  headers: [{ ...header, replacement: '', onlyIfAbsent: false }],
  answers: [],
  caching: [],
  compression: [],
}

function snapshotOf(isWhole: boolean): Snapshot {
  const site = (name: string, more: Partial<Site>): Site => ({
    ...{ name, hostnames: [`${name}.test`], routes: [], target: { kind: 'origin', url: 'https://o.test/', pool } },
    ...more,
  })
  const sites = [site('shop', { within: ['DE'], ...(isWhole && { rules }) }), site('free', { rules })]
  return { revision: 1, sites, programs: new Map(), placements: new Map() }
}

/** Germany and the United States; a restricted site's rules are known in the former only. */
function start(t: TestContext) {
  const meshes = createMemoryMeshes()
  const open = (node: string, country: string) => {
    const purged: PurgeWish[] = []
    const purge = async (wishes: readonly PurgeWish[]) => {
      purged.push(...wishes)
      return { id: 'p', at: 0, acknowledged: [], away: [] }
    }
    const hide = (wish: PurgeWish): PurgeWish =>
      wish.scope === 'shop' ? { ...wish, what: { kind: 'hidden', text: `${node} ${JSON.stringify(wish.what)}` } } : wish
    const snapshot = snapshotOf(node === 'fra')
    const mesh = meshes.join({ node, pop: node, country })
    const byUrl = createPurgeByUrl({
      cache: { purge },
      snapshot: () => snapshot,
      pop: { id: node, country },
      mesh,
      hide,
    })
    t.after(() => byUrl.close())
    return { purged, purge: byUrl.purge }
  }
  return { meshes, fra: open('fra', 'DE'), iad: open('iad', 'US') }
}

const url = (scope: string): PurgeWish => ({
  scope,
  soft: true,
  what: { kind: 'url', url: `https://${scope}.test/page?utm=1` },
})
const hidden = (what: PurgeWish['what']): PurgeWish => ({
  scope: 'shop',
  soft: true,
  what: { kind: 'hidden', text: `fra ${JSON.stringify(what)}` },
})
const stripped = (scope: string): PurgeWish['what'] => ({ kind: 'url', url: `https://${scope}.test/page` })

test('a wish for a site that stays elsewhere becomes what a node there makes of it; others stay as they are', async (t) => {
  const { fra, iad, meshes } = start(t)
  const everything: PurgeWish = { scope: 'shop', soft: false, what: { kind: 'everything' } }
  await iad.purge([url('free'), url('shop'), everything])
  assert.deepEqual(iad.purged.splice(0), [
    url('free'),
    { ...url('free'), what: stripped('free') },
    everything,
    hidden(url('shop').what),
    hidden(stripped('shop')),
  ])
  // The node inside was asked, and purged nothing by itself.
  assert.deepEqual(fra.purged, [])
  await fra.purge([url('shop')])
  assert.deepEqual(fra.purged, [url('shop'), { ...url('shop'), what: stripped('shop') }])

  meshes.cut('fra', 'iad')
  await iad.purge([url('shop')])
  assert.deepEqual(iad.purged, [url('shop')])
})
