/** Several questions at once, answers in the order asked: hides the round trip. */
export async function* inOrder<Item, Result>(
  items: Iterable<Item>,
  atOnce: number,
  ask: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const asked: Promise<Result>[] = []
  for (const item of items) {
    const answer = ask(item)
    // Awaited below, or given up with the whole.
    answer.catch(() => {})
    asked.push(answer)
    if (asked.length >= atOnce) yield await asked.shift()!
  }
  for (const answer of asked) yield await answer
}
