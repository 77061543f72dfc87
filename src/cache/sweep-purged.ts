/**
 * Carries purges out in the store behind the scenes, so that they need not be remembered for ever: what a hard one
 * matches is removed, what a soft one matches is marked stale for good.
 */
import type { Milliseconds } from '#/core/units.ts'
import type { Arriving } from './flight.ts'
import { policyOf } from './may-reuse.ts'
import type { StoredPolicy } from './may-store.ts'
import type { PurgeJournal } from './purge-journal.ts'
import type { Purges } from './purges.ts'
import type { CacheStore, StoredHead } from './store.ts'

export interface SweeperOptions {
  readonly store: CacheStore
  readonly purges: Purges
  readonly journal: PurgeJournal
  readonly arriving: ReadonlySet<Arriving>
  /** More purges than this are not remembered: what is arriving while they came loses the right to be stored. */
  readonly limit: number
}

export interface Sweeper {
  /** There are new purges. */
  wake(): void
  close(): Promise<void>
}

/** Between two sweeps, at least: ten thousand purges a second are a few sweeps, not ten thousand. */
const pauseMs: Milliseconds = 250
/** And so many times as long as the sweep before took: a large store that is purged all the time has time to answer. */
const pauseShare = 9

/** One sweep at a time, however many purges came meanwhile: each takes all purges up to its start at once. */
export function createSweeper({ store, purges, journal, arriving, limit }: SweeperOptions): Sweeper {
  let running: Promise<void> | undefined
  let again = false
  let closed = false
  const pause = createPause()

  async function sweep(): Promise<void> {
    if (purges.size > limit) for (const one of arriving) one.doom()
    await journal.begin()
    const upTo = purges.sequence
    // Bodies that are still arriving are not in the store while it is searched.
    let oldest = Number.POSITIVE_INFINITY
    for (const one of arriving) if (!one.doomed) oldest = Math.min(oldest, one.sequence)
    const stale: StoredHead[] = []
    await store.removeWhere((head) => {
      const purged = purges.of(head)
      if (purged !== undefined && !purged.hard) stale.push(head)
      return purged?.hard === true
    })
    for (const head of stale) await markStale(head)
    await journal.finish()
    purges.forget(Math.min(upTo, oldest))
  }

  async function markStale(head: StoredHead): Promise<void> {
    const { at } = purges.of(head) ?? {}
    if (at === undefined || (policyOf(head).staleSince ?? Number.NEGATIVE_INFINITY) >= at) return
    for (const stored of await store.find(head.key)) {
      if (stored.head.sequence !== head.sequence || stored.head.variant !== head.variant) continue
      if (stored.head.partial?.start !== head.partial?.start) continue
      const policy: StoredPolicy = { ...policyOf(stored.head), staleSince: at }
      await store.refresh(stored, { ...stored.head, policy: policy as unknown as Record<string, unknown> })
    }
  }

  function wake(): void {
    if (closed) return
    again = true
    if (purges.size > limit / 2) pause.skip()
    // Not before the purge is acknowledged.
    running ??= new Promise((resolve) => setImmediate(resolve)).then(run).finally(() => {
      running = undefined
      if (again) wake()
    })
  }

  async function run(): Promise<void> {
    while (again && !closed) {
      again = false
      const started = performance.now()
      // A store that cannot be searched now keeps its purged answers; they go on counting as purged.
      await sweep().catch(() => {})
      // Half of what may be remembered is time enough for one more sweep.
      if (purges.size <= limit / 2) await pause.wait(Math.max(pauseMs, pauseShare * (performance.now() - started)))
    }
  }

  return {
    wake,
    async close() {
      closed = true
      pause.end()
      await running
    },
  }
}

/** Waits so long, or until it is skipped, or no longer once it was ended. */
function createPause(): { wait(ms: Milliseconds): Promise<void>; skip(): void; end(): void } {
  let over = () => {}
  let ended = false
  return {
    skip: () => over(),
    wait(ms) {
      if (ended) return Promise.resolve()
      const { promise, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, ms)
      timer.unref()
      over = () => {
        clearTimeout(timer)
        resolve()
      }
      return promise
    },
    end() {
      ended = true
      over()
    },
  }
}
