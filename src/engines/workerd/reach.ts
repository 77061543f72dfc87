/** How a cell finds a program that runs in another one: the address of that cell and what to ask for there. */
import type { Answer } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { NodeId } from '#/core/pops.ts'
import type { Deployment, Program, ProgramName } from '#/core/snapshot.ts'
import { type BackplaneHandler, textAnswer } from './backplane.ts'
import { dispatchedService } from './cell-config.ts'
import type { DispatchedCalls, DispatchGrant } from './dispatched-calls.ts'
import type { CellRole, Place } from './own-cells.ts'
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
  /** It is called through a dispatch namespace, with what the dispatcher grants; `ended`: why did its cell end just now? */
  readonly dispatched?: DispatchGrant & { readonly cpuMs?: number; readonly ended?: true }
  /** It is asked as the outbound Worker of a dispatch namespace. */
  readonly outbound?: true
}

export interface ReachDependencies {
  readonly program: (name: ProgramName) => Program | undefined
  readonly own: (program: Program, as?: CellRole) => Promise<Place>
  readonly endedForCpu: (program: Program, as: CellRole) => boolean
  readonly dispatched: DispatchedCalls
  /** Debug address of a shared cell that may run the deployment; absent: shared cells cannot be reached. */
  readonly shared?: (deployment: Deployment) => Promise<string>
  /** How the objects and programs of many nodes are found; absent: there is one. */
  readonly pops?: PopsReach
  readonly everywhere: (program: Program, wish: NonNullable<ReachTarget['everywhere']>) => object
  readonly limits: Pick<Limits, 'cellStallMs' | 'dispatchParametersBytes'>
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
    if (target.dispatched !== undefined) return callDispatched(parts, program, deployment, target.dispatched)
    const { entrypoint, props } = target
    const isOwn = target.objects === true || placeProgram(program, deployment, parts.limits).kind === 'own'
    if (isOwn && target.outbound === true) {
      if (program.objects.length > 0) return textAnswer(400, outboundObjects(program))
      return json({ ...(await parts.own(program, { outbound: true })), entrypoint, props })
    }
    if (isOwn) {
      const place = (await pops?.fenced(program)) ?? (await parts.own(program))
      return json({ ...place, entrypoint, props })
    }
    if (parts.shared === undefined) return textAnswer(501, `${target.program} runs in a shared cell.`)
    // The host of a shared cell starts the program and passes the call on to the entrypoint.
    const address = await parts.shared(deployment)
    return json({ address, service: 'host', entrypoint: 'Program', props: target })
  }
}

/** One call of a dispatcher, with its ticket. A limit of CPU time needs a cell that may be ended for it. */
async function callDispatched(
  parts: ReachDependencies,
  program: Program,
  deployment: Deployment,
  wish: NonNullable<ReachTarget['dispatched']>,
): Promise<Answer> {
  const { cpuMs, ended, ...grant } = wish
  const role = cpuMs === undefined ? undefined : { cpuMs }
  if (ended === true)
    return json({
      why: role !== undefined && parts.endedForCpu(program, role) ? 'Worker exceeded CPU time limit.' : null,
    })
  const why = cannotGrant(program, deployment, wish)
  if (why !== undefined) return textAnswer(400, why)
  const bytes = Buffer.byteLength(JSON.stringify(grant.outbound?.parameters ?? {}))
  if (bytes > parts.limits.dispatchParametersBytes)
    return textAnswer(
      400,
      `The parameters for the outbound Worker have ${bytes} bytes, more than the ${parts.limits.dispatchParametersBytes} allowed.`,
    )
  const files = deployment.assets === undefined ? undefined : { files: true }
  if (deployment.code === undefined) return json({ files: 'only' })
  const props = { 'rimward-ticket': parts.dispatched.begin(program.name, grant) }
  if (role !== undefined || placeProgram(program, deployment, parts.limits).kind === 'own')
    return json({
      ...(await parts.own(program, role)),
      service: dispatchedService(program, deployment),
      props,
      ...files,
    })
  if (parts.shared === undefined) return textAnswer(501, `${program.name} runs in a shared cell.`)
  const address = await parts.shared(deployment)
  return json({ address, service: 'host', entrypoint: 'Program', props: { program: program.name, props }, ...files })
}

/** What is asked of the call and cannot be had from this program. */
function cannotGrant(
  program: Program,
  { code, usesSockets }: Pick<Deployment, 'code' | 'usesSockets'>,
  { cpuMs, subRequests, outbound }: NonNullable<ReachTarget['dispatched']>,
): string | undefined {
  if (cpuMs !== undefined && program.objects.length > 0)
    return 'Rimward does not limit cpuMs of a Worker with Durable Objects: its calls share a process with them.'
  if (subRequests === undefined && outbound === undefined) return undefined
  if (usesSockets === true)
    return 'This Worker may open TCP sockets, which outbound Workers do not see and subRequests do not count.'
  if (code?.syntax === 'script')
    return 'This Worker is in service-worker syntax: outbound Workers and subRequests need ES modules.'
  return undefined
}

function outboundObjects({ name }: Program): string {
  return `The outbound Worker ${name} has Durable Objects of its own, which Rimward does not support: bind those of another Worker.`
}

function json(value: object): Answer {
  return textAnswer(200, JSON.stringify(value))
}
