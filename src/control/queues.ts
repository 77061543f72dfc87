/** Tasks with names, one at a time for each name. */

/** One queue a name; a task waits in all of its queues, taken in one order so that no two tasks wait for each other. */
export function createQueues() {
  const tails = new Map<string, Promise<void>>()
  return async <Result>(names: readonly string[], task: () => Promise<Result>): Promise<Result> => {
    const mine = Promise.withResolvers<void>()
    const wanted = [...new Set(names)].sort()
    const before = wanted.map((name) => tails.get(name))
    for (const name of wanted) tails.set(name, mine.promise)
    await Promise.all(before)
    try {
      return await task()
    } finally {
      mine.resolve()
      for (const name of wanted) if (tails.get(name) === mine.promise) tails.delete(name)
    }
  }
}
