/**
 * A checker of histories: was one counter, incremented from many places through faults, linearizable? Herlihy and Wing,
 * «Linearizability» (1990). For a counter that only grows and answers its new value the order of what was acknowledged is
 * known from the values, so the check is exact and needs no search.
 */

export interface Increment {
  /** When it was asked for, and when the answer came, by one clock for all. */
  readonly invoked: number
  readonly completed: number
  /** The value that was acknowledged; absent where it failed, and then it may have been counted or not. */
  readonly value?: number
  /** For people: through which node. */
  readonly by: string
}

type Acknowledged = Increment & { readonly value: number }

/** Why the history is not that of one counter; `undefined` where it is. */
export function faultOf(history: readonly Increment[]): string | undefined {
  const acknowledged = history.filter((one): one is Acknowledged => one.value !== undefined)
  const byValue = acknowledged.toSorted((one, other) => one.value - other.value)
  return twice(byValue) ?? backwards(byValue) ?? fromNowhere(byValue, history)
}

function twice(byValue: readonly Acknowledged[]): string | undefined {
  for (const [index, one] of byValue.entries())
    if (byValue[index + 1]?.value === one.value)
      return `${one.value} was acknowledged twice, by ${one.by} and by ${byValue[index + 1]!.by}`
  return undefined
}

/** Whoever began after another was answered has the larger value. */
function backwards(byValue: readonly Acknowledged[]): string | undefined {
  let latest: Acknowledged | undefined
  for (const one of byValue) {
    if (latest !== undefined && one.completed < latest.invoked)
      return `${one.value} (${one.by}) was answered before ${latest.value} (${latest.by}) was asked for`
    if (latest === undefined || one.invoked > latest.invoked) latest = one
  }
  return undefined
}

/** Each value that nobody was told must be that of a failed increment which began before a larger value was told. */
function fromNowhere(byValue: readonly Acknowledged[], history: readonly Increment[]): string | undefined {
  const failed = history
    .filter(({ value }) => value === undefined)
    .toSorted((one, other) => one.invoked - other.invoked)
  const told = new Set(byValue.map(({ value }) => value))
  const deadlines = byValue.map(() => Number.POSITIVE_INFINITY)
  let soonest = Number.POSITIVE_INFINITY
  for (let index = byValue.length - 1; index >= 0; index--)
    deadlines[index] = soonest = Math.min(soonest, byValue[index]!.completed)
  let used = 0
  let next = 0
  for (let value = 1; value < (byValue.at(-1)?.value ?? 0); value++) {
    while (byValue[next]!.value <= value) next++
    if (told.has(value)) continue
    const one = failed[used++]
    if (one === undefined || one.invoked >= deadlines[next]!) return `nobody can have made it ${value}`
  }
  return undefined
}
