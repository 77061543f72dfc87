/** One connection to a cell, one exchange at a time. `cell-client.ts` pools them. */
import { connect, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import type { Answer, HeaderList } from '#/core/exchange.ts'
import { createChunkShelf, lendFrom } from '#/core/lent-chunks.ts'
import { CellFailure } from './cell-failure.ts'
import type { CellRequest } from './cell-request.ts'
import { type ResponseEvents, type ResponseHead, ResponseParser, ResponseSyntaxError } from './response-parser.ts'
import { declaredLength, requestHead, sendBody } from './write-request.ts'

export interface ConnectionOwner {
  readonly headBytes: number
  onIdle(connection: CellConnection): void
  onClose(connection: CellConnection): void
}

/**
 * What all connections of this thread read into, one after the other: memory of its own for each read costs more than the
 * copy of what is kept of it. A client who reads slowly holds up to twice as much.
 */
const readBuffer = Buffer.allocUnsafeSlow(128 * 1024)
/** Pieces from here on are copied into memory that serves again: who keeps one keeps less than twice what it is. */
const lentBytes = readBuffer.length / 2
/** Of all answers: each has some that wait for a slow client. */
const shelf = createChunkShelf(readBuffer.length, 256)

/** For the one exchange that is to switch protocols, a connection whose socket others can read from. */
export function connectCell(path: string, owner: ConnectionOwner, isForUpgrade: boolean): CellConnection {
  if (isForUpgrade) return new CellConnection(connect({ path }), owner)
  let connection: CellConnection | undefined
  const callback = (length: number) => {
    connection!.received(readBuffer.subarray(0, length))
    return true
  }
  connection = new CellConnection(connect({ path, onread: { buffer: readBuffer, callback } }), owner)
  return connection
}

/** One request under way. A class and not a literal with closures: it is made for every request. */
class Exchange implements ResponseEvents {
  readonly connection: CellConnection
  readonly request: CellRequest
  readonly parser: ResponseParser
  readonly resolve: (answer: Answer) => void
  readonly reject: (reason: unknown) => void
  settled = false
  responded = false
  requestDone = false
  head: ResponseHead | undefined = undefined
  pieces: Buffer[] = []
  stream: Readable | undefined = undefined
  stopSending: (() => void) | undefined = undefined
  /** Looks of `attend` so far. */
  looks = 0
  stopListening: (() => void) | undefined = undefined

  constructor(
    connection: CellConnection,
    request: CellRequest,
    headBytes: number,
    resolve: (answer: Answer) => void,
    reject: (reason: unknown) => void,
  ) {
    this.connection = connection
    this.request = request
    this.parser = new ResponseParser(this, request.method, headBytes)
    this.resolve = resolve
    this.reject = reject
  }

  onHead(head: ResponseHead): void {
    this.head = head
  }

  onInformational(status: number, headers: HeaderList): void {
    this.request.onInformational?.(status, headers)
  }

  onData(bytes: Buffer): void {
    if (this.stream === undefined) this.pieces.push(Buffer.from(bytes))
    else if (!this.stream.push(keep(bytes))) this.connection.pause()
  }

  onEnd(): void {
    this.stream?.push(null)
  }
}

/** What is read next overwrites `bytes`. */
function keep(bytes: Buffer): Buffer {
  if (bytes.length < lentBytes) return Buffer.from(bytes)
  const chunk = shelf.take()
  return chunk.subarray(0, bytes.copy(chunk))
}

const surelyOpenMs = 1_000

export class CellConnection {
  readonly #socket: Socket
  readonly #owner: ConnectionOwner
  #current: Exchange | undefined
  #uses = 0
  #idleSince = 0
  #error: Error | undefined
  readonly #onData = (chunk: Buffer) => this.received(chunk)
  readonly #onEnd = () => this.#ended()
  readonly #onClosed = () => this.#closed()

  constructor(socket: Socket, owner: ConnectionOwner) {
    this.#socket = socket
    this.#owner = owner
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('close', this.#onClosed)
    socket.on('error', (error) => {
      this.#error = error
    })
  }

  exchange(request: CellRequest): Promise<Answer> {
    this.#uses++
    return new Promise<Answer>((resolve, reject) => {
      const exchange = new Exchange(this, request, this.#owner.headBytes, resolve, reject)
      this.#current = exchange
      if (request.signal !== undefined) this.#listen(exchange, request.signal)
      try {
        this.#send(exchange)
      } catch (error) {
        this.#fail(error)
      }
    })
  }

  /** Rested so short a time that workerd, which closes idle connections after seconds, has not closed it. */
  get fresh(): boolean {
    return performance.now() - this.#idleSince < surelyOpenMs
  }

  destroy(): void {
    this.#socket.destroy()
  }

  pause(): void {
    this.#socket.pause()
  }

  /**
   * To be called from time to time: an exchange that is seen twice gets a listener for the caller's leaving. Making a signal
   * and listening to it costs several microseconds, which the many short exchanges are spared.
   */
  attend(): void {
    const exchange = this.#current
    if (exchange === undefined || ++exchange.looks !== 2) return
    const signal = exchange.request.caller?.signal
    if (signal === undefined) return
    if (signal.aborted) this.#fail(signal.reason)
    else this.#listen(exchange, signal)
  }

  #listen(exchange: Exchange, signal: AbortSignal): void {
    const onAbort = () => this.#fail(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    exchange.stopListening = () => signal.removeEventListener('abort', onAbort)
  }

  #send(exchange: Exchange): void {
    const { request } = exchange
    const { body } = request
    if (body === null || body instanceof Uint8Array) {
      const head = requestHead(request, body === null ? undefined : body.length)
      exchange.requestDone = true
      if (body === null || body.length === 0) this.#socket.write(head, 'latin1')
      else {
        this.#socket.cork()
        this.#socket.write(head, 'latin1')
        this.#socket.write(body)
        this.#socket.uncork()
      }
      return
    }
    const declared = declaredLength(request.headers)
    this.#socket.write(requestHead(request, declared), 'latin1')
    exchange.stopSending = sendBody(body, this.#socket, declared === undefined, (error) => {
      if (error !== undefined) return void this.#fail(error)
      exchange.requestDone = true
      if (exchange.parser.done) this.#finish(exchange)
    })
  }

  /** `chunk` is the caller's again when this returns. */
  received(chunk: Buffer): void {
    const exchange = this.#current
    // Bytes that nobody asked for: the connection cannot be trusted any more.
    if (exchange === undefined) return void this.#socket.destroy()
    exchange.responded = true
    try {
      exchange.parser.push(chunk)
    } catch (error) {
      return void this.#fail(error)
    }
    this.#progress(exchange)
  }

  /** After each chunk: hand over the head with what is there of the body, and let the connection go at the end. */
  #progress(exchange: Exchange): void {
    const { head, parser } = exchange
    if (head !== undefined && !exchange.settled) {
      exchange.settled = true
      if (head.status === 101) {
        this.#upgrade(exchange, head)
        return
      }
      const { status, statusText, headers } = head
      exchange.resolve({
        status,
        statusText,
        headers,
        body: parser.done ? whole(exchange.pieces) : this.#stream(exchange),
      })
    }
    if (parser.done) this.#finish(exchange)
  }

  #stream(exchange: Exchange): Readable {
    const stream = new Readable({
      read: () => {
        if (this.#current === exchange) this.#socket.resume()
      },
      destroy: (error, callback) => {
        if (this.#current === exchange) this.#socket.destroy()
        callback(error)
      },
    })
    exchange.stream = stream
    lendFrom(stream, shelf)
    for (const piece of exchange.pieces) stream.push(piece)
    exchange.pieces = []
    return stream
  }

  #upgrade(exchange: Exchange, head: ResponseHead): void {
    this.#release(exchange)
    const socket = this.#socket
    socket.off('data', this.#onData)
    socket.off('end', this.#onEnd)
    socket.pause()
    // As new: neither paused nor flowing, so that the next owner may pipe it or just listen for data.
    Object.assign(socket, { readableFlowing: null })
    if (exchange.parser.rest !== undefined) socket.unshift(exchange.parser.rest)
    exchange.resolve({ status: 101, statusText: head.statusText, headers: head.headers, body: null, upgraded: socket })
  }

  #finish(exchange: Exchange): void {
    if (this.#current !== exchange) return
    this.#release(exchange)
    const clean = exchange.requestDone && exchange.head!.keepAlive && exchange.parser.rest === undefined
    // workerd closes, without saying so, after a request whose body the program did not read to its end.
    const { body, isBodyRead = body === null } = exchange.request
    if (!clean || !isBodyRead) return void this.#socket.destroy()
    this.#socket.resume()
    this.#idleSince = performance.now()
    this.#owner.onIdle(this)
  }

  #release(exchange: Exchange): void {
    this.#current = undefined
    exchange.stopListening?.()
    if (!exchange.requestDone) exchange.stopSending?.()
  }

  #fail(reason: unknown): void {
    const exchange = this.#current
    if (exchange === undefined) return
    this.#release(exchange)
    this.#socket.destroy()
    const failure =
      reason instanceof ResponseSyntaxError
        ? new CellFailure('protocol', `The cell answered wrongly: ${reason.message}.`, {
            responded: true,
            cause: reason,
          })
        : reason
    if (!exchange.settled) exchange.reject(failure)
    else exchange.stream?.destroy(failure instanceof Error ? failure : new Error('aborted', { cause: failure }))
  }

  #ended(): void {
    const exchange = this.#current
    if (exchange === undefined) return
    try {
      exchange.parser.close()
    } catch {
      return // `close` follows and says why.
    }
    this.#progress(exchange)
  }

  #closed(): void {
    this.#owner.onClose(this)
    const exchange = this.#current
    if (exchange === undefined) return
    const { responded } = exchange
    const connected = this.#error === undefined || !/^connect /.test(this.#error.message)
    const stale = this.#uses > 1 && !responded
    this.#fail(
      new CellFailure(connected ? 'closed' : 'connect', 'The cell closed the connection before it had answered.', {
        responded,
        stale,
        cause: this.#error,
      }),
    )
  }
}

function whole(pieces: readonly Buffer[]): Uint8Array | null {
  if (pieces.length === 0) return null
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
}
