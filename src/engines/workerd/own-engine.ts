/** The part of the engine that gives programs cells of their own, as `createWorkerdEngine` takes it. */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Snapshot } from '#/core/snapshot.ts'
import { type BackplaneHandler, createBackplane } from './backplane.ts'
import { clearLeftovers } from './cell.ts'
import type { WorkerdEngineOptions } from './engine.ts'
import { startOwnCell } from './own-cell.ts'
import { createOwnCells } from './own-cells.ts'
import type { OwnCells } from './placement.ts'
import { createProver } from './prove.ts'
import { createReach } from './reach.ts'

/**
 * `handlers`: what every cell may ask of us; its `reachShared`, where it has one, finds programs in shared cells. Objects
 * lie in `folder`/objects, processes in `runFolder`-own (short: sockets lie two levels below).
 */
export async function openOwnEngine(
  handlers: Readonly<Record<string, BackplaneHandler>>,
  options: WorkerdEngineOptions & { readonly reachShared?: Parameters<typeof createReach>[0]['shared'] },
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
  const cells = createOwnCells({ ...common, objectsFolder, backplane: socket, traces, clock })
  const reach = createReach({
    program: (name) => snapshot?.programs.get(name),
    own: cells.reach,
    limits,
    ...(options.reachShared === undefined ? {} : { shared: options.reachShared }),
  })
  const backplane = await createBackplane(socket, { ...handlers, reach })
  return {
    run: cells.run,
    warm: cells.warm,
    forget: cells.forget,
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
    },
    async close() {
      await cells.close()
      backplane.close()
    },
  }
}
