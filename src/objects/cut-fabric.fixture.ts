/** A fabric in memory as several nodes see it: each can be cut off from it, and leases run by a clock that is handed in. */
import { EdgeError } from '#/core/errors.ts'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import type { NodeId } from '#/core/pops.ts'
import type { Bucket, Fabric, Lease } from '#/core/ports.ts'
import type { Clock } from '#/core/units.ts'

export interface CutFabric {
  view(node: NodeId): Fabric
  cut(node: NodeId): void
  heal(node: NodeId): void
  /** Awaited before each question and each answer. */
  delay: (node: NodeId) => Promise<void>
}

interface Held {
  readonly epoch: number
  expires: number
}

export function createCutFabric(clock: Clock): CutFabric {
  const shared = createMemoryFabric(clock)
  const away = new Set<NodeId>()
  const listeners = new Map<NodeId, Set<(state: 'here' | 'away') => void>>()
  const leases = new Map<string, Held>()
  const epochs = new Map<string, number>()

  async function guarded<Result>(node: NodeId, work: () => Promise<Result>): Promise<Result> {
    const check = () => {
      if (away.has(node)) throw new EdgeError('fabric_away', 'The fabric is cut off.')
    }
    await fabrics.delay(node)
    check()
    const result = await work()
    await fabrics.delay(node)
    check()
    return result
  }

  async function lease(name: string, ttl: number): Promise<Lease | undefined> {
    const now = leases.get(name)
    if (now !== undefined && now.expires > clock()) return undefined
    const mine: Held = { epoch: (epochs.get(name) ?? 0) + 1, expires: clock() + ttl }
    epochs.set(name, mine.epoch)
    leases.set(name, mine)
    const holds = () => leases.get(name) === mine && mine.expires > clock()
    return {
      epoch: mine.epoch,
      async renew() {
        if (!holds()) return false
        mine.expires = clock() + ttl
        return true
      },
      async release() {
        if (holds()) leases.delete(name)
      },
    }
  }

  function bucketOf(node: NodeId, name: string): Bucket {
    const bucket = shared.bucket(name)
    return {
      ...bucket,
      get: (key) => guarded(node, () => bucket.get(key)),
      put: (...given) => guarded(node, () => bucket.put(...given)),
      delete: (...given) => guarded(node, () => bucket.delete(...given)),
      list: (options) => guarded(node, () => bucket.list(options)),
    }
  }

  function tell(node: NodeId, state: 'here' | 'away'): void {
    for (const listener of listeners.get(node) ?? []) queueMicrotask(() => listener(state))
  }

  const fabrics: CutFabric = {
    delay: async () => {},
    view: (node) => ({
      ...shared,
      bucket: (name) => bucketOf(node, name),
      async lease(name, ttl) {
        const found = await guarded(node, () => lease(name, ttl))
        if (found === undefined) return undefined
        return {
          ...found,
          renew: () => guarded(node, found.renew),
          release: () => guarded(node, found.release),
        }
      },
      get state() {
        return away.has(node) ? ('away' as const) : ('here' as const)
      },
      onState(listener) {
        const known = listeners.get(node) ?? new Set()
        listeners.set(node, known.add(listener))
        return () => known.delete(listener)
      },
    }),
    cut(node) {
      away.add(node)
      tell(node, 'away')
    },
    heal(node) {
      away.delete(node)
      tell(node, 'here')
    },
  }
  return fabrics
}
