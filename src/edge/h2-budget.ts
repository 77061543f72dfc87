/**
 * How much of what costs us and brings nothing one HTTP/2 client may do: a bucket that time and useful work fill again.
 */
export interface Budget {
  /** False when the client has used it up. */
  spend(now: number): boolean
  /** Work done for the client allows it as many more frames. */
  earn(count: number): void
}

/** `burst` at once, then `perSecond`; `now` in milliseconds. */
export function createBudget(burst: number, perSecond: number): Budget {
  let left = burst
  let last = 0
  return {
    spend(now) {
      if (last !== 0) left = Math.min(burst, left + ((now - last) / 1000) * perSecond)
      last = now
      left -= 1
      return left >= 0
    },
    earn(count) {
      left = Math.min(burst, left + count)
    },
  }
}

export interface Recent {
  /** Numbers from 1. */
  add(number: number): void
  delete(number: number): void
  has(number: number): boolean
}

/** The last `limit` numbers added: written with each stream, looked through only when a client errs. */
export function createRecent(limit: number): Recent {
  const numbers = new Uint32Array(limit)
  let next = 0
  return {
    add(number) {
      numbers[next] = number
      next = next + 1 === limit ? 0 : next + 1
    },
    delete(number) {
      const at = numbers.indexOf(number)
      if (at !== -1) numbers[at] = 0
    },
    has: (number) => numbers.includes(number),
  }
}
