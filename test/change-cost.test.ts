/**
 * What one change costs a node and the control plane where there are many sites: counted in sites that were looked at, since
 * times say little on a busy machine. Nothing may look at a site that did not change and does not stand beside one that did.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { eraseAway } from '#/audit/erase-away.ts'
import { checkFree } from '#/control/addresses.ts'
import { checkSnapshot } from '#/control/check-snapshot.ts'
import { createFold, type HeldSite, type State } from '#/control/fold.ts'
import type { SiteRecord } from '#/control/records.ts'
import { openServedStore } from '#/control/served-store.ts'
import { onlyHere } from '#/core/keep-inside.ts'
import { keep } from '#/core/kept-map.ts'
import { defaultLimits } from '#/core/limits.ts'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import type { Site, Snapshot } from '#/core/snapshot.ts'
import { findSite, prepareSites } from '#/edge/find-site.ts'
import { createPlacedWords } from '#/fabric/placed/placed-words.ts'
import { createHealthChecks } from '#/origin/health-checks.ts'

/** Of a leaf, for each of what is changed: see `core/kept-map.ts`. */
const beside = 32
const many = 5_000
const never = async (): Promise<never> => assert.fail('nothing is fetched')

function siteOf(index: number, version: number): SiteRecord {
  const name = `shop-${index}`
  const url = `https://origin-${version}.${name}.example`
  const origins = [{ name: 'origin', url, weight: 100 }]
  return { name, createdAt: 1, origin: url, hosts: [`www.${name}.example`], pool: { origins, choice: 'fallback' } }
}

/** Notes the name of each site that anybody reads anything of. */
function watched<Part extends object>(part: Part, name: string, looked: Set<string>): Part {
  return new Proxy(part, {
    get(target, key) {
      looked.add(name)
      return Reflect.get(target, key)
    },
    ownKeys(target) {
      looked.add(name)
      return Reflect.ownKeys(target)
    },
  })
}

function heldSites(looked: Set<string>): State['sites'] {
  const { holdSite } = createFold('localhost')
  const held = Array.from({ length: many }, (_, index): [string, HeldSite] => {
    const { record, revision, site } = holdSite(siteOf(index, 0), 1)
    const { name } = record
    return [name, { record: watched(record, name, looked), revision, site: watched(site, name, looked) }]
  })
  return keep(new Map(held))
}

function stateOf(looked: Set<string>): State {
  const nothing = { programs: new Map(), services: new Map(), domains: new Map(), resources: new Map() }
  const placement = { kind: 'site', id: 'shop-9', within: ['DE'], modifiedAt: 1 } as const
  return {
    ...nothing,
    sites: heldSites(looked),
    placements: new Map([['site/shop-9', { record: placement, revision: 1 }]]),
  }
}

/** All that a node does with a Snapshot but what engines and stores do with programs. */
function aNode(folder: string) {
  const country = 'DE'
  let served: Snapshot = { revision: 0, sites: [], programs: new Map() }
  const store = openServedStore(folder, '1')
  const health = createHealthChecks({
    egress: { fetch: never },
    limits: defaultLimits,
    clock: () => 1,
    random: () => 0,
  })
  const words = createPlacedWords({
    fabric: createMemoryFabric(() => 1),
    seal: { seal: (text) => text, open: (sealed) => sealed },
    limits: { placedBlobWaitMs: 10 },
    ...{ country, withinOf: () => undefined },
  })
  const erase = eraseAway({ folder, country, store: { removeWhere: async () => 0 }, flushLog: async () => {} })
  return {
    async adopt(snapshot: Snapshot): Promise<void> {
      checkSnapshot(snapshot, served, defaultLimits)
      await words.learn(snapshot)
      prepareSites(snapshot, served)
      const { sites, programs } = onlyHere(snapshot, country)
      health.adopt(sites, programs)
      await erase(snapshot)
      await store.keep(snapshot)
      served = snapshot
    },
    close() {
      health.close()
      store.close()
    },
  }
}

test('a change of one site of thousands looks at that one and those in its leaf, at the control plane and at a node', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'rimward-change-'))
  const node = aNode(folder)
  t.after(() => {
    node.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const looked = new Set<string>()
  const fold = createFold('localhost')
  let state = stateOf(looked)
  checkFree(state, 'shop-0', ['www.shop-0.example'], [])
  await node.adopt(fold.build(1, state))
  assert.equal(looked.size, many, 'the first time all are')
  const changes: readonly (readonly [what: string, name: string, record: SiteRecord | undefined])[] = [
    ['changed', 'shop-2500', siteOf(2500, 1)],
    ['removed', 'shop-77', undefined],
    ['added', `shop-${many}`, siteOf(many, 0)],
    ['restricted before', 'shop-9', siteOf(9, 1)],
  ]
  let revision = 1
  for (const [what, name, record] of changes) {
    looked.clear()
    checkFree(state, name, [`${name}.localhost`, `www.${name}.example`], [])
    state = fold.apply(state, { sites: [{ name, record }] }, ++revision)
    const snapshot: Snapshot = fold.build(revision, state)
    await node.adopt(snapshot)
    assert.ok(looked.size <= beside, `${what}: ${looked.size} sites were looked at`)
    const find = (host: string): Site | undefined => findSite(snapshot, { scheme: 'https', host, path: '/' })
    assert.equal(find(`www.${name}.example`)?.target.kind, record && 'origin', what)
    assert.equal(find('www.shop-4711.example')?.name, 'shop-4711')
  }
  assert.deepEqual(fold.build(revision, state).sites.find(({ name }) => name === 'shop-9')?.within, ['DE'])
})
