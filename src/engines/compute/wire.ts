/**
 * The line between this node and a Compute cell: calls and their bodies over one unix socket, both ways. A frame is
 * `u32 length · u8 type · u32 call · payload`, little-endian; the first bit of the type says that the call was started by
 * the frame's receiver. Heads are JSON, those of requests and answers packed. Bodies are bytes within the frame, or a
 * stream under credit. What comes from a cell is not trusted: a frame that is not what it should be cuts the line.
 */
import type { Socket } from 'node:net'
import type { PackedHead } from './packed-head.ts'
import { Slots, slotOf } from './slots.ts'
import { InBody, OutBody } from './wire-body.ts'
import { type CallLine, type HeldCall, OwnCall, TakenCall } from './wire-calls.ts'
import {
  empty,
  failureBytes,
  frameType,
  leastLength,
  Outbox,
  ofReceiver,
  type ReadMessage,
  readFailure,
  readMessage,
  readTrailers,
  streamBody,
} from './wire-frames.ts'
import {
  CallFailure,
  type Head,
  type InCall,
  type Line,
  type NoteTaker,
  type OutCall,
  type PackedReply,
  type Reply,
  type SentBody,
} from './wire-messages.ts'

export interface LineOptions {
  readonly onCall: (call: InCall) => void
  /** A word that wants no answer. */
  readonly onTell?: (head: Head) => void
  readonly onCut: (reason: string) => void
  /** Largest frame that is accepted, bytes. */
  readonly frameBytes: number
  /** Bytes of one stream that may be on their way unread. */
  readonly windowBytes: number
}

/** So many frames do not wait for more: the other end, a processor of its own, begins with them. */
const batchFrames = 12

/** Takes over a connected socket. */
export function openLine(socket: Socket, options: LineOptions): Line {
  return new SocketLine(socket, options)
}

class SocketLine implements Line, CallLine {
  readonly #socket: Socket
  readonly #options: LineOptions
  readonly #own = new Slots<OwnCall>()
  /** By the slots of their numbers, which the other side gave. */
  readonly #taken: (TakenCall | undefined)[] = []
  readonly #out = new Outbox()
  #waitsSince = 0
  #flushesSoon = false
  /** The beginning of a frame, as it came. */
  #begun: Buffer[] = []
  #begunBytes = 0
  /** So many bytes make it a whole one. */
  #wholeBytes = 0
  #cut = false

  constructor(socket: Socket, options: LineOptions) {
    this.#socket = socket
    this.#options = options
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('error', (error) => this.#end(error.message))
    socket.on('close', () => this.#end('closed'))
  }

  call(head: Head | PackedHead, body: SentBody, notes?: NoteTaker): OutCall {
    const call = new OwnCall(this, notes)
    if (body === 'stream') call.outgoing = this.openOut(call)
    if (this.#cut) {
      call.outgoing?.cut('The cell is gone.')
      call.reject(new CallFailure('cut', 'The cell is gone.'))
    } else {
      call.id = this.#own.add(call)
      this.#send(call, frameType.call, head, body)
    }
    return call
  }

  tell(head: Head): void {
    this.#send(nobody, frameType.tell, head, null)
  }

  close(): void {
    this.#socket.destroy()
    this.#end('closed')
  }

  openOut(call: HeldCall): OutBody {
    return new OutBody(this.#options.windowBytes, {
      data: (bytes) => this.#write(call, frameType.data, bytes),
      end: (trailers) => {
        this.#write(call, frameType.end, trailers === undefined ? empty : Buffer.from(JSON.stringify(trailers)))
        call.outgoing = undefined
        this.#forget(call)
      },
      fail: (reason) => {
        this.#write(call, frameType.fail, failureBytes(new CallFailure('body', reason)))
        call.outgoing = undefined
        this.#forget(call)
      },
    })
  }

  note(call: HeldCall, head: Head): void {
    this.#send(call, frameType.note, head, null)
  }

  reply(call: TakenCall, { head, body }: Reply | PackedReply): void {
    this.#send(call, frameType.reply, head, body)
    this.#forget(call)
  }

  fail(call: TakenCall, failure: CallFailure): void {
    this.#write(call, frameType.fail, failureBytes(failure))
    // The caller hears of it and sends no more.
    call.incoming?.break(failure.message)
    call.incoming = undefined
    this.#forget(call)
  }

  cancel(call: OwnCall): void {
    if (this.#own.get(call.id) !== call) return
    this.#own.remove(call.id)
    this.#write(call, frameType.cancel, empty)
    call.outgoing?.cut('cancelled')
    call.incoming?.break('cancelled')
    call.reject(new CallFailure('cancelled', 'The call was given up.'))
  }

  #openIn(call: HeldCall): InBody {
    return new InBody({
      consumed: (bytes) => {
        const credit = Buffer.allocUnsafe(4)
        credit.writeUInt32LE(bytes, 0)
        this.#write(call, frameType.credit, credit)
      },
      cancelled: () => {
        call.incoming = undefined
        this.#write(call, frameType.cancel, empty)
        this.#forget(call)
      },
    })
  }

  /** A call is done when its reply is there and neither body runs any more. */
  #forget(call: HeldCall): void {
    if (!call.replied || call.incoming !== undefined || call.outgoing !== undefined) return
    if (call.own) this.#own.remove(call.id)
    else if (this.#taken[slotOf(call.id)] === call) this.#taken[slotOf(call.id)] = undefined
  }

  #send(call: HeldCall, type: number, head: Head | PackedHead, body: SentBody): void {
    if (this.#cut) return
    this.#out.addMessage(type | (call.own ? 0 : ofReceiver), call.id, head, body)
    this.#added()
  }

  #write(call: HeldCall, type: number, payload: Uint8Array): void {
    if (this.#cut) return
    this.#out.add(type | (call.own ? 0 : ofReceiver), call.id, payload)
    this.#added()
  }

  /** Frames of one round of the event loop share writes. */
  #added(): void {
    const { frames } = this.#out
    if (frames >= batchFrames) this.flush()
    if (frames > 1) return
    this.#waitsSince = performance.now()
    if (this.#flushesSoon) return
    this.#flushesSoon = true
    setImmediate(() => {
      this.#flushesSoon = false
      this.flush()
    })
  }

  get waitsSince(): number | undefined {
    return this.#out.frames === 0 ? undefined : this.#waitsSince
  }

  flush(): void {
    if (this.#out.frames === 0 || this.#cut) return
    for (const part of this.#out.take()) this.#socket.write(part)
  }

  #read(chunk: Buffer): void {
    const bytes = this.#withBegun(chunk)
    if (bytes === undefined) return
    let at = 0
    while (bytes.length - at >= 4) {
      const length = bytes.readUInt32LE(at)
      if (length < leastLength || length > this.#options.frameBytes) {
        this.#break('a frame of a wrong size')
        return
      }
      const end = at + 4 + length
      if (end > bytes.length) break
      try {
        this.#take(bytes, at + 4, end)
      } catch (error) {
        this.#break(`a frame that cannot be read: ${(error as Error).message}`)
        return
      }
      if (this.#cut) return
      at = end
    }
    if (at < bytes.length) this.#keepBegun(bytes.subarray(at))
  }

  /** What came before and this, once that is a whole frame. */
  #withBegun(chunk: Buffer): Buffer | undefined {
    if (this.#begunBytes === 0) return chunk
    this.#begun.push(chunk)
    this.#begunBytes += chunk.length
    if (this.#begunBytes < this.#wholeBytes) return undefined
    const bytes = Buffer.concat(this.#begun, this.#begunBytes)
    this.#begun = []
    this.#begunBytes = 0
    return bytes
  }

  #keepBegun(bytes: Buffer): void {
    this.#begun = [bytes]
    this.#begunBytes = bytes.length
    this.#wholeBytes = bytes.length < 4 ? 4 : 4 + bytes.readUInt32LE(0)
  }

  #take(bytes: Buffer, from: number, end: number): void {
    const type = bytes[from]! & 0x7f
    const own = (bytes[from]! & ofReceiver) !== 0
    const id = bytes.readUInt32LE(from + 1)
    const at = from + leastLength
    if (type === frameType.call) {
      this.#takeCall(id, readMessage(bytes, at, end))
      return
    }
    if (type === frameType.tell) {
      this.#options.onTell?.(readMessage(bytes, at, end).head)
      return
    }
    const call = own ? this.#own.get(id) : this.#taken[slotOf(id)]
    // A late frame of a call that was given up.
    if (call?.id !== id) return
    if (type === frameType.reply) this.#takeReply(call, readMessage(bytes, at, end))
    else if (type === frameType.note) call.onNoteTaken(readMessage(bytes, at, end).head)
    else this.#takeBody(call, type, bytes.subarray(at, end))
  }

  #takeBody(call: HeldCall, type: number, payload: Buffer): void {
    if (type === frameType.data) call.incoming?.push(payload)
    else if (type === frameType.end) this.#takeEnd(call, payload)
    else if (type === frameType.fail) this.#takeFailure(call, payload)
    else if (type === frameType.cancel) this.#takeCancel(call)
    else if (type === frameType.credit) call.outgoing?.credit(payload.readUInt32LE(0))
    else throw new Error(`type ${type}`)
  }

  #takeCall(id: number, message: ReadMessage): void {
    const slot = slotOf(id)
    if (this.#taken[slot] !== undefined) throw new Error('a call under the number of another')
    const call = new TakenCall(this, id, message)
    if (message.kind === streamBody) call.streams(this.#openIn(call))
    this.#taken[slot] = call
    this.#options.onCall(call)
  }

  #takeReply(call: HeldCall, { head, packed, kind, body }: ReadMessage): void {
    if (!(call instanceof OwnCall) || call.replied) throw new Error('a reply to nobody')
    call.replied = true
    if (kind === streamBody) call.incoming = this.#openIn(call)
    call.settle({ head, packed, body: call.incoming ?? body })
    this.#forget(call)
  }

  #takeEnd(call: HeldCall, payload: Buffer): void {
    const { incoming } = call
    const trailers = readTrailers(payload)
    call.incoming = undefined
    incoming?.end(trailers)
    this.#forget(call)
  }

  #takeFailure(call: HeldCall, payload: Buffer): void {
    const { code, message } = readFailure(payload)
    if (call instanceof OwnCall && !call.replied) {
      call.replied = true
      call.reject(new CallFailure(code, message))
      call.outgoing?.cut(message)
      call.outgoing = undefined
    } else call.incoming?.break(message)
    call.incoming = undefined
    this.#forget(call)
  }

  /** From the caller: it gave up. From the other side of a body that we send: it wants no more of it. */
  #takeCancel(call: HeldCall): void {
    if (call instanceof TakenCall) {
      this.#taken[slotOf(call.id)] = undefined
      call.end('given up')
      return
    }
    call.outgoing?.cut('not wanted')
    call.outgoing = undefined
    this.#forget(call)
  }

  #break(reason: string): void {
    this.#socket.destroy()
    this.#end(reason)
  }

  #end(reason: string): void {
    if (this.#cut) return
    this.#cut = true
    for (const call of this.#own.all()) {
      call.reject(new CallFailure('cut', `The line was cut: ${reason}.`))
      call.outgoing?.cut(reason)
      call.incoming?.break(reason)
    }
    for (const call of this.#taken) call?.end(reason)
    this.#taken.length = 0
    this.#options.onCut(reason)
  }
}

/** Stands for no call. */
const nobody = new OwnCall({} as CallLine, undefined)
