/**
 * What the runtime's own Analytics Engine binding sends: one `POST` a point, with the vendor's event as JSON (workerd:
 * src/workerd/api/analytics-engine.capnp). The program does not wait for it, so nothing here ever fails it; what cannot be
 * kept is reported in the log.
 */
import { type DataPoint, datasetCalls, datasetLimits } from '#/core/datasets.ts'
import type { Answer } from '#/core/exchange.ts'
import type { HomedStores } from '#/core/homed-stores.ts'
import type { Limits } from '#/core/limits.ts'
import type { BackplaneHandler } from './backplane.ts'

interface Parts {
  readonly homed: Pick<HomedStores, 'call'>
  readonly limits: Pick<Limits, 'datasetPointsWaiting' | 'datasetBatch'>
  readonly log: (message: string, facts: object) => void
}

interface Waiting {
  readonly point: DataPoint
  readonly done: () => void
}

const kept: Answer = { status: 204, headers: [], body: null }

/** The id is the dataset's. Answers once the point is on its home's disk, or is given up. */
export function datasetHandler({ homed, limits, log }: Parts): BackplaneHandler {
  const calls = datasetCalls(homed)
  /** Those that wait while a write of the same dataset is under way. */
  const queues = new Map<string, Waiting[]>()

  async function drain(id: string, queue: Waiting[]): Promise<void> {
    // What came in the same turn goes together.
    await null
    while (queue.length > 0) {
      const batch = queue.splice(0, limits.datasetBatch)
      await calls
        .write(
          id,
          batch.map(({ point }) => point),
        )
        .catch((err: unknown) => log('data points are lost', { dataset: id, points: batch.length, err }))
      for (const { done } of batch) done()
    }
    queues.delete(id)
  }

  return async ({ id, body }) => {
    const point = readEvent(Buffer.concat((await body?.toArray()) ?? []).toString())
    const queue = queues.get(id)
    if (queue !== undefined && queue.length >= limits.datasetPointsWaiting) {
      log('data points are lost: too many wait to be written', { dataset: id, points: 1 })
      return kept
    }
    await new Promise<void>((done) => {
      if (queue !== undefined) return void queue.push({ point, done })
      const started = [{ point, done }]
      queues.set(id, started)
      void drain(id, started)
    })
    return kept
  }
}

/** Bytes as numbers; a number as such, or as the name of what JSON has no number for. */
type Event = Readonly<Record<string, readonly number[] | number | string | undefined>>

export function readEvent(text: string): DataPoint {
  const event = JSON.parse(text) as Event
  const bytes = (name: string) => Buffer.from((event[name] as number[] | undefined) ?? []).toString()
  const number = (name: string) => {
    const value = Number(event[name] ?? 0)
    return Number.isFinite(value) ? value : null
  }
  const all = <Item>(length: number, read: (index: number) => Item) =>
    Array.from({ length }, (_, index) => read(index + 1))
  return {
    // Nanoseconds since 1970.
    at: Math.floor(Number(event.timestamp) / 1e9),
    index: bytes('index1'),
    blobs: trimmed(
      all(datasetLimits.blobs, (index) => bytes(`blob${index}`)),
      '',
    ),
    doubles: trimmed(
      all(datasetLimits.doubles, (index) => number(`double${index}`)),
      0,
    ),
  }
}

function trimmed<Item>(items: readonly Item[], absent: Item): Item[] {
  return items.slice(0, items.findLastIndex((item) => item !== absent) + 1)
}
