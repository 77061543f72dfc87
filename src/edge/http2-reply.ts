/**
 * Answers on HTTP/2 streams, through the stream API of node:http2 (its compatibility API costs twice as much).
 */
import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { Duplex, Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import type { HeaderList } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import { clientGone } from './accepted.ts'
import { declaredLength } from './http1-reply.ts'
import { pump } from './pump.ts'
import type { Reply, Trailers } from './reply.ts'

export class Http2Reply implements Reply {
  readonly #stream: ServerHttp2Stream
  readonly #limits: Limits
  #closeAfter = false

  constructor(stream: ServerHttp2Stream, limits: Limits) {
    this.#stream = stream
    this.#limits = limits
  }

  get headSent(): boolean {
    return this.#stream.headersSent
  }

  informational(status: number, headers: HeaderList): void {
    if (this.#stream.headersSent || this.#stream.destroyed || this.#stream.closed) return
    this.#stream.additionalHeaders({ ':status': status, ...toFields(headers) })
  }

  sendWhole(status: number, _statusText: string | undefined, headers: HeaderList, body: Uint8Array | null): void {
    const stream = this.#stream
    this.#respond(status, headers, body === null)
    if (body !== null && stream.writable) stream.end(body)
    this.#finish()
  }

  async sendStream(
    status: number,
    _statusText: string | undefined,
    headers: HeaderList,
    body: Readable,
    trailers?: Trailers,
  ): Promise<number> {
    const stream = this.#stream
    let fields: HeaderList = []
    // Node asks for them behind the last byte of every answer of which it was said that it may have some.
    if (trailers === 'send') stream.once('wantTrailers', () => stream.sendTrailers(toFields(fields)))
    this.#respond(status, headers, false, trailers === 'send')
    const onTimeout = () => this.cut()
    stream.on('timeout', onTimeout)
    const bytes = await pump(body, stream, {
      declared: declaredLength(headers),
      onTrailers: (list) => {
        fields = list
      },
      onStall: (stalled) => {
        if (!stream.destroyed) stream.setTimeout(stalled ? this.#limits.responseIdleTimeoutMs : 0)
      },
    })
    this.#finish()
    return bytes
  }

  async switchProtocols(_headers: HeaderList, upgraded: Duplex): Promise<number> {
    upgraded.destroy()
    throw new EdgeError('program_exception', 'HTTP/2 has no 101 (RFC 9113 §8.6).')
  }

  closeAfter(): void {
    this.#closeAfter = true
  }

  cut(): void {
    this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR)
  }

  #respond(status: number, headers: HeaderList, endStream: boolean, waitForTrailers = false): void {
    const stream = this.#stream
    if (stream.destroyed || stream.closed) throw clientGone()
    for (let index = 0; index < headers.length; index += 2) headers[index] = headers[index]!.toLowerCase()
    headers.unshift(':status', status as unknown as string)
    stream.respond(headers as unknown as OutgoingHttpHeaders, { endStream, waitForTrailers })
  }

  /** RFC 9113 §8.1: a server that has answered and wants no more of the body resets the stream without an error. */
  #finish(): void {
    if (this.#closeAfter && !this.#stream.readableEnded) this.#stream.close(constants.NGHTTP2_NO_ERROR)
  }
}

function toFields(headers: HeaderList): OutgoingHttpHeaders {
  const fields: OutgoingHttpHeaders = {}
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!.toLowerCase()
    const before = fields[name]
    fields[name] = before === undefined ? headers[index + 1]! : `${before}, ${headers[index + 1]}`
  }
  return fields
}
