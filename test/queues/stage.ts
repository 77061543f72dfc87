/** A store of queues on a folder, with its consumers as functions. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import type { EventOutcome, QueueEvent } from '#/core/program-events.ts'
import { type QueueCalls, queueCalls } from '#/core/queue-calls.ts'
import { type QueueConsumer, type QueueSettings, usualQueueSettings } from '#/core/queues.ts'
import { type Resource, resourceKey } from '#/core/resources.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import { openGroupCommit } from '#/fabric/sqlite/group-commit.ts'
import { createHomedStores } from '#/objects/homed-stores.ts'
import { openQueueStore } from '#/stores/queues/queue-store.ts'

export type Told = (event: QueueEvent) => Promise<EventOutcome> | EventOutcome

export interface QueueStage {
  readonly folder: string
  readonly calls: QueueCalls
  readonly logged: { message: string; facts: object }[]
  /** Milliseconds by which its clock is ahead. */
  ahead: number
  consumers: Record<string, Told>
  set(name: string, settings?: Partial<QueueSettings>): Promise<void>
  remove(name: string): Promise<void>
  held(): Promise<readonly string[]>
  close(): Promise<void>
}

export const worker = (program: string, more: object = {}): QueueConsumer => ({
  ...{ type: 'worker', id: 'c', createdAt: 0, program, batchSize: 10, maxWaitMs: 0, maxRetries: 3 },
  ...more,
})

export const allRight: EventOutcome = { end: 'ok', verdict: { ackAll: false, acks: [], retries: [] } }

export const text = (body: string, delayS?: number) => ({
  ...{ type: 'text' as const, body: Buffer.from(body) },
  ...(delayS !== undefined && { delayS }),
})

/** Ids are names. */
export async function openQueueStage(folder?: string, limits: Partial<Limits> = {}): Promise<QueueStage> {
  const place = folder ?? (await mkdtemp(join(tmpdir(), 'rimward-queues-')))
  let snapshot: Snapshot = { revision: 1, sites: [], programs: new Map(), resources: new Map() }
  const homed = createHomedStores({ self: 'local', snapshot: () => snapshot })
  const logged: QueueStage['logged'] = []
  const store = await openQueueStore({
    folder: place,
    openGroupCommit,
    snapshot: () => snapshot,
    homed,
    deliver: async (_queue, program, event) => stage.consumers[program]!(event),
    clock: () => Date.now() + stage.ahead,
    limits: { ...defaultLimits, queueBackOffMs: 20, queueBackOffMostMs: 100, ...limits },
    log: (message, facts) => void logged.push({ message, facts }),
  })
  homed.serve('queue', store.handler)

  async function change(name: string, resource: Resource | undefined): Promise<void> {
    const resources = new Map(snapshot.resources)
    if (resource === undefined) resources.delete(resourceKey('queue', name))
    else resources.set(resourceKey('queue', name), resource)
    snapshot = { ...snapshot, revision: snapshot.revision + 1, resources }
    await store.follow?.()
  }

  const stage: QueueStage = {
    folder: place,
    calls: queueCalls(homed),
    logged,
    ahead: 0,
    consumers: {},
    set: (name, settings = {}) =>
      change(name, {
        ...{ kind: 'queue', id: name, name, createdAt: 1, modifiedAt: 1 },
        settings: { ...usualQueueSettings, ...settings },
      }),
    async remove(name) {
      await change(name, undefined)
      await store.erase(name)
    },
    held: store.held,
    async close() {
      await store.close()
      if (folder === undefined) await rm(place, { recursive: true, force: true })
    },
  }
  return stage
}
