/** Takes purged answers out of the store behind the scenes, so that purges need not be remembered for ever. */
import type { Arriving } from './flight.ts'
import type { Purges } from './purges.ts'
import type { CacheStore } from './store.ts'

export interface SweeperOptions {
  readonly store: CacheStore
  readonly purges: Purges
  readonly arriving: ReadonlySet<Arriving>
  /** More purges than this are not remembered: flights older than they are lose the right to be stored. */
  readonly limit: number
}

export interface Sweeper {
  /** There are new purges. */
  wake(): void
  close(): Promise<void>
}

/** One sweep at a time, however many purges came meanwhile: each takes all purges up to its start at once. */
export function createSweeper({ store, purges, arriving, limit }: SweeperOptions): Sweeper {
  let running: Promise<void> | undefined
  let again = false
  let closed = false
  const pause = createPause(250)

  async function sweep(): Promise<void> {
    if (purges.size > limit) {
      for (const one of arriving) one.doom()
      purges.harden()
    }
    const upTo = purges.sequence
    // Bodies that are still arriving were not in the store while it was searched.
    let oldest = Number.POSITIVE_INFINITY
    for (const one of arriving) if (!one.doomed) oldest = Math.min(oldest, one.sequence)
    await store.removeWhere((head) => purges.of(head)?.hard === true)
    purges.forget(Math.min(upTo, oldest))
  }

  function wake(): void {
    if (closed) return
    again = true
    // Not before the purge is acknowledged.
    running ??= new Promise((resolve) => setImmediate(resolve)).then(run).finally(() => {
      running = undefined
      if (again) wake()
    })
  }

  async function run(): Promise<void> {
    while (again && !closed) {
      again = false
      // A store that cannot be searched now keeps its purged answers; they go on counting as purged.
      await sweep().catch(() => {})
      // The next sweep takes what came meanwhile: ten thousand purges a second are a few sweeps, not ten thousand.
      await pause.wait()
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

/** Waits `ms` each time, or no longer once it was ended. */
function createPause(ms: number): { wait(): Promise<void>; end(): void } {
  let over = () => {}
  let ended = false
  return {
    wait() {
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
