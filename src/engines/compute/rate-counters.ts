/**
 * Rate counters and penalty boxes of programs at this point of presence, as Fastly's edge rate limiting has them. Counts are
 * kept by the second; pure apart from the clock that is handed over.
 */
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Clock } from '#/core/units.ts'

/** Seconds over which a rate may be asked for; spans over which a count may be. */
export const rateWindows = [1, 10, 60] as const
export const countSpans = [10, 20, 30, 40, 50, 60] as const

/** Names of counters, boxes and entries are a program's own: nobody else sees them. Throws `bad_request`. */
export interface RateCounters {
  increment(program: string, counter: string, entry: string, delta: number): void
  /** Per second, over the last `window` seconds. */
  rate(program: string, counter: string, entry: string, window: number): number
  /** Over the last `span` seconds. */
  count(program: string, counter: string, entry: string, span: number): number
  punish(program: string, box: string, entry: string, seconds: number): void
  punished(program: string, box: string, entry: string): boolean
  /** Counts, then says whether the entry is to be blocked: it is in the box, or its rate has just put it there. */
  check(program: string, wish: CheckWish): boolean
}

export interface CheckWish {
  readonly counter: string
  readonly entry: string
  readonly delta: number
  readonly window: number
  /** Per second. */
  readonly limit: number
  readonly box: string
  readonly seconds: number
}

/** One more than the longest window, for the second that is partly in it. */
const slots = 61

interface Counter {
  readonly counts: Uint32Array
  /** The second (of the epoch) that was written last. */
  second: number
}

const most = 0xffff_ffff

export function createRateCounters(parts: {
  readonly limits: Pick<Limits, 'computeRateEntries' | 'computeRateKeyBytes'>
  readonly clock: Clock
}): RateCounters {
  const { limits, clock } = parts
  const counters = new Map<string, Counter>()
  const boxes = new Map<string, number>()

  function keyOf(program: string, name: string, entry: string): string {
    if (name === '' || name.length + entry.length > limits.computeRateKeyBytes)
      throw new EdgeError(
        'bad_request',
        `A counter or box has a name, and with an entry it has at most ${limits.computeRateKeyBytes} characters.`,
      )
    return `${program}\0${name}\0${entry}`
  }

  /** The least recently used goes first. */
  function keep<Value>(map: Map<string, Value>, key: string, value: Value): void {
    map.delete(key)
    if (map.size >= limits.computeRateEntries) map.delete(map.keys().next().value!)
    map.set(key, value)
  }

  const counting = {
    increment(program: string, name: string, entry: string, delta: number) {
      const key = keyOf(program, name, entry)
      const counter = counters.get(key) ?? { counts: new Uint32Array(slots), second: 0 }
      const second = Math.floor(clock() / 1000)
      forget(counter, second)
      const at = second % slots
      counter.counts[at] = Math.min(most, counter.counts[at]! + delta)
      keep(counters, key, counter)
    },
    rate(program: string, name: string, entry: string, window: number) {
      oneOf(window, rateWindows, 'window')
      return Math.round(sumOf(counters.get(keyOf(program, name, entry)), clock(), window) / window)
    },
    count(program: string, name: string, entry: string, span: number) {
      oneOf(span, countSpans, 'duration')
      return Math.round(sumOf(counters.get(keyOf(program, name, entry)), clock(), span))
    },
    punish(program: string, box: string, entry: string, seconds: number) {
      if (!Number.isInteger(seconds) || seconds < 60 || seconds > 3600)
        throw new EdgeError('bad_request', `A time in a penalty box is from 60 to 3600 s, not ${seconds}.`)
      // Fastly counts whole minutes.
      keep(boxes, keyOf(program, box, entry), clock() + Math.floor(seconds / 60) * 60_000)
    },
    punished(program: string, box: string, entry: string) {
      const key = keyOf(program, box, entry)
      const until = boxes.get(key)
      if (until === undefined) return false
      if (until > clock()) return true
      boxes.delete(key)
      return false
    },
  }
  return {
    ...counting,
    check(program, { counter, entry, delta, window, limit, box, seconds }) {
      counting.increment(program, counter, entry, delta)
      if (counting.punished(program, box, entry)) return true
      oneOf(window, rateWindows, 'window')
      if (sumOf(counters.get(keyOf(program, counter, entry)), clock(), window) / window <= limit) return false
      counting.punish(program, box, entry, seconds)
      return true
    },
  }
}

function oneOf(value: number, allowed: readonly number[], what: string): void {
  if (!allowed.includes(value))
    throw new EdgeError('bad_request', `A ${what} is ${allowed.join(', ')} s, not ${value}.`)
}

/** Clears the slots of the seconds that have passed since the last count. */
function forget(counter: Counter, second: number): void {
  const passed = second - counter.second
  if (passed >= slots || passed < 0) counter.counts.fill(0)
  else for (let one = counter.second + 1; one <= second; one++) counter.counts[one % slots] = 0
  counter.second = second
}

/** The oldest second counts by the part of it that lies in the window. */
function sumOf(counter: Counter | undefined, now: number, window: number): number {
  if (counter === undefined) return 0
  const second = Math.floor(now / 1000)
  const partly = 1 - (now / 1000 - second)
  let sum = 0
  for (let age = 0; age <= window; age++) {
    const one = second - age
    if (one > counter.second || one <= counter.second - slots) continue
    sum += counter.counts[one % slots]! * (age === window ? partly : 1)
  }
  return sum
}
