/** The stores that live at one node each, of this node: databases, buckets, queues and the like. */
import { join } from 'node:path'
import { type BucketNotice, bucketSettingsOf } from '#/core/bucket-settings.ts'
import { EdgeError } from '#/core/errors.ts'
import type { HomedStore } from '#/core/homed-store.ts'
import type { HomedStores, StoreCall, StoreHandler } from '#/core/homed-stores.ts'
import type { Place } from '#/core/pops.ts'
import { queueCalls } from '#/core/queue-calls.ts'
import { resourceKey, resourceOf } from '#/core/resources.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import type { EventDelivery } from '#/edge/deliver-event.ts'
import { openGroupCommit } from '#/fabric/sqlite/group-commit.ts'
import { regionsOf } from '#/objects/regions.ts'
import { openBuckets } from '#/stores/buckets/open-buckets.ts'
import { openDatasetStore } from '#/stores/datasets/dataset-store.ts'
import { openQueueStore } from '#/stores/queues/queue-store.ts'
import { openSqlStore } from '#/stores/sql/sql-store.ts'
import { openWorkflowStore } from '#/stores/workflows/workflow-store.ts'
import type { Parts } from './pop.ts'

export interface OpenedStores {
  /** Erases what no resource of this Snapshot names. Never rejects: what cannot be erased is reported, and tried again. */
  follow(snapshot: Snapshot): Promise<void>
}

/** Opens each store below the node's folder and has `homed` ask it. */
export async function openHomedStores(
  parts: Parts & { readonly events: Pick<EventDelivery, 'deliver'> },
  homed: HomedStores,
): Promise<OpenedStores> {
  const { folder, place, limits, clock, live, say: log } = parts
  const stores: HomedStore[] = [
    await openBuckets({ folder: join(folder, 'bucket'), limits, clock, log, ...bucketParts(parts, homed) }),
    await openSqlStore({ folder: join(folder, 'sql'), servedBy: servedBy(place), limits, clock }),
    await openQueueStore({
      ...{ folder: join(folder, 'queue'), homed, openGroupCommit, limits, clock, log },
      snapshot: () => live.snapshot,
      deliver: (queue, program, event) => parts.events.deliver(program, event, live.snapshot.placements?.get(queue)),
    }),
    await openDatasetStore({
      ...{ folder: join(folder, 'dataset'), openGroupCommit, limits, clock, log },
      resource: (id) => resourceOf(live.snapshot, 'dataset', id),
    }),
    await openWorkflowStore({
      ...{ folder: join(folder, 'workflow'), limits, clock, log },
      resource: (id) => resourceOf(live.snapshot, 'workflow', id),
      deliver: (program, event) => parts.events.deliver(program, event, live.snapshot.placements?.get(event.workflow)),
    }),
  ]
  const known = waitUntilKnown(parts)
  let followed: Snapshot | undefined
  for (const store of stores) {
    homed.serve(store.kind, known.guard(store.handler))
    parts.closer.add(() => store.close())
  }
  return {
    async follow(snapshot) {
      known.wake()
      const { resources, programs } = snapshot
      if (followed?.resources === resources && followed?.programs === programs) return
      const done = await Promise.all(stores.map((store) => followOne(store, snapshot)))
      if (done.every(Boolean)) followed = snapshot
    },
  }

  /** False where not all was erased. */
  async function followOne(store: HomedStore, snapshot: Snapshot): Promise<boolean> {
    try {
      await eraseUnnamed(store, snapshot)
      await store.follow?.()
      return true
    } catch (err) {
      parts.say('what a removed resource held is not all erased', { kind: store.kind, err })
      return false
    }
  }
}

/** What a bucket's home knows of its owner's wishes, and how it tells queues. */
function bucketParts({ live, accountId: account }: Pick<Parts, 'live' | 'accountId'>, homed: HomedStores) {
  const resource = (id: string) => resourceOf(live.snapshot, 'bucket', id)
  return {
    settings: (id: string) => {
      const found = resource(id)
      return found && bucketSettingsOf(found)
    },
    async notify(id: string, queue: string, notices: readonly BucketNotice[]) {
      if (resourceOf(live.snapshot, 'queue', queue) === undefined)
        throw new EdgeError('store_unknown', `There is no queue ${queue}.`)
      const [bucket] = (resource(id)?.name ?? id).split('@')
      const messages = notices.map((notice) => ({
        type: 'json' as const,
        body: Buffer.from(JSON.stringify({ account, bucket, ...notice })),
      }))
      const { refused } = await queueCalls(homed).send(queue, messages)
      if (refused !== undefined) throw new EdgeError('overloaded', refused.message)
    },
  }
}

/** What answers of databases say of where they were run. */
function servedBy({ node, pop, country }: Place) {
  const [region = ''] = regionsOf(country)
  return { served_by: node, served_by_region: region.toUpperCase(), served_by_colo: pop.toUpperCase() }
}

/**
 * A caller may know a resource before its home does. What is stored before the home's own Snapshot names the resource would
 * look like something that was left over, so the home waits for that Snapshot first.
 */
function waitUntilKnown({ live, limits }: Pick<Parts, 'live' | 'limits'>) {
  const waiting = new Set<() => void>()

  async function known({ kind, id, signal }: StoreCall): Promise<void> {
    const isKnown = () => live.snapshot.resources?.has(resourceKey(kind, id)) === true
    if (isKnown()) return
    const late = AbortSignal.any([AbortSignal.timeout(limits.resourceKnownMs), ...(signal ? [signal] : [])])
    while (!isKnown()) {
      if (late.aborted) throw new EdgeError('store_unknown', `There is no ${kind} ${id}.`)
      await new Promise<void>((resolve) => {
        const wake = () => {
          waiting.delete(wake)
          late.removeEventListener('abort', wake)
          resolve()
        }
        waiting.add(wake)
        late.addEventListener('abort', wake)
      })
    }
  }

  return {
    wake() {
      for (const wake of [...waiting]) wake()
    },
    guard(handler: StoreHandler): StoreHandler {
      return async (call) => {
        await known(call)
        return handler(call)
      }
    },
  }
}

async function eraseUnnamed(store: HomedStore, { resources }: Snapshot): Promise<void> {
  for (const id of await store.held()) if (resources?.has(resourceKey(store.kind, id)) !== true) await store.erase(id)
}
