/**
 * Ways to cells that another cell cannot connect to by itself: those of other nodes, over a tunnel of the mesh, and those
 * of this node whose answers have to be fenced. A way is a unix socket of ours; workerd speaks its own protocol through it,
 * so that requests, RPC, streams and WebSockets all cross.
 */
import { rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { shareLoads } from '#/core/bounded-cache.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { NodeId } from '#/core/pops.ts'
import type { ProgramName } from '#/core/snapshot.ts'
import { joinStreams } from './fence-stream.ts'

/** The cell that runs a program; `objects`: the one that has its objects. */
export interface CellTarget {
  readonly program: ProgramName
  readonly objects: boolean
}

export interface CellRoutesOptions {
  /** For the sockets: short, private. */
  readonly folder: string
  readonly limits: Pick<Limits, 'objectRoutes' | 'objectTunnelIdleMs'>
  /** A connection to the cell there. Rejects with an `EdgeError` that says why there is none. */
  readonly open: (node: NodeId, target: CellTarget) => Promise<Duplex>
}

export interface CellRoutes {
  /**
   * `workerdDebugPort` address that leads there; a new one after the way broke off, so that nobody keeps an old one.
   * Rejects like `open`.
   */
  address(node: NodeId, target: CellTarget): Promise<string>
  close(): void
}

interface Route {
  readonly path: string
  readonly server: Server
  /** Connections that lead there now, the spare one among them. */
  readonly open: Set<Duplex>
  /** Opened before anybody connected: the first who does saves the wait. */
  spare: Duplex | undefined
  usedAt: number
}

export function createCellRoutes({ folder, limits, open }: CellRoutesOptions): CellRoutes {
  const routes = new Map<string, Route>()
  let made = 0

  function drop(key: string, route: Route): void {
    if (routes.get(key) === route) routes.delete(key)
    route.server.close()
    rmSync(route.path, { force: true })
    route.spare?.destroy()
  }

  /** Far ends that close take the whole way with them: who holds a connection asks again and gets a new address. */
  function watch(key: string, route: Route, inner: Duplex): Duplex {
    route.open.add(inner)
    inner.on('error', () => {})
    inner.once('close', () => {
      route.open.delete(inner)
      if (route.spare === inner) route.spare = undefined
    })
    inner.once('end', () => drop(key, route))
    inner.once('error', () => drop(key, route))
    return inner
  }

  function refill(key: string, route: Route, node: NodeId, target: CellTarget): void {
    if (routes.get(key) !== route || route.spare !== undefined) return
    open(node, target).then(
      (inner) => {
        if (routes.get(key) !== route || route.spare !== undefined) return void inner.destroy()
        route.spare = watch(key, route, inner)
      },
      () => {},
    )
  }

  async function connect(key: string, route: Route, node: NodeId, target: CellTarget, outer: Socket): Promise<void> {
    outer.on('error', () => {})
    route.usedAt = performance.now()
    const { spare } = route
    route.spare = undefined
    refill(key, route, node, target)
    try {
      const inner = spare ?? watch(key, route, await open(node, target))
      if (outer.destroyed) inner.destroy()
      else joinStreams(outer, inner)
    } catch {
      outer.destroy()
    }
  }

  const make = shareLoads(async (key: string) => {
    const [node, kind, program] = key.split(' ') as [NodeId, string, ProgramName]
    const target = { program, objects: kind === 'objects' }
    const spare = await open(node, target)
    makeRoom()
    const path = join(folder, `r${++made}`)
    const server = createServer((outer) => void connect(key, route, node, target, outer))
    const route: Route = { path, server, open: new Set(), spare: undefined, usedAt: performance.now() }
    routes.set(key, route)
    route.spare = watch(key, route, spare)
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve))
    server.unref()
    return route
  })

  function makeRoom(): void {
    if (routes.size < limits.objectRoutes) return
    const idle = [...routes].filter(([, route]) => isIdle(route)).sort(([, a], [, b]) => a.usedAt - b.usedAt)
    if (idle[0] === undefined) throw new EdgeError('overloaded', `All ${limits.objectRoutes} ways to cells are in use.`)
    drop(...idle[0])
  }

  const isIdle = (route: Route) => route.open.size - (route.spare === undefined ? 0 : 1) === 0

  const sweep = setInterval(() => {
    const before = performance.now() - limits.objectTunnelIdleMs
    for (const [key, route] of routes) if (isIdle(route) && route.usedAt < before) drop(key, route)
  }, limits.objectTunnelIdleMs / 2)
  sweep.unref()

  return {
    async address(node, { program, objects }) {
      const key = `${node} ${objects ? 'objects' : 'program'} ${program}`
      const known = routes.get(key)
      // A way on which nothing leads there any more is not known to lead there.
      const route = known !== undefined && known.open.size > 0 ? known : await make(key)
      route.usedAt = performance.now()
      return `unix:${route.path}`
    },
    close() {
      clearInterval(sweep)
      for (const [key, route] of routes) {
        for (const inner of route.open) inner.destroy()
        drop(key, route)
      }
    },
  }
}
