/** How a cell finds a program that runs in another one: the address of that cell and what to ask for there. */
import type { Answer } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { NodeId } from '#/core/pops.ts'
import type { Deployment, Program, ProgramName } from '#/core/snapshot.ts'
import { type BackplaneHandler, textAnswer } from './backplane.ts'
import type { Place } from './own-cells.ts'
import { placeProgram } from './placement.ts'
import type { PopsReach } from './reach-pops.ts'

/** What a binding means, as the forwarders inside send it. */
export interface ReachTarget {
  readonly program: ProgramName
  readonly entrypoint?: string
  readonly props?: unknown
  /** A Durable Object of the program is meant, so only the cell that owns the storage will do. */
  readonly objects?: boolean
  /** Which object, where there are many nodes. */
  readonly className?: string
  readonly id?: string
  readonly hint?: string
  /** The program at this node is meant. */
  readonly node?: NodeId
  /** Where the program could be asked: nodes are answered, not an address. */
  readonly everywhere?: { readonly pops?: readonly string[]; readonly within?: string }
}

export interface ReachDependencies {
  readonly program: (name: ProgramName) => Program | undefined
  readonly own: (program: Program) => Promise<Place>
  /** Debug address of a shared cell that may run the deployment; absent: shared cells cannot be reached. */
  readonly shared?: (deployment: Deployment) => Promise<string>
  /** How the objects and programs of many nodes are found; absent: there is one. */
  readonly pops?: PopsReach
  readonly everywhere: (program: Program, wish: NonNullable<ReachTarget['everywhere']>) => object
  readonly limits: Pick<Limits, 'cellStallMs'>
}

/**
 * The backplane's `reach`: JSON of a `ReachTarget` in, parameters for `workerdDebugPort` out, `{ compute: true }` for a
 * program that the backplane's `call` asks, `{ here: true }` for an object of the asking cell itself, or why not as text.
 */
export function createReach(parts: ReachDependencies): BackplaneHandler {
  const { pops } = parts
  return async ({ body, id: asker }) => {
    const target = JSON.parse(Buffer.concat((await body?.toArray()) ?? []).toString()) as ReachTarget
    const program = parts.program(target.program)
    const deployment = program?.rollout[0]?.deployment
    if (program === undefined || deployment === undefined)
      return textAnswer(404, `There is no program ${target.program}.`)
    if (target.everywhere !== undefined) return json(parts.everywhere(program, target.everywhere))
    if (target.objects === true && target.id !== undefined && pops !== undefined)
      return json(await pops.object(program, target, asker))
    if (target.node !== undefined && pops !== undefined && target.node !== pops.self)
      return json(await pops.program(target.node, target))
    if (deployment.compute !== undefined) return json({ compute: true })
    const { entrypoint, props } = target
    if (target.objects === true || placeProgram(program, deployment, parts.limits).kind === 'own') {
      const place = (await pops?.fenced(program)) ?? (await parts.own(program))
      return json({ ...place, entrypoint, props })
    }
    if (parts.shared === undefined) return textAnswer(501, `${target.program} runs in a shared cell.`)
    // The host of a shared cell starts the program and passes the call on to the entrypoint.
    const address = await parts.shared(deployment)
    return json({ address, service: 'host', entrypoint: 'Program', props: target })
  }
}

function json(value: object): Answer {
  return textAnswer(200, JSON.stringify(value))
}
