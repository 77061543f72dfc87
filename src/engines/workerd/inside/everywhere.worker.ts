/**
 * `env.EVERYWHERE`: calls one method of a program at many points of presence at once and gathers what they say. What is
 * asked for stays where it is; only answers travel.
 */

/** A binding's `props`: `rimward` says that it is this one, the others are the entrypoint's. */
export interface EverywhereTarget {
  readonly program: string
  readonly entrypoint?: string
  readonly props?: Record<string, unknown>
}

interface Place {
  readonly node: string
  readonly pop: string
  readonly country: string
  readonly error?: string
}

interface Plan {
  readonly places: readonly Place[]
  readonly atOnce: number
  readonly longestMs: number
}

interface Options {
  /** Names of points of presence; absent: all where the program may run. */
  readonly pops?: readonly string[]
  /** Countries or a group: `eu`, `DE,FR`. */
  readonly within?: string
  /** For each answer; what comes later is left out. Default 5,000. */
  readonly timeoutMs?: number
}

interface Answered {
  readonly pop: string
  readonly country: string
  readonly ok: boolean
  readonly value?: unknown
  readonly error?: string
  readonly ms: number
}

type Remote = Record<string, (...parameters: unknown[]) => unknown>

export interface EverywhereWays {
  /** The backplane's `reach`. */
  ask(body: object): Promise<Response>
  connect(address: string): Promise<{ getEntrypoint(service: string, entrypoint?: string, props?: object): Remote }>
}

const usualMs = 5_000
const known = new Set(['pops', 'within', 'timeoutMs'])

/** Where a call would go now: `{ pop, country }`, this point of presence first, then by distance. */
export async function listPops(ways: EverywhereWays, target: EverywhereTarget, options: Options = {}) {
  const { places } = await planOf(ways, target, options)
  return places.map(({ pop, country, error }) => ({ pop, country, ...(error !== undefined && { error }) }))
}

/** One element a point of presence, in the order of `listPops`; who fails or is late is there with its `error`. */
export async function mapEverywhere(
  ways: EverywhereWays,
  target: EverywhereTarget,
  method: unknown,
  parameters: unknown = [],
  options: Options = {},
): Promise<Answered[]> {
  if (typeof method !== 'string' || method === '' || method === 'fetch' || method === 'connect')
    throw new TypeError('EVERYWHERE.map: the first argument is the name of a method of the entrypoint.')
  if (!Array.isArray(parameters))
    throw new TypeError("EVERYWHERE.map: the second argument is the list of the method's arguments.")
  const plan = await planOf(ways, target, options)
  const timeoutMs = options.timeoutMs ?? Math.min(usualMs, plan.longestMs)
  if (!(timeoutMs > 0 && timeoutMs <= plan.longestMs))
    throw new RangeError(`EVERYWHERE.map: timeoutMs is more than 0 and at most ${plan.longestMs}.`)
  const answers: Answered[] = []
  const waiting = plan.places.entries()
  async function work(): Promise<void> {
    for (const [index, place] of waiting) {
      const begun = Date.now()
      const outcome = await within(timeoutMs, callAt(ways, target, place, method as string, parameters as unknown[]))
      const { pop, country } = place
      answers[index] = { pop, country, ...outcome, ms: Date.now() - begun }
    }
  }
  await Promise.all(Array.from({ length: Math.min(plan.atOnce, plan.places.length) }, work))
  return answers
}

async function planOf(ways: EverywhereWays, target: EverywhereTarget, options: Options): Promise<Plan> {
  const strange = Object.keys(options).find((name) => !known.has(name))
  if (strange !== undefined) throw new TypeError(`EVERYWHERE: there is no option "${strange}".`)
  const { pops, within } = options
  if (pops !== undefined && !(Array.isArray(pops) && pops.every((pop) => typeof pop === 'string')))
    throw new TypeError('EVERYWHERE: pops is a list of names.')
  const answer = await ways.ask({ program: target.program, everywhere: { pops, within } })
  if (!answer.ok) throw new Error(`EVERYWHERE: ${await answer.text()}`)
  return answer.json()
}

type Outcome = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: string }

async function callAt(
  ways: EverywhereWays,
  target: EverywhereTarget,
  { node, error }: Place,
  method: string,
  parameters: unknown[],
): Promise<Outcome> {
  if (error !== undefined) return { ok: false, error }
  try {
    const answer = await ways.ask({ ...target, node })
    if (!answer.ok) return { ok: false, error: await answer.text() }
    const place = (await answer.json()) as {
      compute?: true
      address: string
      service: string
      entrypoint?: string
      props?: object
    }
    if (place.compute === true)
      return { ok: false, error: `${target.program} is a Compute program: it has no methods.` }
    const client = await ways.connect(place.address)
    const remote = client.getEntrypoint(place.service, place.entrypoint, place.props)
    return { ok: true, value: await remote[method]!(...parameters) }
  } catch (thrown) {
    return { ok: false, error: String(thrown) }
  }
}

async function within(limitMs: number, outcome: Promise<Outcome>): Promise<Outcome> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<Outcome>((resolve) => {
    timer = setTimeout(resolve, limitMs, { ok: false, error: `No answer within ${limitMs} ms.` })
  })
  try {
    return await Promise.race([outcome, late])
  } finally {
    clearTimeout(timer ?? null)
  }
}
