/**
 * Answers on connections that no library stands in front of: head and small body leave in one write.
 */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex, Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import type { HeaderList } from '#/core/exchange.ts'
import { clientGone } from './accepted.ts'
import { areFieldsSound } from './check-fields.ts'
import type { FastConnection } from './fast-http1.ts'
import { declaredLength } from './http1-reply.ts'
import { createJoiner, joinedBytes } from './join-bytes.ts'
import { pump, type Sink } from './pump.ts'
import type { Reply } from './reply.ts'

/** What ends every head, its empty line included. */
export interface HeadTail {
  readonly keep: string
  readonly close: string
  /** The value of the Date field. */
  date(): string
  /** One write for head and small body, where what is written is not encrypted. */
  readonly join: ReturnType<typeof createJoiner>
}

export function createHeadTail(date: () => string, keepAliveTimeoutMs: number): HeadTail {
  return {
    date,
    join: createJoiner(),
    keep: `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveTimeoutMs / 1000)}\r\n\r\n`,
    close: 'Connection: close\r\n\r\n',
  }
}

export class FastReply implements Reply {
  readonly #connection: FastConnection
  #closes: boolean
  #over = false
  headSent = false

  constructor(connection: FastConnection, closes: boolean) {
    this.#connection = connection
    this.#closes = closes
  }

  informational(status: number, headers: HeaderList): void {
    const { socket } = this.#connection
    if (this.headSent || this.#over || !socket.writable || !areFieldsSound(headers)) return
    socket.write(`${statusLine(status, undefined)}${fieldLines(headers)}\r\n`, 'latin1')
  }

  sendWhole(status: number, statusText: string | undefined, headers: HeaderList, body: Uint8Array | null): void {
    const head = this.#begin(status, statusText, headers, '')
    if (body === null) this.#connection.socket.write(head, 'latin1')
    else this.#write(head, body)
    this.#finish()
  }

  sendFixed(head: string, rest: string, body: Uint8Array): void {
    const { socket, tail } = this.#connection
    if (this.headSent || !socket.writable) throw clientGone()
    this.headSent = true
    this.#write(head + rest + (this.#closes ? tail.close : tail.keep), body)
    this.#finish()
  }

  #write(head: string, body: Uint8Array): void {
    const { socket, isEncrypted, tail } = this.#connection
    if (body.length > joinedBytes) {
      socket.cork()
      socket.write(head, 'latin1')
      socket.write(body)
      socket.uncork()
    } else if (isEncrypted) socket.write(head + latin1(body), 'latin1')
    else tail.join(socket, head, body)
  }

  async sendStream(
    status: number,
    statusText: string | undefined,
    headers: HeaderList,
    body: Readable,
  ): Promise<number> {
    const { socket, stallMs } = this.#connection
    const declared = declaredLength(headers)
    const framing = declared === undefined ? 'Transfer-Encoding: chunked\r\n' : ''
    const head = this.#begin(status, statusText, headers, framing)
    const target = new BodySink(socket, head, declared === undefined)
    // The head waits for the first bytes if they are there already, so that both leave in one packet.
    if (body.readableLength === 0) target.flushHead()
    const bytes = await pump(body, target, {
      declared,
      onStall: (stalled) => socket.setTimeout(stalled ? stallMs : 0),
    })
    this.#finish()
    return bytes
  }

  async switchProtocols(_headers: HeaderList, upgraded: Duplex): Promise<number> {
    upgraded.destroy()
    throw new EdgeError('program_exception', 'The request asked for no other protocol.')
  }

  closeAfter(): void {
    this.#closes = true
  }

  cut(): void {
    if (!this.#over) this.#connection.socket.destroy()
  }

  #begin(status: number, statusText: string | undefined, headers: HeaderList, framing: string): string {
    const { socket, tail } = this.#connection
    if (this.headSent || !socket.writable) throw clientGone()
    const date = hasDate(headers) ? '' : `Date: ${tail.date()}\r\n`
    const end = this.#closes ? tail.close : tail.keep
    const head = `${statusLine(status, statusText)}${fieldLines(headers)}${framing}${date}${end}`
    this.headSent = true
    return head
  }

  #finish(): void {
    this.#over = true
    this.#connection.answered(this.#closes)
  }
}

const statusLines = new Map<number, string>()

/** One line a status: at most 500 of them exist. */
function statusLine(status: number, text: string | undefined): string {
  if (text !== undefined) return `HTTP/1.1 ${status} ${text}\r\n`
  let line = statusLines.get(status)
  if (line === undefined) {
    line = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`
    statusLines.set(status, line)
  }
  return line
}

function fieldLines(headers: HeaderList): string {
  let lines = ''
  for (let index = 0; index < headers.length; index += 2) lines += `${headers[index]}: ${headers[index + 1]}\r\n`
  return lines
}

function hasDate(headers: HeaderList): boolean {
  for (let index = 0; index < headers.length; index += 2)
    if (headers[index]!.length === 4 && headers[index]!.toLowerCase() === 'date') return true
  return false
}

function latin1(bytes: Uint8Array): string {
  return Buffer.isBuffer(bytes)
    ? bytes.toString('latin1')
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}

/** A body on a socket: as it is, or in chunks (RFC 9112 §7.1). */
class BodySink implements Sink {
  readonly #socket: Socket
  readonly #chunked: boolean
  /** Not yet written. */
  #head: string

  constructor(socket: Socket, head: string, chunked: boolean) {
    this.#socket = socket
    this.#head = head
    this.#chunked = chunked
  }

  get destroyed(): boolean {
    return this.#socket.destroyed
  }

  flushHead(): void {
    if (this.#head !== '') this.#socket.write(this.#head, 'latin1')
    this.#head = ''
  }

  write(chunk: Uint8Array, sent?: () => void): boolean {
    const socket = this.#socket
    // An empty chunk would end the body.
    if (chunk.length === 0) return true
    const before = this.#chunked ? `${this.#head}${chunk.length.toString(16)}\r\n` : this.#head
    const after = this.#chunked ? '\r\n' : ''
    this.#head = ''
    if (chunk.length <= joinedBytes) return socket.write(before + latin1(chunk) + after, 'latin1')
    socket.cork()
    if (before !== '') socket.write(before, 'latin1')
    let flows = sent === undefined ? socket.write(chunk) : socket.write(chunk, sent)
    if (after !== '') flows = socket.write(after, 'latin1')
    socket.uncork()
    return flows
  }

  end(): void {
    const last = this.#chunked ? `${this.#head}0\r\n\r\n` : this.#head
    this.#head = ''
    if (last !== '') this.#socket.write(last, 'latin1')
  }

  on(event: 'drain' | 'close', listener: () => void): void {
    this.#socket.on(event, listener)
  }

  off(event: 'drain' | 'close', listener: () => void): void {
    this.#socket.off(event, listener)
  }
}
