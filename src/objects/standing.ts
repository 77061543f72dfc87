/**
 * The lease that lets this node run Durable Objects. It counts from before it was asked for, by a clock that nobody sets,
 * and ends a margin before the fabric lets somebody else have it: a node that is cut off or was paused stops first.
 */
import type { Limits } from '#/core/limits.ts'
import type { Standing } from '#/core/object-homes.ts'
import type { NodeId } from '#/core/pops.ts'
import type { Fabric, Lease } from '#/core/ports.ts'
import type { Milliseconds } from '#/core/units.ts'

export interface StandingOptions {
  readonly fabric: Pick<Fabric, 'lease' | 'onState'>
  readonly node: NodeId
  readonly limits: Pick<Limits, 'nodeLeaseMs' | 'nodeLeaseMarginMs' | 'nodeLeaseRenewMs'>
  /** Never goes back, also while the process is paused; ms since any moment. */
  readonly monotonic: () => Milliseconds
  /** Calls `run` once, so much later. Returns how to forget it. */
  readonly later?: (run: () => void, delay: Milliseconds) => () => void
  readonly log: (message: string, facts?: object) => void
}

export interface RunningStanding extends Standing {
  /** Gives the lease back; no object may run any more. */
  close(): Promise<void>
}

/** Begins to ask for the lease at once and goes on until `close`. */
export function createStanding(options: StandingOptions): RunningStanding {
  const { fabric, node, limits, monotonic, log, later = afterTime } = options
  const listeners = new Set<(epoch: number | undefined) => void>()
  let lease: Lease | undefined
  let until = 0
  let told: number | undefined
  /** Since when a question is out. */
  let askedAt: Milliseconds | undefined
  let closed = false
  let forgetTurn = () => {}
  let forgetEnd = () => {}

  function epoch(): number | undefined {
    if (lease !== undefined && monotonic() < until) return lease.epoch
    // After a pause whoever asks first finds out, before any timer rings.
    if (told !== undefined) queueMicrotask(tell)
    return undefined
  }

  function tell(): void {
    const now = epoch()
    if (now === told) return
    told = now
    log(now === undefined ? 'objects stopped: the lease of this node ran out' : 'objects may run', { node, epoch: now })
    for (const listener of listeners) listener(now)
  }

  function stands(asked: Milliseconds): void {
    until = Math.max(until, asked + limits.nodeLeaseMs - limits.nodeLeaseMarginMs)
    forgetEnd()
    forgetEnd = later(tell, Math.max(until - monotonic(), 0) + 1)
    tell()
  }

  async function ask(): Promise<void> {
    const asked = monotonic()
    if (lease !== undefined) {
      if (await lease.renew()) return void (closed || stands(asked))
      // Somebody else had it in between, or it was never extended: what runs under this epoch ends.
      lease = undefined
      until = 0
      tell()
    }
    const begun = monotonic()
    const found = await fabric.lease(`node/${node}`, limits.nodeLeaseMs)
    if (found === undefined) return
    if (closed) return void (await found.release())
    lease = found
    stands(begun)
  }

  async function turn(): Promise<void> {
    forgetTurn()
    if (closed) return
    forgetTurn = later(() => void turn(), limits.nodeLeaseRenewMs)
    // A question that is never answered does not keep the next one from being asked.
    if (askedAt !== undefined && monotonic() - askedAt < limits.nodeLeaseMs) return
    askedAt = monotonic()
    try {
      await ask()
    } catch {
      // The fabric is away; the clock decides how long this may last.
      tell()
    } finally {
      askedAt = undefined
    }
  }

  const stopListening = fabric.onState((state) => {
    if (state === 'here') void turn()
  })
  void turn()

  return {
    epoch,
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    async close() {
      closed = true
      stopListening()
      forgetTurn()
      forgetEnd()
      const held = lease
      lease = undefined
      tell()
      await held?.release().catch(() => {})
    },
  }
}

function afterTime(run: () => void, delay: Milliseconds): () => void {
  const timer = setTimeout(run, delay).unref()
  return () => clearTimeout(timer)
}
