/**
 * HTTP/1 for plain requests, on the socket itself: half the CPU of node:http. What is not plain goes to node:http with
 * the connection and all its unread bytes, before anything of it was answered, and never comes back.
 */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { AcceptedExchange, abandon, type Connection } from './accepted.ts'
import { createHeadTail, FastReply, type HeadTail } from './fast-reply.ts'
import type { Front } from './front.ts'
import { InPlaceSocket } from './read-in-place.ts'
import { type FieldsMemo, type ScannedHead, scanHead } from './scan-head.ts'

export interface FastHttp1 {
  /** Serves a socket of which nothing was read, or whose first bytes were put back. */
  adopt(socket: Socket, connection: Connection): void
  close(): void
}

/** `http1` is node:http's server, for what is not plain. */
export function createFastHttp1(front: Front, http1: Server): FastHttp1 {
  const { limits } = front
  const open = new Set<FastConnection>()
  const tail = createHeadTail(front.httpDate, limits.keepAliveTimeoutMs)
  const shared: Shared = { front, http1, open, tail }

  function sweep(): void {
    const now = performance.now()
    for (const one of open) one.endIfIdle(now)
  }

  const shortest = Math.min(limits.headersTimeoutMs, limits.keepAliveTimeoutMs)
  const timer = setInterval(sweep, Math.max(10, Math.min(1_000, shortest / 4))).unref()
  return {
    adopt(socket, connection) {
      open.add(new FastConnection(socket, connection, shared))
    },
    close: () => clearInterval(timer),
  }
}

interface Shared {
  readonly front: Front
  readonly http1: Server
  readonly open: Set<FastConnection>
  readonly tail: HeadTail
}

/**
 * One request at a time: pipelined ones wait as bytes, no more than one head may have, then the socket is not read.
 * A class, because its state lives as long as the connection and its requests share its functions.
 */
export class FastConnection {
  readonly socket: Socket
  readonly tail: HeadTail
  readonly stallMs: number
  readonly isEncrypted: boolean
  readonly #connection: Connection
  readonly #shared: Shared
  readonly #memo: FieldsMemo = { text: '', fields: undefined }
  /** Bytes that are no request yet, as Latin-1. */
  #text = ''
  #busy = false
  #ending = false
  #spoke = false
  /** `#advance` is on the stack: it goes on with the next request itself. */
  #advancing = false
  #lastActive = performance.now()

  constructor(socket: Socket, connection: Connection, shared: Shared) {
    this.socket = socket
    this.tail = shared.tail
    this.stallMs = shared.front.limits.responseIdleTimeoutMs
    this.isEncrypted = connection.scheme === 'https'
    this.#connection = connection
    this.#shared = shared
    socket.on('data', this.#onData)
    if (socket instanceof InPlaceSocket) socket.onBytes = this.#onData
    socket.on('end', this.#onEnd)
    socket.on('drain', this.#onDrain)
    socket.on('timeout', this.#onTimeout)
    socket.on('close', this.#onClose)
    socket.resume()
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#text += chunk.toString('latin1')
    this.#spoke = true
    if (!this.#busy) this.#advance()
    else if (this.#text.length > this.#shared.front.limits.headerBytes) this.socket.pause()
  }

  /** A client that ends its side has left, as node:http sees it: most that do are gone altogether. */
  readonly #onEnd = (): void => {
    this.#ending = true
    abandon(this.#connection)
    this.socket.destroySoon()
  }

  readonly #onDrain = (): void => {
    if (this.#busy) return
    this.socket.setTimeout(0)
    this.#lastActive = performance.now()
    this.#advance()
  }

  readonly #onTimeout = (): void => {
    this.socket.destroy()
  }

  readonly #onClose = (): void => {
    this.#shared.open.delete(this)
  }

  /** Takes requests from the bytes until one is under way, or none is left, or the client does not read. */
  readonly #advance = (): void => {
    this.#advancing = true
    const goesOn = this.#takeRequests()
    this.#advancing = false
    if (goesOn && !this.#busy && this.socket.isPaused()) this.socket.resume()
  }

  /** False where the socket is to stay as it is: handed over, or paused until it drains. */
  #takeRequests(): boolean {
    while (this.#text !== '' && !this.#busy && !this.#ending) {
      if (this.socket.writableNeedDrain) {
        this.socket.pause()
        return false
      }
      const head = scanHead(this.#text, this.#shared.front.limits, this.#memo)
      if (head === undefined) {
        this.#handOver()
        return false
      }
      this.#text = head.length === this.#text.length ? '' : this.#text.slice(head.length)
      this.#accept(head)
    }
    return true
  }

  #accept(head: ScannedHead): void {
    const { front } = this.#shared
    const startedTick = performance.now()
    this.#busy = true
    this.#lastActive = startedTick
    const exchange = new AcceptedExchange(this.#connection, {
      startedAt: front.clock(),
      startedTick,
      method: head.method,
      httpVersion: '1.1',
      headers: head.headers,
      head,
      body: null,
    })
    this.#connection.live.push(exchange)
    front.serve(exchange, new FastReply(this, head.closes))
  }

  /** Called by the reply when its last byte is written, with whether the connection is to end. */
  answered(closes: boolean): void {
    this.#busy = false
    this.#lastActive = performance.now()
    if (closes) {
      this.#ending = true
      this.#text = ''
      this.socket.destroySoon()
      return
    }
    if (this.socket.writableNeedDrain) this.socket.setTimeout(this.stallMs)
    // Not at once: the exchange that was just answered is still to be recorded.
    if (this.#advancing) return
    if (this.#text !== '' || this.socket.isPaused()) process.nextTick(this.#advance)
  }

  /** node:http gets the socket as if it were new, the unread bytes first. */
  #handOver(): void {
    const { socket } = this
    this.#shared.open.delete(this)
    socket.off('data', this.#onData)
    if (socket instanceof InPlaceSocket) socket.onBytes = undefined
    socket.off('end', this.#onEnd)
    socket.off('drain', this.#onDrain)
    socket.off('timeout', this.#onTimeout)
    socket.off('close', this.#onClose)
    socket.setTimeout(0)
    socket.pause()
    socket.unshift(Buffer.from(this.#text, 'latin1'))
    this.#text = ''
    this.#shared.http1.emit('connection', socket)
    socket.resume()
  }

  endIfIdle(now: number): void {
    const { headersTimeoutMs, keepAliveTimeoutMs } = this.#shared.front.limits
    const patience = this.#spoke ? keepAliveTimeoutMs : headersTimeoutMs
    if (!this.#busy && !this.socket.writableNeedDrain && now - this.#lastActive > patience) this.socket.destroy()
  }
}
