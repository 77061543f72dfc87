/** Datasets of data points (Analytics Engine), and what programs and doors ask of a dataset's home through `HomedStores`. */
import type { HomedStores, StoreCall } from './homed-stores.ts'
import { bytesOf } from './store-body.ts'
import type { EpochSeconds } from './units.ts'

/**
 * https://developers.cloudflare.com/analytics/analytics-engine/limits/; the runtime's own binding throws a `TypeError` for
 * more (workerd: src/workerd/api/analytics-engine-impl.h).
 */
export const datasetLimits = { blobs: 20, doubles: 20, indexes: 1, blobBytes: 16_000, indexBytes: 96 } as const

/** What is absent at the end of a list is '' or 0. */
export interface DataPoint {
  readonly at: EpochSeconds
  readonly index: string
  readonly blobs: readonly string[]
  /** null: no number. */
  readonly doubles: readonly (number | null)[]
}

/** As wrangler and the vendor's own examples name them. */
export const datasetName = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,127}$/

/** `refused` is told to whoever wrote the query. */
export type QueryTold = { readonly refused: string } | { readonly text: string; readonly contentType: string }

export interface DatasetCalls {
  /** Resolves once they are on the disk. */
  write(id: string, points: readonly DataPoint[]): Promise<void>
  query(id: string, sql: string, signal?: AbortSignal): Promise<QueryTold>
}

/** Rejects like `HomedStores.call`. */
export function datasetCalls(homed: Pick<HomedStores, 'call'>): DatasetCalls {
  return {
    async write(id, points) {
      const answer = await homed.call({ kind: 'dataset', id, operation: 'write', body: writePoints(points) })
      await bytesOf(answer.body)
    },
    async query(id, sql, signal) {
      const asked = { kind: 'dataset', id, operation: 'query', body: Buffer.from(sql) } as const
      const { head, body } = await homed.call({ ...asked, ...(signal !== undefined && { signal }) })
      const text = (await bytesOf(body)).toString()
      return head.refused === true ? { refused: text } : { text, contentType: String(head.contentType) }
    },
  }
}

export function writePoints(points: readonly DataPoint[]): Buffer {
  return Buffer.from(
    points.map(({ at, index, blobs, doubles }) => JSON.stringify([at, index, blobs, doubles])).join('\n'),
  )
}

/** What `writePoints` wrote; throws an Error for anything else. */
export async function readPoints({ body }: StoreCall): Promise<DataPoint[]> {
  const text = (await bytesOf(body)).toString()
  if (text === '') return []
  return text.split('\n').map((line) => {
    const [at, index, blobs, doubles] = JSON.parse(line) as [number, string, string[], (number | null)[]]
    return { at, index, blobs, doubles }
  })
}
