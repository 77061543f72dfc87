/**
 * Answers on HTTP/1 connections, through node:http.
 */
import type { ServerResponse } from 'node:http'
import type { Duplex, Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import type { HeaderList } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import { type Connection, clientGone } from './accepted.ts'
import { joinWebSocket } from './join-websocket.ts'
import { endAndLinger } from './linger.ts'
import { pump } from './pump.ts'
import type { Reply, Trailers } from './reply.ts'

/**
 * Node joins head and body into one write only when both are strings; two buffers leave by `writev`, which costs
 * twice as much (measured with wrk, hello world, 32 connections). Latin-1 maps bytes to characters one to one.
 */
const oneWriteBytes = 8 * 1024

/** What a request that asked for another protocol leaves behind. */
export interface Upgrade {
  readonly connection: Connection
  /** Bytes that came behind the request. */
  readonly head: Buffer
}

export class Http1Reply implements Reply {
  readonly #response: ServerResponse
  readonly #limits: Limits
  readonly #upgrade: Upgrade | undefined

  constructor(response: ServerResponse, limits: Limits, upgrade?: Upgrade) {
    this.#response = response
    this.#limits = limits
    this.#upgrade = upgrade
  }

  get headSent(): boolean {
    return this.#response.headersSent
  }

  informational(status: number, headers: HeaderList): void {
    const response = this.#response
    const socket = response.socket
    // A queued (pipelined) answer has no socket yet; an interim answer is advice and may be dropped.
    if (socket === null || response.headersSent || response.req.httpVersionMinor === 0) return
    response.writeInformation(status, headers)
  }

  sendWhole(status: number, statusText: string | undefined, headers: HeaderList, body: Uint8Array | null): void {
    const response = this.#response
    if (response.destroyed) throw clientGone()
    if (statusText === undefined) response.writeHead(status, headers)
    else response.writeHead(status, statusText, headers)
    if (body === null) response.end()
    else if (body.length <= oneWriteBytes)
      response.end(Buffer.from(body.buffer, body.byteOffset, body.length).toString('latin1'), 'latin1')
    else response.end(body)
    if (response.socket !== null && response.socket.writableLength > 0)
      response.socket.setTimeout(this.#limits.responseIdleTimeoutMs)
  }

  async sendStream(
    status: number,
    statusText: string | undefined,
    headers: HeaderList,
    body: Readable,
    trailers?: Trailers,
  ): Promise<number> {
    const response = this.#response
    if (response.destroyed) throw clientGone()
    if (statusText === undefined) response.writeHead(status, headers)
    else response.writeHead(status, statusText, headers)
    // The head waits for the first bytes if they are there already, so that both leave in one packet.
    if (body.readableLength === 0) response.flushHeaders()
    const declared = declaredLength(headers)
    return pump(body, response, {
      declared,
      onTrailers:
        trailers === 'send' && declared === undefined ? (fields) => response.addTrailers(pairs(fields)) : undefined,
      onStall: (stalled) => response.socket?.setTimeout(stalled ? this.#limits.responseIdleTimeoutMs : 0),
    })
  }

  async switchProtocols(headers: HeaderList, upgraded: Duplex): Promise<number> {
    const socket = this.#response.socket
    if (socket === null || this.#upgrade === undefined || socket.destroyed) {
      upgraded.destroy()
      throw new EdgeError('client_gone', 'The client is no longer there to switch protocols.')
    }
    this.#response.detachSocket(socket)
    let head = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
    for (let index = 0; index < headers.length; index += 2) {
      const field = `${headers[index]}: ${headers[index + 1]}`
      if (/[\r\n\0]/.test(field)) throw new EdgeError('program_exception', 'The answer has a malformed header field.')
      head += `${field}\r\n`
    }
    socket.write(`${head}\r\n`, 'latin1')
    const { head: early, connection } = this.#upgrade
    if (early.length > 0) socket.unshift(early)
    socket.setTimeout(0)
    return joinWebSocket(socket, upgraded, connection)
  }

  closeAfter(): void {
    const { req } = this.#response
    this.#response.shouldKeepAlive = false
    // Node closes by `destroySoon` once the answer is out.
    if (!req.complete) req.socket.destroySoon = () => endAndLinger(req.socket, this.#limits.lingerMs)
  }

  cut(): void {
    const { socket } = this.#response
    if (socket === null) this.#response.req.socket.destroy()
    else socket.destroy()
  }
}

function pairs(fields: HeaderList): [string, string][] {
  const list: [string, string][] = []
  for (let index = 0; index < fields.length; index += 2) list.push([fields[index]!, fields[index + 1]!])
  return list
}

export function declaredLength(headers: HeaderList): number | undefined {
  for (let index = 0; index < headers.length; index += 2)
    if (headers[index]!.length === 14 && headers[index]!.toLowerCase() === 'content-length')
      return Number(headers[index + 1])
  return undefined
}
