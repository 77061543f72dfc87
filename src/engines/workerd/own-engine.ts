/** The part of the engine that gives programs cells of their own, as `createWorkerdEngine` takes it. */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { databaseServer } from '#/core/database-servers.ts'
import { EdgeError } from '#/core/errors.ts'
import { resourceOf } from '#/core/resources.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import { type BackplaneHandler, createBackplane } from './backplane.ts'
import { clearLeftovers } from './cell.ts'
import type { DispatchedCalls } from './dispatched-calls.ts'
import type { WorkerdEngineOptions } from './engine.ts'
import { listPops } from './everywhere-pops.ts'
import { stoppedError } from './fence-stream.ts'
import { startOwnCell } from './own-cell.ts'
import { createOwnCells } from './own-cells.ts'
import type { OwnCells } from './placement.ts'
import { createProgramDoors } from './program-doors.ts'
import { createProver } from './prove.ts'
import { createReach } from './reach.ts'
import { createPopsReach, type PopsReach } from './reach-pops.ts'
import { createRecentAways } from './recent-aways.ts'

/**
 * `handlers`: what every cell may ask of us; its `reachShared`, where it has one, finds programs in shared cells. Objects
 * lie in `folder`/objects, processes in `runFolder`-own (short: sockets lie two levels below).
 */
export async function openOwnEngine(
  handlers: Readonly<Record<string, BackplaneHandler>>,
  options: WorkerdEngineOptions & {
    readonly reachShared?: Parameters<typeof createReach>[0]['shared']
    readonly dispatched: DispatchedCalls
  },
): Promise<OwnCells> {
  const { blobs, limits, clock, traces, seal } = options
  const folder = `${options.runFolder}-own`
  const objectsFolder = join(options.folder, 'objects')
  clearLeftovers(folder)
  mkdirSync(objectsFolder, { recursive: true, mode: 0o700 })
  const socket = join(folder, 'backplane')
  let snapshot: Snapshot | undefined
  let groups = 0
  const common = {
    folder,
    blobs,
    limits,
    open: seal.open,
    objectsOf: (name: string) => snapshot?.programs.get(name)?.objects,
  }
  const standing = options.pops?.homes.standing
  const serverOf = (id: string) => {
    const resource = snapshot && resourceOf(snapshot, 'server', id)
    return resource && databaseServer(resource)
  }
  const aways = createRecentAways()
  const cells = createOwnCells({
    ...common,
    serverOf,
    door: (kind, name, id) => doors.path(kind, name, id),
    objectsFolder,
    backplane: socket,
    traces,
    clock,
    awayOf: aways.of,
    ...(standing && { standing }),
  })
  const program = (name: string) => snapshot?.programs.get(name)
  const shared = options.reachShared
  const pops = options.pops && openPopsReach(options.pops)
  const reach = createReach({
    program,
    own: cells.reach,
    endedForCpu: cells.endedForCpu,
    dispatched: options.dispatched,
    limits,
    everywhere: (asked, wish) => listPops(options.pops?.mesh, asked, wish, limits),
    ...(shared && { shared }),
    ...(pops && { pops }),
  })

  function openPopsReach(parts: NonNullable<WorkerdEngineOptions['pops']>): PopsReach {
    const noShared = async () => {
      throw new EdgeError('internal', 'This engine has no shared cells.')
    }
    return createPopsReach({ ...parts, folder, program, own: cells.reach, shared: shared ?? noShared, limits })
  }

  /** What a cell asks for is an effect of its objects too: held back like its answers. */
  function fenced(handler: BackplaneHandler): BackplaneHandler {
    if (standing === undefined) return handler
    return async (request) => {
      if (!cells.mayLeave(request.id)) throw stoppedError()
      return handler(request)
    }
  }
  const held = ['egress', 'call', 'certificate', 'purge', 'cache'].flatMap((kind) => {
    const handler = handlers[kind]
    return handler === undefined ? [] : [[kind, fenced(handler)] as const]
  })
  const asked = { ...handlers, ...Object.fromEntries(held), reach: aways.watch(reach) }
  const backplane = await createBackplane(socket, asked)
  const doors = createProgramDoors({ folder, handlers: asked, dialer: options.dialer, serverOf, log: options.log })
  return {
    run: cells.run,
    deliver: cells.deliver,
    warm: cells.warm,
    async forget(objects) {
      await cells.forget(objects)
      for (const { key } of objects) await options.pops?.homes.forget(key)
    },
    prove: createProver(common),
    async startGroup(deployments) {
      const { open, objectsOf } = common
      const place = join(folder, `g${++groups}`)
      const plan = { program: { name: 'group', objects: [] }, deployments, open, objectsOf, backplane: socket }
      const cell = await startOwnCell({
        plan: { ...plan, storage: 'memory', tails: false },
        folder: place,
        blobs,
        limits,
        stuckMs: limits.cellStallMs,
        isGroup: true,
      })
      void cell.exited.then(() => rmSync(place, { recursive: true, force: true }))
      return cell
    },
    reach,
    async adopt(next) {
      snapshot = next
      await cells.adopt(next)
      doors.keep((name) => next.programs.has(name))
    },
    async close() {
      pops?.close()
      await cells.close()
      doors.close()
      backplane.close()
    },
  }
}
