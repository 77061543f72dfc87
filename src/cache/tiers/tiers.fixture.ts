/** Nodes with caches in two tiers on meshes in memory, in front of an origin that counts. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import { createMemoryMeshes } from '#/core/memory-mesh.ts'
import type { Place } from '#/core/pops.ts'
import type { Egress, EgressAnswer, EgressRequest } from '#/core/ports.ts'
import type { Site } from '#/core/snapshot.ts'
import { createSimpleStore } from '../simple-store.ts'
import type { PlatformPurges } from './platform-purges.ts'
import { openTieredCache } from './tiered-cache.ts'

export interface TierNode {
  readonly place: Place
  readonly get: (path: string, more?: Partial<EgressRequest>) => Promise<EgressAnswer>
  readonly purges: PlatformPurges
}

export interface TiersOptions {
  readonly places: readonly Place[]
  readonly origin: Egress['fetch']
  readonly site?: Partial<Site>
  readonly limits?: Partial<Limits>
}

/** Every node asks the shield of the site `shop`. */
export async function createTiers(t: TestContext, { places, origin, site, limits: changed }: TiersOptions) {
  const meshes = createMemoryMeshes()
  const limits = { ...defaultLimits, purgeFirstContactMs: 50, ...changed }
  const folder = await mkdtemp(join(tmpdir(), 'rimward-tiers-'))
  const shop: Site = {
    ...{ name: 'shop', hostnames: ['shop.test'], routes: [], shield: 'iad' },
    ...{ target: { kind: 'origin', url: 'http://o.test' } },
    ...site,
  }
  const nodes: TierNode[] = []
  const closes: (() => unknown)[] = [() => rm(folder, { recursive: true, force: true })]
  t.after(async () => {
    for (const close of closes.reverse()) await close()
  })
  for (const place of places) {
    const mesh = meshes.join(place)
    const siteNamed = (name: string) => (name === 'shop' ? shop : undefined)
    const { cache, purges } = await openTieredCache({
      ...{ mesh, place, folder: join(folder, place.node), next: { fetch: origin, close: async () => {} } },
      ...{ store: createSimpleStore({ limitBytes: 64e6 }), limits, clock: Date.now, log: () => {} },
      ...{ siteNamed, originAnswers: () => undefined },
    })
    closes.push(async () => {
      await mesh.close()
      await cache.close()
    })
    const get: TierNode['get'] = (path, more) =>
      cache.fetch({
        ...{ by: { site: 'shop' }, method: 'GET', url: `http://o.test${path}`, publicUrl: `http://shop.test${path}` },
        ...{ headers: [], body: null, wantsUpgrade: false, signal: new AbortController().signal },
        ...(shop.shield !== undefined && { shield: { pop: shop.shield, site: 'shop' } }),
        ...more,
      })
    nodes.push({ place, get, purges })
  }
  return { meshes, nodes }
}

export async function textOf({ body }: EgressAnswer): Promise<string> {
  if (body === null) return ''
  if (body instanceof Uint8Array) return Buffer.from(body).toString()
  const chunks: Buffer[] = []
  for await (const chunk of body) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
