/**
 * An HTTP/2 client that speaks in frames, and an edge that reads them by our own framing.
 */
import { connect, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { hello, type Started, type StartOptions, startEdge, textOf } from './edge.fixture.ts'

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
export const data = 0
export const headers = 1
export const priority = 2
export const reset = 3
export const settings = 4
export const push = 5
export const ping = 6
export const goaway = 7
export const window = 8
export const continuation = 9
export const endStream = 1
export const endHeaders = 4
export const both = 5
export const padded = 8

export function frame(type: number, flags: number, stream: number, payload: Buffer | readonly number[] = []): Buffer {
  const bytes = Buffer.from(payload)
  const head = Buffer.alloc(9)
  head.writeUIntBE(bytes.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, bytes])
}

export function literal(name: string, value: string): Buffer {
  const bytes = [
    Buffer.from([0x00, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value, 'latin1'),
  ]
  return Buffer.concat(bytes)
}

export const authority = Buffer.concat([Buffer.from([0x41, 15]), Buffer.from('hello.localhost')])
/** GET, http, / */
export const getBlock = Buffer.concat([Buffer.from([0x82, 0x86, 0x84]), authority])
export const postBlock = Buffer.concat([Buffer.from([0x83, 0x86, 0x84]), authority])
export const waitBlock = Buffer.concat([Buffer.from([0x82, 0x86]), literal(':path', '/wait'), authority])
export const get = (stream: number, ...more: readonly Buffer[]) =>
  frame(headers, both, stream, Buffer.concat([getBlock, ...more]))
export const post = (stream: number, ...more: readonly Buffer[]) =>
  frame(headers, endHeaders, stream, Buffer.concat([postBlock, ...more]))
export const wait = (stream: number) => frame(headers, both, stream, waitBlock)
export const number = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
export const set = (name: number, value: number) =>
  frame(settings, 0, 0, Buffer.concat([Buffer.from([0, name]), number(value)]))
export const mark = frame(ping, 0, 0, Buffer.from('the mark'))

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

export interface Client {
  readonly socket: Socket
  readonly frames: Frame[]
}

/** A client that sends frames and remembers those that come. */
export function speak(t: TestContext, port: number, ...parts: readonly Buffer[]): Client {
  const socket = connect({ port, host: '127.0.0.1' })
  const frames: Frame[] = []
  let rest: Buffer = Buffer.alloc(0)
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const end = 9 + rest.readUIntBE(0, 3)
      const stream = rest.readUInt32BE(5)
      frames.push({ type: rest[3]!, flags: rest[4]!, stream, payload: Buffer.from(rest.subarray(9, end)) })
      rest = rest.subarray(end)
    }
  })
  t.after(() => socket.destroy())
  socket.write(Buffer.concat(parts))
  return { socket, frames }
}

/** `goaway CODE`, `reset STREAM CODE`, `answer STREAM`, `end STREAM`; what is usual is left out. */
export function told(frames: readonly Frame[]): string[] {
  return frames.flatMap(({ type, flags, stream, payload }) => {
    if (type === goaway) return [`goaway ${payload.readUInt32BE(4)}`]
    if (type === reset) return [`reset ${stream} ${payload.readUInt32BE(0)}`]
    if (type === headers) return [`answer ${stream}`, ...((flags & endStream) !== 0 ? [`end ${stream}`] : [])]
    if (type === data && (flags & endStream) !== 0) return [`end ${stream}`]
    return type === ping ? [payload.equals(Buffer.from('the mark')) ? 'mark' : 'pong'] : []
  })
}

export const run: StartOptions['run'] = async (request) => {
  if (request.path === '/wait') await new Promise((resolve) => request.signal.addEventListener('abort', resolve))
  return hello({ body: Buffer.from(await textOf(request.body)) })
}

export const start = (t: TestContext, more: StartOptions = {}): Promise<Started> =>
  startEdge(t, { run, ...more, options: { ownHttp2: true, ...more.options } })
