/** One viewer's WebSocket: frames in and out, overload, and how it ends. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Limits } from '#/core/limits.ts'
import type { Trace } from '#/core/traces.ts'
import type { Clock } from '#/core/units.ts'
import {
  acceptKey,
  closeFrame,
  createFrameReader,
  type Incoming,
  opcodes,
  writeFrame,
} from '#/http/websocket-frames.ts'

/** The subprotocol of tails. */
export const traceProtocol = 'trace-v1'

/** Why a request cannot become a WebSocket (RFC 6455 §4.2.1), with the status to say so. */
export function handshakeFault(
  request: IncomingMessage,
): { readonly status: number; readonly message: string } | undefined {
  const { headers, method } = request
  if (method !== 'GET' || headers.upgrade?.toLowerCase() !== 'websocket')
    return { status: 400, message: 'This address only speaks WebSocket.' }
  if (headers['sec-websocket-version'] !== '13')
    return { status: 426, message: 'Only version 13 of the WebSocket protocol is supported.' }
  if (!/^[A-Za-z0-9+/]{22}==$/.test(headers['sec-websocket-key'] ?? ''))
    return { status: 400, message: 'Sec-WebSocket-Key is missing or malformed.' }
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
  if (!offered.includes(traceProtocol)) return { status: 400, message: `The subprotocol must be ${traceProtocol}.` }
  return undefined
}

export interface TailConnection {
  send(trace: Trace): void
  /** Counts traces that were dropped before they came here. */
  dropped(count: number): void
  /** Ends with a close frame; the connection goes when the other side answered or stays silent. */
  close(code: number, reason: string): void
}

interface Options {
  readonly program: string
  readonly limits: Pick<Limits, 'tailBufferBytes' | 'tailMessageBytes' | 'tailIdleMs'>
  readonly clock: Clock
  /** Called once, however it ends. */
  readonly onEnd: () => void
}

/** What the viewer's own messages may say: wrangler's `{"debug": false}`. */
function messageFault(text: string): string | undefined {
  try {
    const { debug, ...rest } = JSON.parse(text) as Record<string, unknown>
    const unknown = Object.keys(rest)[0]
    if (unknown !== undefined) return `'${unknown}' is not supported`
    return debug === false || debug === undefined ? undefined : "'debug' is not supported"
  } catch {
    return 'messages must be JSON'
  }
}

/** Answers the handshake (`handshakeFault` was asked before) and serves the connection. */
export function openTailConnection(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  options: Options,
): TailConnection {
  const { program, limits, clock, onEnd } = options
  const reader = createFrameReader({ maxBytes: limits.tailMessageBytes })
  let closing = false
  let missed = 0
  let pinged = false

  function item(event: unknown): Buffer {
    const message = { scriptName: program, outcome: 'ok', eventTimestamp: clock(), event, logs: [], exceptions: [] }
    return writeFrame(opcodes.text, Buffer.from(JSON.stringify(message)))
  }

  function close(code: number, reason: string): void {
    if (closing) return
    closing = true
    socket.end(closeFrame(code, reason))
  }

  /** The viewer is told when traces begin to be dropped, and how many were when it keeps up again. */
  function drop(count: number): void {
    if (missed === 0 && !closing)
      socket.write(item({ type: 'overload', message: 'Too many messages: some are dropped until this tail keeps up.' }))
    missed += count
  }

  function recover(): void {
    if (missed === 0 || closing) return
    socket.write(item({ type: 'overload-stop', message: `This tail keeps up again; ${missed} messages were dropped.` }))
    missed = 0
  }

  function handle(incoming: Incoming): void {
    if (incoming.kind === 'ping' && !closing) socket.write(writeFrame(opcodes.pong, incoming.payload))
    if (incoming.kind === 'close') close(incoming.code === 1005 ? 1000 : incoming.code, '')
    if (incoming.kind === 'violation') close(incoming.code, incoming.why)
    if (incoming.kind === 'binary') close(1003, 'only text messages are taken')
    if (incoming.kind !== 'text') return
    const fault = messageFault(incoming.text)
    if (fault !== undefined) close(1008, fault)
  }

  function receive(chunk: Buffer): void {
    pinged = false
    for (const incoming of reader.push(chunk)) handle(incoming)
  }

  request.socket.setTimeout(limits.tailIdleMs)
  request.socket.on('timeout', () => {
    if (pinged || closing) socket.destroy()
    else socket.write(writeFrame(opcodes.ping, new Uint8Array(0)))
    pinged = true
  })
  socket.on('data', receive)
  socket.on('drain', recover)
  socket.on('error', () => socket.destroy())
  socket.on('end', () => socket.end())
  socket.on('close', onEnd)
  socket.write(
    [
      'HTTP/1.1 101 Switching Protocols',
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Accept: ${acceptKey(request.headers['sec-websocket-key']!)}`,
      `Sec-WebSocket-Protocol: ${traceProtocol}`,
      '\r\n',
    ].join('\r\n'),
  )
  if (head.length > 0) receive(head)

  return {
    send(trace) {
      if (closing) return
      if (socket.writableLength > limits.tailBufferBytes) drop(1)
      else socket.write(writeFrame(opcodes.text, Buffer.from(JSON.stringify(trace))))
    },
    dropped(count) {
      drop(count)
      // Dropped before this connection: nothing waits in it whose end could be awaited.
      if (socket.writableLength === 0) recover()
    },
    close,
  }
}
