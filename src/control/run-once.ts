/**
 * What runs once in the platform, not once a node: a task at the node that holds a lease of the fabric. It ends by the
 * node's own monotonic clock before the lease could pass to another, whether or not the fabric can be reached.
 */
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Fabric, Lease } from '#/core/ports.ts'
import type { Milliseconds } from '#/core/units.ts'

export interface Run {
  /** Grows with each new holder: a store that remembers the largest refuses what an older run still sends. */
  readonly epoch: number
  /** Aborted when the run is over; late, if the process was paused: ask `isCurrent` too. */
  readonly signal: AbortSignal
  /** Right before each effect, in the same turn of the loop: may it still be done? */
  isCurrent(): boolean
}

export interface RunOnceParts {
  readonly fabric: Pick<Fabric, 'lease'>
  /** Milliseconds that never go back and go on while the process is paused. */
  readonly monotonic: () => Milliseconds
  /** Resolves after so long, or at once when aborted. */
  readonly wait: (ms: Milliseconds, signal: AbortSignal) => Promise<void>
  readonly limits: Pick<Limits, 'runOnceLeaseMs'>
  readonly log: (message: string, error: unknown) => void
}

/** Of the lease that is not used: for clocks that run at different speeds. */
const unused = 0.1

/**
 * Runs `task` while this node is the elected one, again each time that it is elected; a task that ends hands the lease back.
 * Returns how to stop: resolves once the task has ended and the lease is given back.
 */
export function runOnce(parts: RunOnceParts, name: string, task: (run: Run) => Promise<void>): () => Promise<void> {
  const { fabric, monotonic, wait, limits, log } = parts
  const ttl = limits.runOnceLeaseMs
  const usable = ttl * (1 - unused)
  const stopping = new AbortController()

  /** Keeps the lease; returns when it is lost, or not renewed in time. */
  async function keep(lease: Lease, held: { until: Milliseconds }, over: AbortSignal): Promise<void> {
    while (!over.aborted && monotonic() < held.until) {
      await wait(Math.min(ttl / 3, held.until - monotonic()), over)
      if (over.aborted || monotonic() >= held.until) return
      // The lease is counted from before the question: whoever granted it began to count later.
      const asked = monotonic()
      const renewed = lease.renew().then(
        (still) => {
          if (still) held.until = Math.max(held.until, asked + usable)
          return still
        },
        () => true,
      )
      if ((await Promise.race([renewed, wait(held.until - asked, over)])) === false) return
    }
  }

  async function hold(lease: Lease, until: Milliseconds): Promise<void> {
    const held = { until }
    const over = new AbortController()
    const end = () => over.abort()
    stopping.signal.addEventListener('abort', end, { once: true })
    if (stopping.signal.aborted) end()
    const isCurrent = () => !over.signal.aborted && monotonic() < held.until
    const begun = over.signal.aborted ? Promise.resolve() : task({ epoch: lease.epoch, signal: over.signal, isCurrent })
    const running = begun.catch((error) => log(`${name} failed`, error)).finally(end)
    await keep(lease, held, over.signal)
    end()
    await running
    stopping.signal.removeEventListener('abort', end)
    await lease.release().catch(() => {})
  }

  async function elect(): Promise<void> {
    while (!stopping.signal.aborted) {
      const asked = monotonic()
      try {
        const lease = await fabric.lease(name, ttl)
        if (lease !== undefined) await hold(lease, asked + usable)
      } catch (error) {
        if (!(error instanceof EdgeError)) log(`${name} cannot be elected for`, error)
      }
      await wait(ttl / 3, stopping.signal)
    }
  }

  const done = elect()
  return () => {
    stopping.abort()
    return done
  }
}
