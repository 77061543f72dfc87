/** A kept-alive connection on a raw socket that times each exchange by itself, one after the other. */
import { connect } from 'node:net'
import { responseLength } from './response-length.ts'

export interface Exchange {
  readonly status: number
  readonly body: string
  /** `performance.now()` when it was sent, when the first byte came and when the last. */
  readonly sentAt: number
  readonly firstByteAt: number
  readonly doneAt: number
}

export interface Asked {
  readonly path: string
  readonly method?: string
  readonly fields?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface KeptConnection {
  /** Rejects when the connection breaks. Not to be called before the exchange before has ended. */
  ask(asked: Asked): Promise<Exchange>
  close(): void
}

/** An exchange in which nothing comes for so long has failed. */
const silenceMs = 10_000

/** `authority` goes into the Host field. Rejects when nothing listens. */
export async function openConnection(host: string, port: number, authority: string): Promise<KeptConnection> {
  const socket = connect(port, host).setNoDelay(true).setEncoding('latin1')
  const opened = Promise.withResolvers<void>()
  let waiting: PromiseWithResolvers<Exchange> | undefined
  let text = ''
  let sentAt = 0
  let firstByteAt = 0
  let broken: Error | undefined

  function fail(error: Error): void {
    broken ??= error
    opened.reject(error)
    waiting?.reject(error)
    waiting = undefined
  }

  socket.on('connect', () => opened.resolve())
  socket.on('error', fail)
  socket.on('close', () => fail(new Error(`${host}:${port} closed the connection.`)))
  socket.on('timeout', () => socket.destroy(new Error(`${host}:${port} said nothing for ${silenceMs / 1000} s.`)))
  socket.on('data', (chunk) => {
    if (text === '') firstByteAt = performance.now()
    text += chunk
    const length = responseLength(text)
    if (length === undefined || waiting === undefined) return
    const whole = text.slice(0, length)
    text = text.slice(length)
    const body = whole.slice(whole.indexOf('\r\n\r\n') + 4)
    const { resolve } = waiting
    waiting = undefined
    socket.setTimeout(0)
    resolve({ status: Number(whole.slice(9, 12)), body, sentAt, firstByteAt, doneAt: performance.now() })
  })
  await opened.promise

  return {
    ask({ path, method = 'GET', fields = {}, body }) {
      if (broken !== undefined) return Promise.reject(broken)
      waiting = Promise.withResolvers<Exchange>()
      socket.setTimeout(silenceMs)
      const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
      const length = body === undefined ? '' : `Content-Length: ${Buffer.byteLength(body)}\r\n`
      const head = `${method} ${path} HTTP/1.1\r\nHost: ${authority}\r\n${lines.join('')}${length}\r\n`
      sentAt = performance.now()
      socket.write(head + (body ?? ''))
      return waiting.promise
    },
    close() {
      socket.destroy()
    },
  }
}

/** Several connections, opened at the same time. */
export function openConnections(
  count: number,
  { host, port, authority }: { readonly host: string; readonly port: number; readonly authority: string },
): Promise<KeptConnection[]> {
  return Promise.all(Array.from({ length: count }, () => openConnection(host, port, authority)))
}
