/**
 * Answers on a socket whose bytes never became a request.
 */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { HeaderList } from '#/core/exchange.ts'
import { clientGone } from './accepted.ts'
import type { Reply } from './reply.ts'

/** Sends one whole answer and closes; everything else is a cut. */
export class RawReply implements Reply {
  readonly #socket: Socket
  headSent = false

  constructor(socket: Socket) {
    this.#socket = socket
  }

  sendWhole(status: number, statusText: string | undefined, headers: HeaderList, body: Uint8Array | null): void {
    this.headSent = true
    let head = `HTTP/1.1 ${status} ${statusText ?? STATUS_CODES[status] ?? ''}\r\nConnection: close\r\n`
    for (let index = 0; index < headers.length; index += 2) head += `${headers[index]}: ${headers[index + 1]}\r\n`
    this.#socket.write(`${head}Date: ${new Date().toUTCString()}\r\n\r\n`)
    if (body !== null) this.#socket.write(body)
    this.#socket.destroySoon()
  }

  async sendStream(): Promise<number> {
    this.cut()
    throw clientGone()
  }

  async switchProtocols(): Promise<number> {
    this.cut()
    throw clientGone()
  }

  informational(): void {}
  closeAfter(): void {}

  cut(): void {
    this.#socket.destroy()
  }
}
