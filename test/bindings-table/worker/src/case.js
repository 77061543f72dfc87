/**
 * A case names the members of `@cloudflare/workers-types` that it proves, as `Name: member member; Other: member`, and proves them
 * in a deployed Worker. These modules also load in Node, where the table is made from their names: nothing here imports
 * what only a Worker has.
 */
export const works = (members, run) => ({ members, state: 'works', run })
export const differs = (members, note, run) => ({ members, state: 'works differently', note, run })
export const refused = (members, note, run) => ({ members, state: 'refused', note, run })

const plain = (value) =>
  JSON.stringify(value, (_, one) =>
    one instanceof Map
      ? ['Map', ...one]
      : one instanceof Uint8Array || one instanceof ArrayBuffer
        ? ['bytes', ...new Uint8Array(one)]
        : one,
  )

/** Throws with both values when they differ. */
export function equal(actual, expected, what = '') {
  const [a, b] = [plain(actual), plain(expected)]
  if (a !== b) throw new Error(`${what} expected ${b}, got ${a}`)
}

/** Throws unless each named property has this `typeof`, `array`, or is an instance of this class by name. */
export function shaped(value, kinds) {
  for (const [name, wanted] of Object.entries(kinds)) {
    const one = value[name]
    const kind = Array.isArray(one) ? 'array' : one === null ? 'null' : typeof one
    if (kind !== wanted && one?.constructor?.name !== wanted)
      throw new Error(`${name} is ${kind} ${String(one?.constructor?.name)} ${plain(one)}, not ${wanted}`)
  }
}

/** Throws unless the call fails with words that match. */
export async function fails(call, words) {
  let thrown
  try {
    await call()
  } catch (error) {
    thrown = error
  }
  if (thrown === undefined) throw new Error(`nothing was thrown; expected ${words}`)
  if (!words.test(`${thrown.name}: ${thrown.message}`))
    throw new Error(`expected ${words}, got ${thrown.name}: ${thrown.message}`)
}

/** Asks until the answer is neither `undefined` nor `null`; the test's own time limit ends it. */
export async function until(ask) {
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== null) return answer
    await scheduler.wait(25)
  }
}

export const text = (bytes) => new TextDecoder().decode(bytes)
