/**
 * Leases: a record with its holder, epoch and length. No clock is compared with another machine's: whoever wants a lease
 * takes it after having seen the same record for its whole length, and its holder counts from before it wrote.
 */
import type { Limits } from '#/core/limits.ts'
import type { Lease } from '#/core/ports.ts'
import type { Milliseconds } from '#/core/units.ts'
import type { Turns } from '../sqlite/turns.ts'
import type { Line } from './line.ts'
import { toToken } from './names.ts'

export interface LeasesOptions {
  readonly stream: string
  readonly root: string
  readonly line: Line
  readonly turns: Turns
  /** Only ever grows, at the pace of time; not a time of day. */
  readonly elapsed: () => Milliseconds
  readonly limits: Pick<Limits, 'natsLeasesSeen'>
}

interface LeaseRecord {
  readonly epoch: number
  readonly holder: string
  readonly ttl: Milliseconds
  /** Given back: the next may have it at once. */
  readonly free?: boolean
}

interface Found extends LeaseRecord {
  readonly sequence: number
}

/** The holder stops this much earlier than others may begin: clocks of two machines do not run at quite the same pace. */
const drift = 0.99

export type TakeLease = (name: string, ttl: Milliseconds) => Promise<Lease | undefined>

export function createLeases({ stream, root, line, turns, elapsed, limits }: LeasesOptions): TakeLease {
  /** Since when this node sees the same record. */
  const seen = new Map<string, { readonly sequence: number; readonly since: Milliseconds }>()
  let holders = 0

  async function find(subject: string): Promise<Found | undefined> {
    const message = await line.readLast(stream, subject)
    if (message === undefined) return undefined
    return { ...(JSON.parse(Buffer.from(message.data).toString()) as LeaseRecord), sequence: message.sequence }
  }

  const write = (subject: string, record: LeaseRecord, expect: number) =>
    line.write(stream, subject, Buffer.from(JSON.stringify(record)), { expect })

  /** How long this node has seen the record as it is. */
  function age(subject: string, sequence: number): Milliseconds {
    const known = seen.get(subject)
    if (known?.sequence === sequence) return elapsed() - known.since
    remember(subject, sequence)
    return 0
  }

  function remember(subject: string, sequence: number): void {
    seen.delete(subject)
    seen.set(subject, { sequence, since: elapsed() })
    if (seen.size > limits.natsLeasesSeen) seen.delete(seen.keys().next().value!)
  }

  async function take(subject: string, ttl: Milliseconds): Promise<Lease | undefined> {
    const found = await find(subject)
    if (found !== undefined && !found.free && age(subject, found.sequence) < found.ttl) return undefined
    const record = { epoch: (found?.epoch ?? 0) + 1, holder: `${line.id}-${holders++}`, ttl }
    const since = elapsed()
    const sequence = await write(subject, record, found?.sequence ?? 0)
    if (sequence === undefined) return undefined
    remember(subject, sequence)
    return hold(subject, record, { sequence, since })
  }

  function hold(subject: string, record: LeaseRecord, start: { sequence: number; since: Milliseconds }): Lease {
    let { sequence, since } = start
    let over = false

    /** Writes over our own record, also over a write of ours whose answer never came. */
    async function writeOver(next: LeaseRecord): Promise<boolean> {
      const written = await write(subject, next, sequence)
      if (written !== undefined) {
        sequence = written
        return true
      }
      const found = await find(subject)
      if (found === undefined || found.holder !== record.holder || found.free || found.sequence === sequence)
        return false
      sequence = found.sequence
      return writeOver(next)
    }

    async function renew(): Promise<boolean> {
      const now = elapsed()
      over ||= now - since >= record.ttl * drift
      if (over) return false
      if (!(await writeOver(record))) {
        over = true
        return false
      }
      remember(subject, sequence)
      since = now
      return true
    }

    return {
      epoch: record.epoch,
      renew: () => turns.take(subject, renew),
      release: () =>
        turns.take(subject, async () => {
          if (!over) await writeOver({ ...record, free: true })
          over = true
        }),
    }
  }

  return (name, ttl) => {
    const subject = `${root}.${toToken(name)}`
    return turns.take(subject, () => take(subject, ttl))
  }
}
