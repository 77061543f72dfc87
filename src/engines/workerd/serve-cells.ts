/** The other end of a way to a cell: what a node lets others reach, and the fence in front of objects. */
import { createConnection } from 'node:net'
import { type Duplex, duplexPair } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import type { ObjectHomes } from '#/core/object-homes.ts'
import type { Deployment, Program, ProgramName } from '#/core/snapshot.ts'
import type { CellTarget } from './cell-routes.ts'
import { joinFenced, joinStreams, stoppedError } from './fence-stream.ts'
import type { Place } from './own-cells.ts'

export interface CellServerOptions {
  readonly homes: ObjectHomes
  readonly program: (name: ProgramName) => Program | undefined
  /** Starts the program's own cell if it has to. */
  readonly own: (program: Program) => Promise<Place>
  /** Debug address of a shared cell that may run the deployment. */
  readonly shared: (deployment: Deployment) => Promise<string>
  readonly isShared: (program: Program, deployment: Deployment) => boolean
}

export interface CellServer {
  /** Joins the stream to the cell. Rejects with `fabric_away`, `not_found` or why the cell does not start. */
  join(target: CellTarget, outer: Duplex): Promise<void>
  /** The same, for a caller on this node. */
  open(target: CellTarget): Promise<Duplex>
  close(): void
}

export function createCellServer(options: CellServerOptions): CellServer {
  const { standing } = options.homes
  /** Streams that carry what objects say. */
  const fenced = new Set<Duplex>()
  const stop = standing.onChange(() => {
    for (const stream of fenced) stream.destroy()
  })

  async function addressOf({ program: name, objects }: CellTarget): Promise<string> {
    const program = options.program(name)
    const deployment = program?.rollout[0]?.deployment
    if (program === undefined || deployment === undefined)
      throw new EdgeError('not_found', `There is no program ${name}.`)
    if (deployment.compute !== undefined)
      throw new EdgeError('not_found', `${name} is a Compute program: no Worker can call methods of it.`)
    if (objects || !options.isShared(program, deployment)) return (await options.own(program)).address
    return options.shared(deployment)
  }

  async function join(target: CellTarget, outer: Duplex): Promise<void> {
    const epoch = standing.epoch()
    if (target.objects && epoch === undefined) throw stoppedError()
    const address = await addressOf(target)
    const hasObjects = (options.program(target.program)?.objects.length ?? 0) > 0
    outer.on('error', () => {})
    // A way that is only held ready must not look like a caller to the cell.
    outer.once('readable', () => {
      const inner = createConnection(address.slice('unix:'.length))
      inner.on('error', () => {})
      if (!hasObjects || epoch === undefined) return joinStreams(outer, inner)
      fenced.add(outer)
      outer.once('close', () => fenced.delete(outer))
      joinFenced(outer, inner, () => standing.epoch() === epoch)
    })
  }

  return {
    join,
    async open(target) {
      const [here, there] = duplexPair()
      await join(target, there)
      return here
    },
    close() {
      stop()
      for (const stream of fenced) stream.destroy()
    },
  }
}
