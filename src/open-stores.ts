/** The stores that live at one node each, of this node: databases, buckets, queues and the like. */
import { join } from 'node:path'
import { type BucketNotice, bucketSettingsOf } from '#/core/bucket-settings.ts'
import { EdgeError } from '#/core/errors.ts'
import type { HomedStore } from '#/core/homed-store.ts'
import type { HomedStores, StoreCall, StoreHandler, StoreName } from '#/core/homed-stores.ts'
import type { Place } from '#/core/pops.ts'
import { queueCalls } from '#/core/queue-calls.ts'
import { isInside } from '#/core/residency.ts'
import { resourceKey, resourceOf } from '#/core/resources.ts'
import { retryAfter } from '#/core/retry-after.ts'
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
      isDeployed: (program) => (live.snapshot.programs.get(program)?.rollout.length ?? 0) > 0,
      deliver: (program, event) => parts.events.deliver(program, event, live.snapshot.placements?.get(event.workflow)),
    }),
  ]
  const known = waitUntilKnown(parts)
  for (const store of stores) {
    homed.serve(store.kind, known.guard(store.handler))
    parts.closer.add(() => store.close())
  }
  return followWith(stores, parts, known)
}

/**
 * One look at a time. What could not be erased is tried again, later and later. After something was erased there is another
 * look: a call or a sweep that was under way may have made something of it again.
 */
function followWith(
  stores: readonly HomedStore[],
  { live, limits, closer, say }: Parts,
  known: ReturnType<typeof waitUntilKnown>,
): OpenedStores {
  let followed: Snapshot | undefined
  let line: Promise<unknown> = Promise.resolve()
  let again: NodeJS.Timeout | undefined
  let isClosed = false
  closer.add(async () => {
    isClosed = true
    clearTimeout(again)
    await line
  })

  async function look(snapshot: Snapshot, tries: number): Promise<void> {
    if (isClosed) return
    const looks = await Promise.all(stores.map(lookAtOne))
    const isDone = looks.every(({ failed }) => failed === 0)
    if (isDone) followed = snapshot
    if (isClosed || (isDone && looks.every(({ erased }) => erased === 0))) return
    const waitMs = isDone ? limits.resourceKnownMs : retryAfter(tries, limits)
    clearTimeout(again)
    again = setTimeout(() => void inLine(() => look(live.snapshot, isDone ? 1 : tries + 1)), waitMs)
    again.unref()
  }

  function inLine(task: () => Promise<void>): Promise<void> {
    const done = line.then(task)
    line = done
    return done
  }

  /** One that cannot be erased holds up no other. */
  async function lookAtOne(store: HomedStore): Promise<Look> {
    const { kind } = store
    let [erased, failed] = [0, 0]
    const attempt = async (work: () => Promise<unknown> | undefined) => {
      try {
        await work()
        return 1
      } catch (err) {
        failed++
        say('what a removed resource held is not all erased', { kind, err })
        return 0
      }
    }
    await attempt(async () => {
      for (const id of await store.held())
        if (resourceOf(live.snapshot, kind, id) === undefined)
          erased += await attempt(() => known.without({ kind, id }, () => store.erase(id)))
    })
    await attempt(() => store.follow?.())
    return { erased, failed }
  }

  return {
    async follow(snapshot) {
      known.wake()
      const { resources, programs } = snapshot
      if (followed?.resources === resources && followed?.programs === programs) return
      await inLine(() => look(snapshot, 1))
    },
  }
}

interface Look {
  readonly erased: number
  readonly failed: number
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
      const { placements } = live.snapshot
      if (!isInside(placements?.get(queue), placements?.get(id)))
        throw new EdgeError('not_here', `The queue ${queue} may be where what is told of this bucket may not.`)
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
  const erasing = new Set<string>()

  async function known({ kind, id, signal }: StoreCall): Promise<void> {
    const key = resourceKey(kind, id)
    const isKnown = () => live.snapshot.resources?.has(key) === true && !erasing.has(key)
    if (isKnown()) return
    const late = AbortSignal.any([AbortSignal.timeout(limits.resourceKnownMs), ...(signal ? [signal] : [])])
    while (!isKnown()) {
      if (late.aborted) throw new EdgeError('store_unknown', `There is no ${kind} ${id}.`)
      await new Promise<void>((resolve) => {
        const one = () => {
          waiting.delete(one)
          late.removeEventListener('abort', one)
          resolve()
        }
        waiting.add(one)
        late.addEventListener('abort', one)
      })
    }
  }

  function wake(): void {
    for (const one of [...waiting]) one()
  }

  return {
    wake,
    /** Meanwhile nobody asks for it: a Snapshot may name again what is being erased. */
    async without({ kind, id }: StoreName, work: () => Promise<void>): Promise<void> {
      const key = resourceKey(kind, id)
      erasing.add(key)
      try {
        await work()
      } finally {
        erasing.delete(key)
        wake()
      }
    },
    guard(handler: StoreHandler): StoreHandler {
      return async (call) => {
        await known(call)
        return handler(call)
      }
    },
  }
}
