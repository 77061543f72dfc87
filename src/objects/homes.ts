/**
 * Which node each Durable Object lives on: one record an object in the fabric's bucket `object-homes`, written once with
 * compare-and-set, so that of two first callers one decides. Storage lies on that node's disk, so the home stays.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { createBoundedCache, shareLoads } from '#/core/bounded-cache.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Mesh } from '#/core/mesh.ts'
import type { HomeWish, ObjectHomes, Standing } from '#/core/object-homes.ts'
import { createPlacementMark } from '#/core/placement-mark.ts'
import { allows, type CountryCode, type NodeId } from '#/core/pops.ts'
import type { Fabric } from '#/core/ports.ts'
import { chooseHome } from './choose-home.ts'

export interface ObjectHomesOptions {
  readonly fabric: Pick<Fabric, 'bucket'>
  readonly mesh: Pick<Mesh, 'self' | 'peers'>
  readonly standing: Standing
  /** Revision of the Snapshot that wishes are made from. */
  readonly revision: () => number
  readonly limits: Pick<Limits, 'objectHomesKept'>
  readonly log: (message: string, facts?: object) => void
}

/** `epoch` grows when an object moves, which nothing does yet; `country` is that of the node when it was chosen. */
interface HomeRecord {
  readonly node: NodeId
  readonly country: CountryCode
  readonly epoch: number
}

const forgetPage = 500
/** How often, and how long apart, a node looks whether it has followed the newest setting: for a second in all. */
const [looks, lookMs] = [50, 20]

export function createObjectHomes(options: ObjectHomesOptions): ObjectHomes {
  const { mesh, standing, revision, limits, log } = options
  const bucket = options.fabric.bucket('object-homes')
  const mark = createPlacementMark(options.fabric)
  const kept = createBoundedCache<HomeRecord>(limits.objectHomesKept)
  const read = shareLoads(async (key: string) => {
    const entry = await bucket.get(key)
    return entry === undefined ? undefined : (JSON.parse(Buffer.from(entry.value).toString()) as HomeRecord)
  })

  async function choose(key: string, wish: HomeWish): Promise<HomeRecord> {
    const choice = chooseHome(mesh.self, mesh.peers(), wish)
    if (choice.node === undefined) throw nowhere(choice.why, wish)
    const record: HomeRecord = { node: choice.node, country: countryOf(choice.node), epoch: 1 }
    if ((await bucket.put(key, Buffer.from(JSON.stringify(record)), { expect: 0 })) !== undefined) {
      log('an object got its home', { object: key.slice(-64), node: choice.node, why: choice.why })
      return record
    }
    const winner = await read(key)
    // A copy of the fabric may lag behind what it refused to write.
    if (winner === undefined) throw new EdgeError('fabric_away', 'Another node just chose where this object lives.')
    return winner
  }

  /** A home stays: it is chosen by all settings there are, never by those of a moment ago. */
  async function follow(newest: number): Promise<void> {
    for (let look = 0; revision() < newest; look++) {
      if (look === looks)
        throw new EdgeError(
          'fabric_away',
          'This node has not followed yet where things may live, so this one gets no home.',
        )
      await pause(lookMs)
    }
  }

  function countryOf(node: NodeId): CountryCode {
    const place = node === mesh.self.node ? mesh.self : mesh.peers().find((peer) => peer.node === node)
    return place?.country ?? 'XX'
  }

  return {
    self: mesh.self.node,
    standing,
    async home({ key, id }, given = {}) {
      const name = `${key}/${id}`
      const wish = () => (typeof given === 'function' ? given() : given)
      let record = kept.get(name)
      if (record === undefined) {
        const [known, newest] = await Promise.all([read(name), mark.newest()])
        if (known === undefined) await follow(newest)
        record = known ?? (await choose(name, wish()))
        kept.put(name, record, 1)
      }
      if (!allows(wish().within, record.country))
        throw new EdgeError('not_here', `This Durable Object lives in ${record.country}, outside of its countries.`)
      return record.node
    },
    async forget(key) {
      for (;;) {
        const page = await bucket.list({ prefix: `${key}/`, limit: forgetPage, keysOnly: true })
        for (const entry of page) await bucket.delete(entry.key)
        if (page.length < forgetPage) return
      }
    },
  }
}

function nowhere(why: 'nowhere' | 'away', { within }: HomeWish): EdgeError {
  const countries = within?.join(', ') || 'no country'
  return why === 'away'
    ? new EdgeError('peer_away', `No point of presence in ${countries}, where this object may live, can be reached.`)
    : new EdgeError('not_here', `This Durable Object may live in ${countries}, where there is no point of presence.`)
}
