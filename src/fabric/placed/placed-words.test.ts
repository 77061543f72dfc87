import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PurgeWish } from '#/core/cache-policy.ts'
import { EdgeError } from '#/core/errors.ts'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import type { Fabric } from '#/core/ports.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import { createPlacedWords } from './placed-words.ts'

const site = (name: string, within?: readonly string[]) => {
  const target = { kind: 'redirect', location: '/', status: 302 } as const
  return { name, hostnames: [], routes: [], target, ...(within && { within }) }
}
const snapshot: Snapshot = {
  revision: 1,
  sites: [site('vault', ['DE']), site('union', ['DE', 'US']), site('shop')],
  programs: new Map(),
  placements: new Map(),
}

function node(country: string, shared: Fabric) {
  const bucket: Fabric['bucket'] = (name, placement) => {
    if (placement?.within?.includes(country) !== false) return shared.bucket(name)
    throw new EdgeError('not_here', `${name} is not in ${country}.`)
  }
  return createPlacedWords({
    fabric: { bucket },
    seal: { seal: (text) => `sealed ${text}`, open: (sealed) => sealed.slice(7) },
    limits: { placedBlobWaitMs: 10 },
    country,
    withinOf: (name) => snapshot.sites.find((one) => one.name === name)?.within,
  })
}

test('what is purged of a site that stays in countries is read there only; elsewhere all of it goes', async () => {
  const shared = createMemoryFabric(() => 1)
  const [fra, ber, iad, late] = [node('DE', shared), node('DE', shared), node('US', shared), node('DE', shared)]
  for (const one of [fra, ber, iad]) await one.learn(snapshot)
  const wish = (scope: string, url = 'https://vault.example/a?who=me'): PurgeWish => ({
    scope,
    soft: true,
    what: { kind: 'url', url },
  })
  const travels = fra.hide(wish('vault'))
  assert.deepEqual([travels.scope, travels.soft, travels.what.kind], ['vault', true, 'hidden'])
  assert.doesNotMatch(JSON.stringify(travels), /example|who/)
  assert.deepEqual(ber.show(travels), wish('vault'))
  const all = { ...wish('vault'), what: { kind: 'everything' } }
  for (const one of [iad, late]) assert.deepEqual(one.show(travels), all)
  assert.deepEqual(iad.hide(wish('vault')), all)
  // Of another site it means nothing.
  assert.deepEqual(ber.show({ ...travels, scope: 'union' }).what, { kind: 'everything' })
  assert.deepEqual(iad.show(fra.hide(wish('union'))), wish('union'))
  for (const open of [wish('shop'), all as PurgeWish, { soft: false, what: { kind: 'tag', tag: 'x' } } as const])
    assert.deepEqual([fra.hide(open), fra.show(open)], [open, open])
})
