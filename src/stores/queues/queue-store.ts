/** The queues of one node: each a database in a folder of its own, opened while something happens in it. */
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { EdgeError } from '#/core/errors.ts'
import type { OpenGroupCommit } from '#/core/group-commit.ts'
import type { HomedStore } from '#/core/homed-store.ts'
import type { HomedStores } from '#/core/homed-stores.ts'
import type { Limits } from '#/core/limits.ts'
import { queueCalls } from '#/core/queue-calls.ts'
import { queueNamed, queueSettingsOf } from '#/core/queues.ts'
import { isInside } from '#/core/residency.ts'
import { type Resource, resourceOf } from '#/core/resources.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import type { Clock, EpochMs } from '#/core/units.ts'
import { answerCall } from './answer-call.ts'
import type { DeliveryParts } from './delivery.ts'
import { type OpenQueue, openQueue } from './open-queue.ts'
import type { TakenMessage } from './operations.ts'

export interface QueueStoreOptions {
  readonly folder: string
  readonly openGroupCommit: OpenGroupCommit
  readonly snapshot: () => Snapshot
  /** Where dead messages go. */
  readonly homed: Pick<HomedStores, 'call' | 'home' | 'self'>
  /** Tells a program of a queue with this id. */
  readonly deliver: (
    queue: string,
    ...event: Parameters<DeliveryParts['deliver']>
  ) => ReturnType<DeliveryParts['deliver']>
  readonly clock: Clock
  readonly limits: Limits
  readonly log: (message: string, facts: object) => void
}

export async function openQueueStore(options: QueueStoreOptions): Promise<HomedStore> {
  const { folder, clock, limits, log, snapshot, homed } = options
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const open = new Map<string, Promise<OpenQueue>>()
  /** When a queue that is closed has something to do. */
  const alarms = new Map<string, EpochMs>()
  /** As they were when its home last looked. */
  const seen = new Map<string, Resource['settings']>()
  const calls = queueCalls(homed)
  let closed = false

  const resource = (id: string) => resourceOf(snapshot(), 'queue', id)

  async function bury(from: string, name: string, messages: readonly TakenMessage[]): Promise<void> {
    const target = queueNamed(snapshot(), name)
    if (target === undefined) throw new EdgeError('store_unknown', `There is no queue ${name}.`)
    const { placements } = snapshot()
    if (!isInside(placements?.get(target.id), placements?.get(from)))
      throw new EdgeError('not_here', `The queue ${name} may be where these messages may not.`)
    const answer = await calls.send(target.id, messages, 0)
    if (answer.refused !== undefined) throw new EdgeError('storage_full', answer.refused.message)
  }

  function openFor(id: string): Promise<OpenQueue> {
    const known = open.get(id)
    if (known !== undefined) return known
    if (closed) return Promise.reject(new EdgeError('overloaded', 'This node is shutting down.'))
    const opened = makeRoom().then(() =>
      openQueue({
        ...options,
        folder: join(folder, id),
        queue: () => {
          const found = resource(id)
          return found && { name: found.name, settings: queueSettingsOf(found) }
        },
        deliver: (program, event) => options.deliver(id, program, event),
        bury: (name, messages) => bury(id, name, messages),
      }),
    )
    open.set(id, opened)
    alarms.delete(id)
    opened.catch(() => open.delete(id))
    return opened
  }

  /** The number of threads is bounded: the one that rested for longest goes. */
  async function makeRoom(): Promise<void> {
    if (open.size < limits.queuesOpen) return
    const all = await Promise.all([...open].map(async ([id, one]) => ({ id, one: await one.catch(() => undefined) })))
    const resting = all.filter(({ one }) => one !== undefined && one.restsUntil !== 'busy')
    const longest = resting.sort((a, b) => a.one!.usedAt - b.one!.usedAt)[0]
    if (longest === undefined)
      throw new EdgeError('overloaded', `All ${limits.queuesOpen} queues of this node are busy.`)
    await shut(longest.id, longest.one!)
  }

  async function shut(id: string, one: OpenQueue): Promise<void> {
    const { restsUntil } = one
    if (typeof restsUntil === 'number') alarms.set(id, restsUntil)
    open.delete(id)
    await one.close()
  }

  async function wake(id: string): Promise<void> {
    if (closed || resource(id) === undefined || (await homed.home({ kind: 'queue', id })) !== homed.self) return
    // Removed meanwhile: opening it would make its folder again.
    if (resource(id) === undefined) return
    ;(await openFor(id)).wake()
  }

  const failed = (queue: string) => (err: unknown) => log('a queue cannot be opened', { queue, err })

  async function sweep(): Promise<void> {
    const now = clock()
    for (const [id, at] of alarms) if (at <= now) wake(id).catch(failed(id))
    for (const [id, opening] of open) {
      const one = await opening.catch(() => undefined)
      if (one === undefined) continue
      await one.expire().catch(failed(id))
      const { restsUntil, usedAt } = one
      if (restsUntil === 'busy' || now - usedAt < limits.queueIdleMs) continue
      if (restsUntil === undefined || restsUntil > now + limits.queueIdleMs) await shut(id, one)
    }
  }
  const sweeping = setInterval(() => void sweep(), limits.queueSweepMs)
  sweeping.unref()

  /** Folders of queues, by id. */
  const held = async () => (await readdir(folder)).sort()

  return {
    kind: 'queue',
    held,
    async handler(call) {
      const found = resource(call.id)
      if (found === undefined) throw new EdgeError('store_unknown', `There is no queue ${call.id}.`)
      return answerCall(call, await openFor(call.id), queueSettingsOf(found), clock)
    },
    async erase(id) {
      await open.get(id)?.then(
        (one) => shut(id, one),
        () => {},
      )
      alarms.delete(id)
      seen.delete(id)
      await rm(join(folder, id), { recursive: true, force: true })
    },
    /** Wakes queues that hold something here and were changed; at the start all of them. */
    async follow() {
      for (const id of await held()) {
        const settings = resource(id)?.settings
        if (settings === undefined || settings === seen.get(id)) continue
        seen.set(id, settings)
        wake(id).catch((err: unknown) => {
          seen.delete(id)
          failed(id)(err)
        })
      }
    },
    async close() {
      closed = true
      clearInterval(sweeping)
      await Promise.all([...open.values()].map((one) => one.then((it) => it.close()).catch(() => {})))
    },
  }
}
