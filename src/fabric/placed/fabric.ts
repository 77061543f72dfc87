/**
 * The embedded fabric of several nodes in one process: what may be anywhere lies in one folder that they share, a bucket
 * that stays in its countries in the folder of a node there. Which node that is, is found on the disk.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { EdgeError } from '#/core/errors.ts'
import { allows, type CountryCode, type Within } from '#/core/pops.ts'
import type { Bucket, Fabric } from '#/core/ports.ts'
import { describeWithin } from '#/core/residency.ts'

export interface PlacedNode {
  readonly id: string
  readonly country: CountryCode
  /** The node's own; gets `placed/`. */
  readonly folder: string
}

export interface PlacedFabricOptions {
  readonly shared: Fabric
  readonly nodes: readonly PlacedNode[]
  /** Opens an embedded fabric in a folder, which is made where it is missing. */
  readonly open: (folder: string) => Promise<Fabric>
  readonly report: (error: unknown) => void
}

export interface PlacedFabrics {
  /** One for each node, in their order. */
  readonly fabrics: readonly Fabric[]
  /** Closes what was opened in the nodes' folders; `shared` is the caller's. */
  close(): Promise<void>
}

/** In the fabric of a node: the buckets that lie there. */
const registry = 'placed-buckets'

export function createPlacedFabrics({ shared, nodes, open, report }: PlacedFabricOptions): PlacedFabrics {
  const opened = new Map<string, Promise<Fabric>>()
  const holders = new Map<string, Promise<Fabric>>()

  function openAt({ id, folder }: PlacedNode): Promise<Fabric> {
    const known = opened.get(id) ?? open(join(folder, 'placed'))
    opened.set(id, known)
    known.catch(() => opened.delete(id))
    return known
  }

  /** The node that has it already, else the first that may. */
  async function findHolder(name: string, within: Within): Promise<Fabric> {
    const able = nodes.filter(({ country }) => allows(within, country))
    for (const node of able) {
      if (!existsSync(join(node.folder, 'placed'))) continue
      const fabric = await openAt(node)
      if ((await fabric.bucket(registry).get(name)) !== undefined) return fabric
    }
    const fabric = await openAt(able[0]!)
    await fabric.bucket(registry).put(name, new Uint8Array(0))
    return fabric
  }

  function holderOf(name: string, within: Within): Promise<Fabric> {
    const known = holders.get(name) ?? findHolder(name, within)
    holders.set(name, known)
    known.catch(() => holders.delete(name))
    return known
  }

  function bucketOf({ id, country }: PlacedNode, name: string, within: Within): Bucket {
    const here = async () => {
      if (allows(within, country)) return (await holderOf(name, within)).bucket(name)
      const where = describeWithin(within)
      throw new EdgeError('not_here', `The bucket ${name} lies within ${where}; ${id} is in ${country}.`)
    }
    return {
      get: async (key) => (await here()).get(key),
      put: async (key, value, how) => (await here()).put(key, value, how),
      delete: async (key, how) => (await here()).delete(key, how),
      list: async (wish) => (await here()).list(wish),
      watch(prefix, listener) {
        let stop: (() => void) | undefined
        let isEnded = false
        here()
          .then((bucket) => {
            if (!isEnded) stop = bucket.watch(prefix, listener)
          })
          .catch(report)
        return () => {
          isEnded = true
          stop?.()
        }
      },
    }
  }

  let cleaning: Promise<void> | undefined
  let next: Promise<void> | undefined
  /** Whoever asks while one is under way waits for one that begins later, together with all others. */
  function clean(): Promise<void> {
    if (cleaning === undefined) {
      cleaning = cleanAll().finally(() => {
        cleaning = undefined
      })
      return cleaning
    }
    next ??= cleaning
      .catch(() => {})
      .then(() => {
        next = undefined
        return clean()
      })
    return next
  }
  async function cleanAll(): Promise<void> {
    const all = [shared, ...(await Promise.all(opened.values()))]
    for (const fabric of all) await fabric.clean?.()
  }

  return {
    fabrics: nodes.map((node) => ({
      ...shared,
      bucket: (name, { within } = {}) => (within === undefined ? shared.bucket(name) : bucketOf(node, name, within)),
      clean,
    })),
    async close() {
      await next?.catch(() => {})
      await cleaning?.catch(() => {})
      for (const fabric of await Promise.allSettled(opened.values()))
        if (fabric.status === 'fulfilled') await fabric.value.close()
    },
  }
}
