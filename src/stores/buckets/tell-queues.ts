/**
 * Tells queues of what changed in a bucket: each notice lies in the bucket's index from the change on until its queue has
 * taken it, so it is told at least once.
 */
import type { BucketNotice } from '#/core/bucket-settings.ts'
import { EdgeError } from '#/core/errors.ts'
import type { OpenedBucket } from './open-bucket.ts'
import type { WaitingNotices } from './read-index.ts'

/** Resolves when the queue has them on disk; rejects with `store_unknown` where there is no such queue any more. */
export type Notify = (bucket: string, queue: string, notices: readonly BucketNotice[]) => Promise<void>

export interface QueueTeller {
  /** Something may be waiting. */
  wake(): void
  /** Resolves when nothing is being told. */
  close(): Promise<void>
}

/** As many as one call of a queue takes. */
const together = 100

export function createQueueTeller(parts: {
  readonly id: string
  readonly bucket: Pick<OpenedBucket, 'read' | 'write'>
  readonly notify: Notify
  readonly retryMs: number
  readonly report: (message: string, error: unknown) => void
}): QueueTeller {
  const { id, bucket, notify, retryMs, report } = parts
  let running: Promise<void> | undefined
  let isWoken = false
  let isClosed = false
  let later: NodeJS.Timeout | undefined

  /** Answers whether all that waited was told. */
  async function tellAll(): Promise<boolean> {
    const { queues } = (await bucket.read({ do: 'notices', limit: together })) as WaitingNotices
    let isDone = true
    for (const { queue, notices } of queues) {
      if (isClosed) return true
      const told = notices.map(({ notice }) => JSON.parse(notice) as BucketNotice)
      try {
        await notify(id, queue, told)
      } catch (error) {
        if (!(error instanceof EdgeError) || error.code !== 'store_unknown') {
          isDone = false
          continue
        }
      }
      await bucket.write({ do: 'told', ids: notices.map((one) => one.id) })
      if (notices.length === together) isWoken = true
    }
    return isDone
  }

  async function run(): Promise<void> {
    while (isWoken && !isClosed) {
      isWoken = false
      if (await tellAll()) continue
      later = setTimeout(wake, retryMs).unref()
    }
  }

  function wake(): void {
    isWoken = true
    if (running !== undefined || isClosed) return
    clearTimeout(later)
    running = run()
      .catch((error: unknown) => isClosed || report("a bucket's queues were not told", error))
      .then(() => {
        running = undefined
        if (isWoken) wake()
      })
  }

  return {
    wake,
    async close() {
      isClosed = true
      clearTimeout(later)
      await running
    },
  }
}
