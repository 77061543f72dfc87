/**
 * The line between this node and a Compute cell: calls and their bodies over one unix socket, both ways. A frame is
 * `u32 length · u8 type · u32 call · payload`, little-endian; the first bit of the type says that the call was started by
 * the frame's receiver. Heads are JSON. Bodies are bytes within the frame, or a stream under credit.
 */
import type { Socket } from 'node:net'
import { Slots, slotOf } from './slots.ts'
import { InBody, OutBody } from './wire-body.ts'
import { type CallLine, type HeldCall, OwnCall, TakenCall } from './wire-calls.ts'
import {
  empty,
  failureBytes,
  frameType,
  headOf,
  inlineBody,
  noBody,
  ofReceiver,
  readMessage,
  streamBody,
  writeHead,
} from './wire-frames.ts'
import {
  CallFailure,
  type Head,
  type InCall,
  type Line,
  type NoteTaker,
  type OutCall,
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
  #rest: Buffer | undefined
  #out: Uint8Array[] = []
  #waitsSince = 0
  #cut = false

  constructor(socket: Socket, options: LineOptions) {
    this.#socket = socket
    this.#options = options
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('error', (error) => this.#end(error.message))
    socket.on('close', () => this.#end('closed'))
  }

  call(head: Head, body: SentBody, notes?: NoteTaker): OutCall {
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

  reply(call: TakenCall, { head, body }: Reply): void {
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

  #send(call: HeldCall, type: number, head: Head, body: SentBody): void {
    if (this.#cut) return
    const json = JSON.stringify(head)
    const inline = body instanceof Uint8Array ? body : empty
    const jsonBytes = Buffer.byteLength(json)
    const frame = Buffer.allocUnsafe(headOf + 5 + jsonBytes + inline.length)
    writeHead(frame, type | (call.own ? 0 : ofReceiver), call.id)
    frame[headOf] = body === null ? noBody : body === 'stream' ? streamBody : inlineBody
    frame.writeUInt32LE(jsonBytes, headOf + 1)
    frame.write(json, headOf + 5)
    frame.set(inline, headOf + 5 + jsonBytes)
    this.#push(frame)
  }

  #write(call: HeldCall, type: number, payload: Uint8Array): void {
    if (this.#cut) return
    const frame = Buffer.allocUnsafe(headOf + payload.length)
    writeHead(frame, type | (call.own ? 0 : ofReceiver), call.id)
    frame.set(payload, headOf)
    this.#push(frame)
  }

  /** Frames of one round of the event loop leave in one write. */
  #push(frame: Uint8Array): void {
    if (this.#cut) return
    this.#out.push(frame)
    if (this.#out.length > 1) return
    this.#waitsSince = performance.now()
    setImmediate(() => this.flush())
  }

  get waitsSince(): number | undefined {
    return this.#out.length === 0 ? undefined : this.#waitsSince
  }

  flush(): void {
    const frames = this.#out
    if (frames.length === 0 || this.#cut) return
    this.#out = []
    this.#socket.write(frames.length === 1 ? frames[0]! : Buffer.concat(frames))
  }

  #read(chunk: Buffer): void {
    let bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk])
    this.#rest = undefined
    while (bytes.length >= 4) {
      const length = bytes.readUInt32LE(0)
      if (length < headOf - 4 || length > this.#options.frameBytes) {
        this.#break('a frame of a wrong size')
        return
      }
      if (bytes.length < 4 + length) break
      try {
        this.#take(bytes.subarray(4, 4 + length))
      } catch (error) {
        this.#break(`a frame that cannot be read: ${(error as Error).message}`)
        return
      }
      if (this.#cut) return
      bytes = bytes.subarray(4 + length)
    }
    if (bytes.length > 0) this.#rest = bytes
  }

  #take(frame: Buffer): void {
    const type = frame[0]! & 0x7f
    const own = (frame[0]! & ofReceiver) !== 0
    const id = frame.readUInt32LE(1)
    const payload = frame.subarray(5)
    if (type === frameType.call) {
      this.#takeCall(id, payload)
      return
    }
    if (type === frameType.tell) {
      this.#options.onTell?.(readMessage(payload).head)
      return
    }
    const call = own ? this.#own.get(id) : this.#taken[slotOf(id)]
    // A late frame of a call that was given up.
    if (call?.id !== id) return
    if (type === frameType.reply) this.#takeReply(call, payload)
    else if (type === frameType.note) call.onNoteTaken(readMessage(payload).head)
    else if (type === frameType.data) call.incoming?.push(payload)
    else if (type === frameType.end) this.#takeEnd(call, payload)
    else if (type === frameType.fail) this.#takeFailure(call, payload)
    else if (type === frameType.cancel) this.#takeCancel(call)
    else if (type === frameType.credit) call.outgoing?.credit(payload.readUInt32LE(0))
    else throw new Error(`type ${type}`)
  }

  #takeCall(id: number, payload: Buffer): void {
    const slot = slotOf(id)
    if (this.#taken[slot] !== undefined) throw new Error('a call under the number of another')
    const { head, kind, body } = readMessage(payload)
    const call = new TakenCall(this, id, head, kind === inlineBody ? body : null)
    if (kind === streamBody) call.streams(this.#openIn(call))
    this.#taken[slot] = call
    this.#options.onCall(call)
  }

  #takeReply(call: HeldCall, payload: Buffer): void {
    if (!(call instanceof OwnCall) || call.replied) throw new Error('a reply to nobody')
    const { head, kind, body } = readMessage(payload)
    call.replied = true
    if (kind === streamBody) call.incoming = this.#openIn(call)
    call.settle({ head, body: call.incoming ?? (kind === inlineBody ? body : null) })
    this.#forget(call)
  }

  #takeEnd(call: HeldCall, payload: Buffer): void {
    const { incoming } = call
    call.incoming = undefined
    incoming?.end(payload.length === 0 ? undefined : (JSON.parse(payload.toString()) as string[]))
    this.#forget(call)
  }

  #takeFailure(call: HeldCall, payload: Buffer): void {
    const { code, message } = JSON.parse(payload.toString()) as { code: string; message: string }
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
