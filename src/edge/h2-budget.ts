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
  add(number: number): void
  delete(number: number): void
  has(number: number): boolean
}

/** The last `limit` numbers added. */
export function createRecent(limit: number): Recent {
  const numbers = new Set<number>()
  return {
    add(number) {
      numbers.add(number)
      if (numbers.size > limit) numbers.delete(numbers.values().next().value!)
    },
    delete: (number) => void numbers.delete(number),
    has: (number) => numbers.has(number),
  }
}
