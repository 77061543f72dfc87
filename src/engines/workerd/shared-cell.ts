/** One shared cell with all that belongs to it: process, client, backplane, heartbeat, and the isolates it has loaded. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Limits } from '#/core/limits.ts'
import { type BackplaneHandler, createBackplane } from './backplane.ts'
import { type Cell, startCell } from './cell.ts'
import { type CellClient, createCellClient } from './cell-client.ts'
import { type LoaderSources, loaderConfig, loaderFiles } from './loader-cell.ts'
import { cpuOf } from './process-cpu.ts'
import { watchCell } from './watchdog.ts'

/** `DEPLOYMENT.GENERATION`, with `.t` when traced: one isolate. */
export type IsolateId = string

export interface SharedCell {
  readonly cell: Cell
  readonly client: CellClient
  /** Tells programs of what is no request. */
  readonly events: CellClient
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
  /** A program called by a binding is started by a request of ours too: see `touch` in ask-cell.ts. */
  const starting: BackplaneHandler = async (request) => {
    const answer = await options.handlers.route!(request)
    const isolate = answer.body instanceof Uint8Array ? Buffer.from(answer.body).toString() : ''
    if (answer.status === 200 && isolate !== 'own') await tellHost(client, `!warm ${isolate}`)
    return answer
  }
  const handlers = { ...options.handlers, code: noting, route: starting }
  const backplane = await createBackplane(join(folder, 'backplane'), handlers)
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
  const events = createCellClient(cell.socket('events'), limits)
  const shared: SharedCell = {
    cell,
    client,
    events,
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
    cpu: () => cpuOf(cell.pid),
    onStall() {
      shared.hung = true
      cell.kill()
    },
  })
  void cell.exited.then(() => {
    stopWatching()
    client.close()
    events.close()
    backplane.close()
  })
  return shared
}

/**
 * A command to the host inside: `!warm ID`, `!evict ID`, `!routes`; `code` spares it the way back to us for a program's
 * code. A cell that is gone needs no telling.
 */
export async function tellHost(client: CellClient, line: string, code?: Uint8Array): Promise<void> {
  const control = ['rimward-program', line]
  const order = { path: '/', authority: 'host', headers: [], control }
  if (code !== undefined) {
    const told = client.request({ ...order, method: 'POST', body: code })
    // Not sent again by the client as it has a body; without one it is, and the host asks for the code.
    if (await told.then(Boolean, () => false)) return
  }
  await client.request({ ...order, method: 'GET', body: null }).catch(() => {})
}
