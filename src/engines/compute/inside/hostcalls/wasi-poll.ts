/** `poll_oneoff`: how programs sleep. Standard streams are always ready; a clock alone suspends the program. */
import type { Sandbox } from '../sandbox.ts'
import { clockTime, errno } from './wasi-clock.ts'

const subscriptionBytes = 48
const eventBytes = 32
const kind = { clock: 0, read: 1, write: 2 } as const
/** In `subclockflags`: the time is an instant, not a span. */
const absolute = 1
const hangup = 1
const mostSubscriptions = 1024

interface Subscription {
  readonly userdata: bigint
  readonly kind: number
  readonly error: number
  /** Nanoseconds from now; 0 for what is ready. */
  readonly inNs: bigint
}

function readSubscription(sandbox: Sandbox, at: number): Subscription {
  const { memory } = sandbox
  const userdata = memory.readU64(at)
  const tag = memory.bytes(at + 8, 1)[0]!
  if (tag !== kind.clock) {
    const fd = memory.readU32(at + 16)
    const known = tag === kind.read ? fd === 0 : tag === kind.write && (fd === 1 || fd === 2)
    return { userdata, kind: tag, error: known ? errno.success : errno.badf, inNs: 0n }
  }
  const now = clockTime(sandbox, memory.readU32(at + 16))
  if (now === undefined) return { userdata, kind: tag, error: errno.inval, inNs: 0n }
  const timeout = memory.readU64(at + 24)
  const span = (memory.readU32(at + 40) & absolute) !== 0 ? timeout - now : timeout
  return { userdata, kind: tag, error: errno.success, inNs: span > 0n ? span : 0n }
}

function giveEvents({ memory }: Sandbox, ready: readonly Subscription[], out: number, countOut: number): number {
  for (const [index, { userdata, kind: type, error }] of ready.entries()) {
    const at = out + index * eventBytes
    memory.bytes(at, eventBytes).fill(0)
    memory.u64(at, userdata)
    memory.u16(at + 8, error)
    memory.u8(at + 10, type)
    // Standard input is at its end.
    if (type === kind.read) memory.u16(at + 24, hangup)
  }
  memory.u32(countOut, ready.length)
  return errno.success
}

/** A program sleeps in one call at a time: its timer goes with the request. */
const timers = new WeakMap<Sandbox, { timer: NodeJS.Timeout | undefined }>()

function sleep(sandbox: Sandbox, ms: number): Promise<void> {
  let held = timers.get(sandbox)
  if (held === undefined) {
    const created: { timer: NodeJS.Timeout | undefined } = { timer: undefined }
    sandbox.onEnd(() => clearTimeout(created.timer))
    timers.set(sandbox, created)
    held = created
  }
  const slot = held
  return new Promise((resolve) => {
    slot.timer = setTimeout(resolve, ms)
  })
}

export function pollOneoff(
  sandbox: Sandbox,
  subscriptions: number,
  out: number,
  count: number,
  countOut: number,
): number | Promise<number> {
  if (count < 1 || count > mostSubscriptions) return errno.inval
  const wanted = Array.from({ length: count }, (_, index) =>
    readSubscription(sandbox, subscriptions + index * subscriptionBytes),
  )
  sandbox.memory.bytes(out, count * eventBytes)
  const soonest = wanted.map(({ inNs }) => inNs).sort((one, other) => Number(one - other))[0]!
  const ready = wanted.filter(({ inNs }) => inNs === soonest)
  if (soonest === 0n) return giveEvents(sandbox, ready, out, countOut)
  // Longer than a request may last: it is ended before.
  const ms = Math.min(Math.ceil(Number(soonest) / 1e6), sandbox.limits.wallMs)
  return sleep(sandbox, ms).then(() => giveEvents(sandbox, ready, out, countOut))
}
