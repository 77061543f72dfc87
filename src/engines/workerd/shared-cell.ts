/** One shared cell with all that belongs to it: process, client, backplane, heartbeat, and the isolates it has loaded. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Limits } from '#/core/limits.ts'
import { type BackplaneHandler, createBackplane } from './backplane.ts'
import { type Cell, startCell } from './cell.ts'
import { type CellClient, createCellClient } from './cell-client.ts'
import { type LoaderSources, loaderConfig, loaderFiles } from './loader-cell.ts'
import { watchCell } from './watchdog.ts'

/** `DEPLOYMENT.GENERATION`, with `.t` when traced: one isolate. */
export type IsolateId = string

export interface SharedCell {
  readonly cell: Cell
  readonly client: CellClient
  /** Isolates it has (being) started, least recently used first, with the promise that tells when. */
  readonly loaded: Map<IsolateId, Promise<void>>
  /** Isolates that other programs here called by a binding: when they are idle is not seen from outside. */
  readonly called: Set<IsolateId>
  /** Requests in flight by isolate: the suspects when it hangs. */
  readonly busy: Map<IsolateId, number>
  /** Set when it was killed for silence. */
  hung: boolean
  readonly gone: Promise<string>
  /** Kills it without ceremony. */
  drop(): void
}

export interface SharedCellOptions {
  readonly folder: string
  readonly name: string
  readonly sources: LoaderSources
  readonly handlers: Readonly<Record<string, BackplaneHandler>>
  readonly limits: Limits
  readonly onLine: (line: string) => void
}

/** Starts a blank cell; resolves when it can take requests. */
export async function startSharedCell(options: SharedCellOptions): Promise<SharedCell> {
  const { folder, limits, name } = options
  mkdirSync(join(folder, 'blank'), { recursive: true, mode: 0o700 })
  const loaded: SharedCell['loaded'] = new Map()
  const called: SharedCell['called'] = new Set()
  const { code } = options.handlers
  const noting: BackplaneHandler = (request) => {
    if (!loaded.has(request.id)) called.add(request.id)
    return code!(request)
  }
  const backplane = await createBackplane(join(folder, 'backplane'), { ...options.handlers, code: noting })
  const cell = await startCell({
    name,
    folder,
    config: loaderConfig(folder),
    files: loaderFiles(options.sources),
    onLine: options.onLine,
    reachable: true,
  }).catch((error: unknown) => {
    backplane.close()
    throw error
  })
  const client = createCellClient(cell.socket('programs'), limits)
  const shared: SharedCell = {
    cell,
    client,
    loaded,
    called,
    busy: new Map(),
    hung: false,
    gone: cell.exited,
    drop: () => cell.kill(),
  }
  const stopWatching = watchCell({
    socketPath: cell.socket('beat'),
    beatMs: limits.cellBeatMs,
    stallMs: limits.cellStallMs,
    onStall() {
      shared.hung = true
      cell.kill()
    },
  })
  void cell.exited.then(() => {
    stopWatching()
    client.close()
    backplane.close()
  })
  return shared
}
