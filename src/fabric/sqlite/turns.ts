/** One at a time for each name, in the order asked; different names do not wait for each other. */
export interface Turns {
  take<Result>(name: string, work: () => Promise<Result>): Promise<Result>
}

export function createTurns(): Turns {
  const last = new Map<string, Promise<unknown>>()
  return {
    take(name, work) {
      const mine = (last.get(name) ?? Promise.resolve()).then(work, work)
      last.set(name, mine)
      const leave = () => {
        if (last.get(name) === mine) last.delete(name)
      }
      mine.then(leave, leave)
      return mine
    },
  }
}
