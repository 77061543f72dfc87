/** Throws with both values when they differ; compared by their JSON, which is enough for what the checks return. */
export function equal(actual, expected, what = '') {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)]
  if (a !== b) throw new Error(`${what} expected ${b}, got ${a}`)
}

/** Throws unless the call rejects with a message that contains the text. */
export async function rejects(call, text) {
  let thrown
  try {
    await call()
  } catch (error) {
    thrown = error
  }
  if (thrown === undefined) throw new Error(`expected a rejection with "${text}"`)
  if (!String(thrown.message).includes(text)) throw new Error(`expected "${text}", got "${thrown.message}"`)
}
