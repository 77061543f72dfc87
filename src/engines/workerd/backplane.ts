/**
 * What a cell may ask of us: an HTTP server on a unix socket in the cell's folder. Each request says in
 * `rimward-kind` and `rimward-id` what it is about; those two are written by the configuration or by the host, never by
 * a program.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { toEdgeError } from '#/core/errors.ts'
import type { Answer, HeaderList } from '#/core/exchange.ts'
import { sendAnswer, sendUpgrade } from './send-answer.ts'

export interface BackplaneRequest {
  readonly id: string
  readonly method: string
  /** The `host` field, lower case, without port. */
  readonly host: string
  /** Origin-form, or the whole URL for `egress` and `cache`. */
  readonly url: string
  /** End-to-end fields without our own. */
  readonly headers: HeaderList
  /** Serialized `cf` of a program's `fetch(url, { cf })`; '' where there is none. workerd writes it. */
  readonly cf: string
  readonly body: IncomingMessage | null
  readonly wantsUpgrade: boolean
  readonly signal: AbortSignal
}

export type BackplaneHandler = (request: BackplaneRequest) => Promise<Answer>

export interface Backplane {
  close(): void
}

/** Not listening yet; `handlers` by kind. An unknown kind answers 400. */
export function createBackplaneServer(handlers: Readonly<Record<string, BackplaneHandler>>): Server {
  const server = createServer({
    keepAliveTimeout: 0,
    requestTimeout: 0,
    headersTimeout: 0,
    requireHostHeader: false,
    maxHeaderSize: 256 * 1024,
  })
  async function answerTo(request: IncomingMessage, signal: AbortSignal, wantsUpgrade: boolean): Promise<Answer> {
    const { kind, id, host, cf, hasBody, headers } = readFields(request.rawHeaders)
    const handler = Object.hasOwn(handlers, kind) ? handlers[kind] : undefined
    if (handler === undefined) return textAnswer(400, 'unknown kind')
    const { method = 'GET', url = '/' } = request
    return handler({
      id,
      method,
      host: host.toLowerCase().replace(/:\d+$/, ''),
      url,
      headers,
      cf,
      body: hasBody ? request : null,
      wantsUpgrade,
      signal,
    })
  }
  server.on('request', (request, response: ServerResponse) => {
    const left = new AbortController()
    response.on('close', () => {
      if (!response.writableFinished) left.abort()
    })
    answerTo(request, left.signal, false)
      .then((answer) => sendAnswer(response, answer))
      .catch((error: unknown) => fail(response, error))
  })
  server.on('upgrade', (request, socket: Duplex, head: Buffer) => {
    const left = new AbortController()
    socket.on('error', () => {})
    socket.on('close', () => left.abort())
    answerTo(request, left.signal, true)
      .then((answer) => sendUpgrade(socket, head, answer))
      .catch(() => socket.destroy())
  })
  return server
}

/** Listens on `socketPath`. */
export async function createBackplane(
  socketPath: string,
  handlers: Readonly<Record<string, BackplaneHandler>>,
): Promise<Backplane> {
  const server = createBackplaneServer(handlers)
  server.listen(socketPath)
  await once(server, 'listening')
  return {
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** A failure of the network is a broken connection to the program; the rest is an answer with its number. */
function fail(response: ServerResponse, thrown: unknown): void {
  if (response.headersSent) return void response.destroy()
  const error = toEdgeError(thrown)
  if (['origin_refused', 'origin_timeout', 'origin_failed', 'client_gone'].includes(error.code))
    return void response.destroy()
  const number = error.row.number ?? (error.code === 'egress_refused' ? 1003 : undefined)
  const text = number === undefined ? error.message : `error code: ${number}`
  sendAnswer(response, textAnswer(error.row.status, text))
}

/** A short answer in plain text. */
export function textAnswer(status: number, text: string): Answer {
  const body = Buffer.from(text)
  return { status, headers: ['content-type', 'text/plain;charset=UTF-8', 'content-length', String(body.length)], body }
}

interface Fields {
  readonly kind: string
  readonly id: string
  readonly host: string
  readonly cf: string
  readonly hasBody: boolean
  /** The others that are end-to-end. */
  readonly headers: HeaderList
}

/** A field of ours that came twice is joined, and means nothing then. */
function readFields(raw: readonly string[]): Fields {
  const headers: HeaderList = []
  let kind: string | undefined
  let id: string | undefined
  let cf: string | undefined
  let host: string | undefined
  let hasBody = false
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index]!
    const value = raw[index + 1]!
    switch (name.toLowerCase()) {
      case 'rimward-kind':
        kind = joined(kind, value)
        break
      case 'rimward-id':
        id = joined(id, value)
        break
      case 'rimward-cf':
        cf = joined(cf, value)
        break
      case 'host':
        host ??= value
        break
      case 'transfer-encoding':
        hasBody = true
        break
      case 'content-length':
        hasBody = true
        headers.push(name, value)
        break
      case 'rimward-ticket':
      case 'connection':
      case 'upgrade':
      case 'keep-alive':
      case 'te':
      case 'trailer':
      case 'proxy-connection':
        break
      default:
        headers.push(name, value)
    }
  }
  return { kind: kind ?? '', id: id ?? '', host: host ?? '', cf: cf ?? '', hasBody, headers }
}

const joined = (before: string | undefined, value: string) => (before === undefined ? value : `${before}, ${value}`)
