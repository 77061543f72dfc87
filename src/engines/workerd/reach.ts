/** How a cell finds a program that runs in another one: the address of that cell and what to ask for there. */
import type { Limits } from '#/core/limits.ts'
import type { Deployment, Program, ProgramName } from '#/core/snapshot.ts'
import { type BackplaneHandler, textAnswer } from './backplane.ts'
import type { Place } from './own-cells.ts'
import { placeProgram } from './placement.ts'

/** What a binding means, as the forwarders inside send it. */
export interface ReachTarget {
  readonly program: ProgramName
  readonly entrypoint?: string
  readonly props?: unknown
  /** A Durable Object of the program is meant, so only the cell that owns the storage will do. */
  readonly objects?: boolean
}

export interface ReachDependencies {
  readonly program: (name: ProgramName) => Program | undefined
  readonly own: (program: Program) => Promise<Place>
  /** Debug address of a shared cell that may run the deployment; absent: shared cells cannot be reached. */
  readonly shared?: (deployment: Deployment) => Promise<string>
  readonly limits: Pick<Limits, 'cellStallMs'>
}

/**
 * The backplane's `reach`: JSON of a `ReachTarget` in, parameters for `workerdDebugPort` out, `{ compute: true }` for a
 * program that the backplane's `call` asks, or why not as text.
 */
export function createReach(parts: ReachDependencies): BackplaneHandler {
  return async ({ body }) => {
    const target = JSON.parse(Buffer.concat((await body?.toArray()) ?? []).toString()) as ReachTarget
    const program = parts.program(target.program)
    const deployment = program?.rollout[0]?.deployment
    if (program === undefined || deployment === undefined)
      return textAnswer(404, `There is no program ${target.program}.`)
    if (deployment.compute !== undefined) return textAnswer(200, JSON.stringify({ compute: true }))
    const { entrypoint, props } = target
    if (target.objects === true || placeProgram(program, deployment, parts.limits).kind === 'own')
      return textAnswer(200, JSON.stringify({ ...(await parts.own(program)), entrypoint, props }))
    if (parts.shared === undefined) return textAnswer(501, `${target.program} runs in a shared cell.`)
    // The host of a shared cell starts the program and passes the call on to the entrypoint.
    const address = await parts.shared(deployment)
    return textAnswer(200, JSON.stringify({ address, service: 'host', entrypoint: 'Program', props: target }))
  }
}
