/** `EVERYWHERE`: which binding is one, and which points of presence a call of it asks. Pure. */
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Mesh } from '#/core/mesh.ts'
import { allows, type Peer, type Place } from '#/core/pops.ts'
import { intersect, parseWithin } from '#/core/residency.ts'
import type { Binding, Program, ProgramName } from '#/core/snapshot.ts'

export interface EverywhereWish {
  /** Names of PoPs; absent: all. */
  readonly pops?: readonly string[]
  /** Countries or a group, as `rimward residency` reads them. */
  readonly within?: string
}

export interface EverywherePlace extends Place {
  /** Why it is not asked. */
  readonly error?: string
}

export interface EverywherePlan {
  readonly places: readonly EverywherePlace[]
  readonly atOnce: number
  readonly longestMs: number
}

/** One node of each PoP where the program may run, this one first. Throws `bad_request` for what it cannot read. */
export function listPops(
  mesh: Pick<Mesh, 'self' | 'peers'> | undefined,
  program: Pick<Program, 'within'>,
  wish: EverywhereWish,
  limits: Pick<Limits, 'everywherePops' | 'everywhereAtOnce' | 'everywhereMs'>,
): EverywherePlan {
  const parsed = wish.within === undefined ? { ok: true as const, within: undefined } : parseWithin(wish.within)
  if (!parsed.ok) throw new EdgeError('bad_request', parsed.why)
  const within = intersect(program.within, parsed.within)
  const self: Place = mesh?.self ?? { node: 'local', pop: 'local', country: 'XX' }
  const nodes: (Place & Partial<Peer>)[] = [{ ...self, reachable: true }, ...(mesh?.peers() ?? [])]
  const places = new Map<string, EverywherePlace>()
  for (const { node, pop, country, reachable } of nodes.toSorted(byDistance)) {
    if (!allows(within, country) || wish.pops?.includes(pop) === false) continue
    const known = places.get(pop)
    if (known !== undefined && known.error === undefined) continue
    places.set(pop, {
      node,
      pop,
      country,
      ...(reachable !== true && { error: 'It cannot be reached now. (peer_away)' }),
    })
  }
  for (const pop of wish.pops ?? [])
    if (!places.has(pop)) places.set(pop, { node: '', pop, country: '', error: whyNot(pop, nodes, wish, program) })
  if (places.size > limits.everywherePops)
    throw new EdgeError(
      'bad_request',
      `${places.size} points of presence are more than the ${limits.everywherePops} of one call.`,
    )
  return { places: [...places.values()], atOnce: limits.everywhereAtOnce, longestMs: limits.everywhereMs }
}

function byDistance(one: Partial<Peer>, other: Partial<Peer>): number {
  return (one.rttMs ?? 0) - (other.rttMs ?? 0)
}

function whyNot(
  pop: string,
  nodes: readonly Place[],
  wish: EverywhereWish,
  { within }: Pick<Program, 'within'>,
): string {
  const found = nodes.find((node) => node.pop === pop)
  if (found === undefined) return 'There is no such point of presence.'
  if (!allows(within, found.country)) return `The program may not run in ${found.country}. (not_here)`
  return `It is in ${found.country}, outside of ${wish.within}.`
}

/**
 * What a service binding with `props: { "rimward": "everywhere" }` asks at every point of presence; `undefined` for other
 * bindings. The remaining props are the entrypoint's.
 */
export function everywhereTarget({
  program,
  entrypoint,
  props,
}: Extract<Binding, { kind: 'program' }>):
  | { readonly program: ProgramName; readonly entrypoint?: string; readonly props?: object }
  | undefined {
  if (props === undefined) return undefined
  const { rimward, ...rest } = JSON.parse(props) as Record<string, unknown>
  if (rimward !== 'everywhere') return undefined
  return {
    program,
    ...(entrypoint !== undefined && { entrypoint }),
    ...(Object.keys(rest).length > 0 && { props: rest }),
  }
}
