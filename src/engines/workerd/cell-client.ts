/**
 * HTTP/1.1 client for a cell's unix socket: about a third of the CPU of `http.request` (see docs/decisions/0001-cells.md).
 * It talks to workerd only, so it speaks exactly what workerd speaks and treats anything else as a broken cell.
 */
import type { Readable } from 'node:stream'
import type { Answer } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import { type CellConnection, connectCell } from './cell-connection.ts'
import { CellFailure } from './cell-failure.ts'
import { type CellRequest, controlFields } from './cell-request.ts'
import { declaredLength } from './write-request.ts'

export { CellFailure, type CellRequest, controlFields }

export interface CellClient {
  /** Rejects with `CellFailure`, or with the signal's reason when it is aborted. */
  request(request: CellRequest): Promise<Answer>
  /** Requests that have no complete answer yet. */
  readonly inFlight: number
  /** Ends every connection; requests in flight fail. */
  close(): void
}

type ClientLimits = Pick<Limits, 'cellConnections' | 'cellIdleConnections' | 'cellHeadBytes' | 'cellWholeBodyBytes'>

/** A caller who leaves is noticed after at most twice as long, and at once from then on. */
const attendMs = 50

/** Makes a client with a pool of kept-alive connections to one socket. */
export function createCellClient(socketPath: string, limits: ClientLimits): CellClient {
  const idle: CellConnection[] = []
  const open = new Set<CellConnection>()
  let closed = false
  let attending: NodeJS.Timeout | undefined

  /** Runs while something is under way. */
  function attend(): void {
    attending = undefined
    for (const connection of open) connection.attend()
    if (open.size > idle.length) attendSoon()
  }

  function attendSoon(): void {
    attending ??= setTimeout(attend, attendMs)
  }

  const owner = {
    headBytes: limits.cellHeadBytes,
    onIdle(connection: CellConnection) {
      if (closed || idle.length >= limits.cellIdleConnections) connection.destroy()
      else idle.push(connection)
    },
    onClose(connection: CellConnection) {
      open.delete(connection)
      const place = idle.indexOf(connection)
      if (place !== -1) idle.splice(place, 1)
    },
  }

  function dial(request: CellRequest): CellConnection {
    if (closed) throw new CellFailure('closed', 'The cell is closed.', { responded: false })
    if (open.size >= limits.cellConnections)
      throw new CellFailure('full', `More than ${limits.cellConnections} requests at once in one cell.`, {
        responded: false,
      })
    const connection = connectCell(socketPath, owner, request.wantsUpgrade === true)
    open.add(connection)
    return connection
  }

  /** A kept connection may have been closed by the other side just now: the one retry that hides it. */
  async function retryStale(request: CellRequest, failure: unknown): Promise<Answer> {
    if (failure instanceof CellFailure && failure.stale && isRepeatable(request)) return dial(request).exchange(request)
    throw failure
  }

  return {
    get inFlight() {
      return open.size - idle.length
    },
    async request(given) {
      given.signal?.throwIfAborted()
      const ready = withSmallBody(given, limits.cellWholeBodyBytes)
      const request = ready instanceof Promise ? await ready : ready
      if (request.caller !== undefined) attendSoon()
      const kept = idle.at(-1)
      // What cannot be sent twice must not meet a connection that is just being closed.
      const isUsable = kept !== undefined && (kept.fresh || isRepeatable(request)) && request.wantsUpgrade !== true
      if (!isUsable) return dial(request).exchange(request)
      idle.pop()
      return kept.exchange(request).catch((failure: unknown) => retryStale(request, failure))
    },
    close() {
      closed = true
      clearTimeout(attending)
      for (const connection of open) connection.destroy()
    },
  }
}

/**
 * A small body leaves in one write with its head. workerd closes when a program answers before its request's body came, and
 * writing to what is closed would lose the answer that waits to be read.
 */
function withSmallBody(request: CellRequest, mostBytes: number): CellRequest | Promise<CellRequest> {
  const { body } = request
  if (body === null || body instanceof Uint8Array || request.wantsUpgrade === true) return request
  const length = declaredLength(request.headers)
  if (length === undefined || length > mostBytes) return request
  return collect(body, request)
}

async function collect(body: Readable, request: CellRequest): Promise<CellRequest> {
  const pieces: Buffer[] = []
  for await (const piece of body) {
    request.signal?.throwIfAborted()
    pieces.push(piece as Buffer)
  }
  return { ...request, body: Buffer.concat(pieces) }
}

/** May be sent twice: RFC 9110 §9.2.1 safe methods, with no body that is used up by the first time. */
export function isRepeatable(request: {
  readonly method: string
  readonly body: Readable | Uint8Array | null
  readonly wantsUpgrade?: boolean | undefined
}): boolean {
  const { method, body } = request
  return body === null && (method === 'GET' || method === 'HEAD' || method === 'OPTIONS')
}
