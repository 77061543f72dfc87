/**
 * HTTP/2 on the socket itself (RFC 9113): a quarter of the CPU of node:http2. Frames are read here; `h2-streams.ts`
 * keeps what is under way. Priorities (§5.3) are ignored, nothing is ever pushed, and trailers are dropped.
 */
import type { Socket } from 'node:net'
import type { Connection } from './accepted.ts'
import type { Front } from './front.ts'
import { type Blocks, createBlocks } from './h2-blocks.ts'
import { createBudget } from './h2-budget.ts'
import {
  connectionFault,
  type Fault,
  flag,
  frameBytes,
  frameHeadBytes,
  frameType,
  h2Error,
  pingAck,
  preface,
  readSettings,
  setting,
  settingsAck,
  settingsFrame,
  unpad,
} from './h2-frames.ts'
import type { H2Print } from './h2-print.ts'
import { H2Streams } from './h2-streams.ts'
import type { Http2 } from './http2.ts'

export interface OwnHttp2 extends Http2 {
  close(): void
}

export function createOwnHttp2(front: Front): OwnHttp2 {
  const { limits } = front
  const open = new Set<H2Connection>()
  const blocks = createBlocks()
  const shortest = Math.min(
    limits.headersTimeoutMs,
    limits.keepAliveTimeoutMs,
    limits.bodyIdleTimeoutMs,
    limits.responseIdleTimeoutMs,
  )
  const timer = setInterval(
    () => {
      const now = performance.now()
      for (const one of open) one.endIfStuck(now)
    },
    Math.max(10, Math.min(1_000, shortest / 4)),
  ).unref()
  return {
    adopt(socket, connection) {
      const one = new H2Connection(front, socket, connection, blocks)
      open.add(one)
      socket.on('close', () => open.delete(one))
    },
    close: () => clearInterval(timer),
  }
}

/** A header block that is not whole yet (§4.3). */
interface Block {
  readonly stream: number
  readonly flags: number
  readonly parts: Buffer[]
  readonly startedAt: number
  bytes: number
}

const nothing = Buffer.alloc(0)

class H2Connection {
  readonly #front: Front
  readonly #socket: Socket
  readonly #streams: H2Streams
  /** SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty DATA, CONTINUATION and what we do not know. */
  readonly #control = createBudget(1_000, 200)
  readonly #print: H2Print
  #rest: Buffer = nothing
  #prefaceSeen = false
  #settingsSeen = false
  #block: Block | undefined
  #lastData = performance.now()

  constructor(front: Front, socket: Socket, connection: Connection, blocks: Blocks) {
    this.#front = front
    this.#socket = socket
    const { limits } = front
    this.#print = connection.prints.beginHttp2()
    this.#streams = new H2Streams(front, socket, connection, { control: this.#control, blocks })
    this.#streams.sender.queue(
      settingsFrame([
        [setting.streams, limits.streamsPerConnection],
        [setting.window, this.#streams.streamWindow],
        [setting.listBytes, limits.headerBytes + limits.urlBytes],
        [setting.connectProtocol, 1],
      ]),
    )
    this.#streams.openWindow()
    connection.endGracefully = () => this.#streams.goAway()
    socket.on('data', this.#onChunk)
    socket.on('end', () => socket.destroySoon())
    socket.on('drain', () => this.#streams.sender.onDrain())
    socket.on('close', () => this.#streams.loseAll())
    socket.resume()
  }

  /** A bug on one connection is that connection's end, not the process's. */
  readonly #onChunk = (chunk: Buffer): void => {
    const { sender } = this.#streams
    try {
      sender.reading()
      this.#read(chunk)
      sender.read()
    } catch {
      this.#streams.fail(connectionFault(h2Error.internal, 'a bug of ours'))
    }
  }

  #read(chunk: Buffer): void {
    if (this.#streams.over) return
    this.#lastData = performance.now()
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = this.#prefaceSeen ? 0 : this.#readPreface(bytes)
    if (!this.#prefaceSeen) {
      this.#rest = bytes
      return
    }
    while (bytes.length - at >= frameHeadBytes && !this.#streams.over) {
      const length = bytes.readUIntBE(at, 3)
      if (length > frameBytes) {
        this.#streams.fail(connectionFault(h2Error.frameSize, 'a frame above the limit'))
        return
      }
      const end = at + frameHeadBytes + length
      if (end > bytes.length) break
      const stream = bytes.readUInt32BE(at + 5) & 0x7fff_ffff
      const fault = this.#onFrame(bytes[at + 3]!, bytes[at + 4]!, stream, bytes.subarray(at + frameHeadBytes, end))
      if (fault !== undefined) this.#streams.punish(fault, stream)
      at = end
    }
    // A copy, so that half a frame does not hold the whole buffer it came in.
    this.#rest = at === bytes.length ? nothing : Buffer.from(bytes.subarray(at))
  }

  /** Where the frames begin once the preface (§3.4) is whole. */
  #readPreface(bytes: Buffer): number {
    const length = Math.min(bytes.length, preface.length)
    this.#prefaceSeen = bytes.length >= preface.length
    if (bytes.compare(preface, 0, length, 0, length) === 0) return preface.length
    this.#prefaceSeen = false
    this.#streams.fail(connectionFault(h2Error.protocol, 'no preface'))
    return 0
  }

  #onFrame(type: number, flags: number, stream: number, payload: Buffer): Fault | undefined {
    if (!this.#settingsSeen && (type !== frameType.settings || (flags & flag.ack) !== 0))
      return connectionFault(h2Error.protocol, 'the first frame is not SETTINGS')
    if (this.#block !== undefined && (type !== frameType.continuation || stream !== this.#block.stream))
      return connectionFault(h2Error.protocol, 'a frame inside a header block')
    switch (type) {
      case frameType.data:
        return this.#onDataFrame(flags, stream, payload)
      case frameType.headers:
        return this.#onHeaders(flags, stream, payload)
      case frameType.continuation:
        return this.#onContinuation(flags, stream, payload)
      case frameType.settings:
        return this.#onSettings(flags, stream, payload)
      case frameType.ping:
        return this.#onPing(flags, stream, payload)
      case frameType.window:
        return this.#onWindow(stream, payload)
      case frameType.reset:
        return this.#onReset(stream, payload)
      case frameType.priority:
        if (stream === 0) return connectionFault(h2Error.protocol, 'PRIORITY on stream 0')
        if (payload.length !== 5) return connectionFault(h2Error.frameSize, 'PRIORITY')
        if (this.#print.text === undefined) this.#print.priority(stream, payload)
        return this.#spend() ?? dependsOnItself(payload, stream)
      case frameType.push:
        return connectionFault(h2Error.protocol, 'clients do not push')
      case frameType.goaway:
        if (stream !== 0) return connectionFault(h2Error.protocol, 'GOAWAY on a stream')
        return this.#spend() ?? (payload.length < 8 ? connectionFault(h2Error.frameSize, 'GOAWAY') : undefined)
      default:
        // §5.5: unknown frames are ignored.
        return this.#spend()
    }
  }

  #spend(): Fault | undefined {
    return this.#control.spend(this.#lastData)
      ? undefined
      : connectionFault(h2Error.calm, 'too many frames for nothing')
  }

  #onDataFrame(flags: number, stream: number, payload: Buffer): Fault | undefined {
    if (stream === 0) return connectionFault(h2Error.protocol, 'DATA on stream 0')
    const bytes = unpad(payload, flags)
    if (bytes === undefined) return connectionFault(h2Error.protocol, 'more padding than payload')
    const ended = (flags & flag.endStream) !== 0
    const wasted = bytes.length === 0 && !ended ? this.#spend() : undefined
    return wasted ?? this.#streams.onData(stream, bytes, payload.length, ended)
  }

  #onHeaders(flags: number, stream: number, payload: Buffer): Fault | undefined {
    if (stream === 0 || stream % 2 === 0)
      return connectionFault(h2Error.protocol, 'HEADERS on a stream that is not a client’s')
    let fragment = unpad(payload, flags)
    if (fragment === undefined) return connectionFault(h2Error.protocol, 'more padding than payload')
    if ((flags & flag.priority) !== 0) {
      if (fragment.length < 5) return connectionFault(h2Error.frameSize, 'HEADERS without its priority')
      const fault = dependsOnItself(fragment, stream)
      if (fault !== undefined) return fault
      fragment = fragment.subarray(5)
    }
    if ((flags & flag.endHeaders) !== 0) return this.#streams.onBlock(stream, flags, fragment)
    const parts = [Buffer.from(fragment)]
    this.#block = { stream, flags, parts, bytes: fragment.length, startedAt: this.#lastData }
    return undefined
  }

  #onContinuation(flags: number, stream: number, payload: Buffer): Fault | undefined {
    const block = this.#block
    if (block === undefined) return connectionFault(h2Error.protocol, 'CONTINUATION without HEADERS')
    block.bytes += payload.length
    block.parts.push(Buffer.from(payload))
    const { headerBytes, urlBytes } = this.#front.limits
    // What is still missing cannot be skipped: it would change the table. So the connection ends.
    if (block.bytes > headerBytes + urlBytes) return connectionFault(h2Error.calm, 'a header block above the limit')
    if ((flags & flag.endHeaders) === 0) return this.#spend()
    this.#block = undefined
    return this.#streams.onBlock(stream, block.flags, Buffer.concat(block.parts))
  }

  #onSettings(flags: number, stream: number, payload: Buffer): Fault | undefined {
    if (stream !== 0) return connectionFault(h2Error.protocol, 'SETTINGS on a stream')
    if ((flags & flag.ack) !== 0)
      return payload.length === 0
        ? this.#spend()
        : connectionFault(h2Error.frameSize, 'an acknowledgement with settings')
    this.#settingsSeen = true
    const spent = this.#spend()
    if (spent !== undefined) return spent
    const before = this.#streams.peer.window
    const fault = readSettings(payload, this.#streams.peer)
    if (fault !== undefined) return fault
    if (this.#print.text === undefined) this.#print.settings(payload)
    this.#streams.sender.queue(settingsAck)
    return this.#streams.sender.changeWindows(this.#streams.peer.window - before)
  }

  #onPing(flags: number, stream: number, payload: Buffer): Fault | undefined {
    if (stream !== 0) return connectionFault(h2Error.protocol, 'PING on a stream')
    if (payload.length !== 8) return connectionFault(h2Error.frameSize, 'PING has eight bytes')
    const spent = this.#spend()
    if (spent === undefined && (flags & flag.ack) === 0) this.#streams.sender.queue(pingAck(payload))
    return spent
  }

  #onWindow(stream: number, payload: Buffer): Fault | undefined {
    if (payload.length !== 4) return connectionFault(h2Error.frameSize, 'WINDOW_UPDATE has four bytes')
    const increment = payload.readUInt32BE(0) & 0x7fff_ffff
    if (stream === 0 && this.#print.text === undefined) this.#print.window(increment)
    return this.#spend() ?? this.#streams.onWindow(stream, increment)
  }

  #onReset(stream: number, payload: Buffer): Fault | undefined {
    if (stream === 0) return connectionFault(h2Error.protocol, 'RST_STREAM on stream 0')
    if (payload.length !== 4) return connectionFault(h2Error.frameSize, 'RST_STREAM has four bytes')
    return this.#streams.onReset(stream)
  }

  endIfStuck(now: number): void {
    const { headersTimeoutMs, bodyIdleTimeoutMs } = this.#front.limits
    const began = this.#block?.startedAt ?? (this.#settingsSeen ? now : this.#lastData)
    const halfFrame = this.#rest.length > 0 && now - this.#lastData > bodyIdleTimeoutMs
    if (now - began > headersTimeoutMs || halfFrame) this.#socket.destroy()
    else this.#streams.endIfStuck(now)
  }
}

/** RFC 7540 §5.3.1, which RFC 9113 leaves to old clients; for the connection, since the stream may not be open (§5.4.1). */
function dependsOnItself(priority: Buffer, stream: number): Fault | undefined {
  const parent = priority.readUInt32BE(0) & 0x7fff_ffff
  return parent === stream ? connectionFault(h2Error.protocol, 'a stream that depends on itself') : undefined
}
