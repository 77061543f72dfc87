/**
 * The line between this node and a Compute cell: calls and their bodies over one unix socket, both ways. A frame is
 * `u32 length · u8 type · u32 call · payload`, little-endian; the first bit of the type says that the call was started by
 * the frame's receiver. Heads are JSON. Bodies are bytes within the frame, or a stream under credit.
 */
import type { Socket } from 'node:net'
import { InBody, OutBody } from './wire-body.ts'
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
  type Message,
  type OutCall,
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

/** One call of either side. */
interface Held {
  readonly own: boolean
  readonly id: number
  incoming: InBody | undefined
  outgoing: OutBody | undefined
  settle: ((message: Message) => void) | undefined
  reject: ((failure: CallFailure) => void) | undefined
  onNote: ((head: Head) => void) | undefined
  inCall: InCall | undefined
  replied: boolean
}

/** Takes over a connected socket. */
export function openLine(socket: Socket, options: LineOptions): Line {
  return new SocketLine(socket, options)
}

class SocketLine implements Line {
  readonly #socket: Socket
  readonly #options: LineOptions
  readonly #own = new Map<number, Held>()
  readonly #others = new Map<number, Held>()
  #nextId = 1
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

  call(head: Head, body: SentBody, { onNote }: { onNote?: (head: Head) => void } = {}): OutCall {
    const id = this.#nextId
    this.#nextId = id === 0xffff_ffff ? 1 : id + 1
    const { promise, resolve, reject } = Promise.withResolvers<Message>()
    const held = newHeld(true, id)
    held.settle = resolve
    held.reject = reject
    held.onNote = onNote
    if (body === 'stream') held.outgoing = this.#outBody(held)
    const { outgoing } = held
    if (this.#cut) {
      outgoing?.cut('The cell is gone.')
      reject(new CallFailure('cut', 'The cell is gone.'))
    } else {
      this.#own.set(id, held)
      this.#send(held, frameType.call, head, body)
    }
    return {
      reply: promise,
      out: outgoing,
      note: (note) => this.#send(held, frameType.note, note, null),
      cancel: () => this.#cancelOwn(held),
    }
  }

  tell(head: Head): void {
    this.#send(nobody, frameType.tell, head, null)
  }

  close(): void {
    this.#socket.destroy()
    this.#end('closed')
  }

  #outBody(held: Held): OutBody {
    return new OutBody(this.#options.windowBytes, {
      data: (bytes) => this.#write(held, frameType.data, bytes),
      end: (trailers) => {
        this.#write(held, frameType.end, trailers === undefined ? empty : Buffer.from(JSON.stringify(trailers)))
        held.outgoing = undefined
        this.#forget(held)
      },
      fail: (reason) => {
        this.#write(held, frameType.fail, failureBytes(new CallFailure('body', reason)))
        held.outgoing = undefined
        this.#forget(held)
      },
    })
  }

  #inBody(held: Held): InBody {
    return new InBody({
      consumed: (bytes) => {
        const credit = Buffer.allocUnsafe(4)
        credit.writeUInt32LE(bytes, 0)
        this.#write(held, frameType.credit, credit)
      },
      cancelled: () => {
        held.incoming = undefined
        this.#write(held, frameType.cancel, empty)
        this.#forget(held)
      },
    })
  }

  #cancelOwn(held: Held): void {
    if (this.#own.get(held.id) !== held) return
    this.#own.delete(held.id)
    this.#write(held, frameType.cancel, empty)
    held.outgoing?.cut('cancelled')
    held.incoming?.break('cancelled')
    held.reject?.(new CallFailure('cancelled', 'The call was given up.'))
    held.settle = held.reject = undefined
  }

  /** A call is done when its reply is there and neither body runs any more. */
  #forget(held: Held): void {
    if (!held.replied || held.incoming !== undefined || held.outgoing !== undefined) return
    const calls = held.own ? this.#own : this.#others
    if (calls.get(held.id) === held) calls.delete(held.id)
  }

  #send(held: Held, type: number, head: Head, body: SentBody): void {
    const json = Buffer.from(JSON.stringify(head))
    const inline = body instanceof Uint8Array ? body : empty
    const frame = Buffer.allocUnsafe(headOf + 5 + json.length + inline.length)
    writeHead(frame, type | (held.own ? 0 : ofReceiver), held.id)
    frame[headOf] = body === null ? noBody : body === 'stream' ? streamBody : inlineBody
    frame.writeUInt32LE(json.length, headOf + 1)
    frame.set(json, headOf + 5)
    frame.set(inline, headOf + 5 + json.length)
    this.#push(frame)
  }

  #write(held: Held, type: number, payload: Uint8Array): void {
    if (this.#cut) return
    const frame = Buffer.allocUnsafe(headOf + payload.length)
    writeHead(frame, type | (held.own ? 0 : ofReceiver), held.id)
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
    const held = (own ? this.#own : this.#others).get(id)
    // A late frame of a call that was given up.
    if (held === undefined) return
    if (type === frameType.reply) this.#takeReply(held, payload)
    else if (type === frameType.note) {
      const { head } = readMessage(payload)
      if (held.inCall === undefined) held.onNote?.(head)
      else held.inCall.onNote?.(head)
    } else if (type === frameType.data) held.incoming?.push(payload)
    else if (type === frameType.end) this.#takeEnd(held, payload)
    else if (type === frameType.fail) this.#takeFailure(held, payload)
    else if (type === frameType.cancel) this.#takeCancel(held)
    else if (type === frameType.credit) held.outgoing?.credit(payload.readUInt32LE(0))
    else throw new Error(`type ${type}`)
  }

  #takeCall(id: number, payload: Buffer): void {
    const held = newHeld(false, id)
    const { head, kind, body } = readMessage(payload)
    if (kind === streamBody) held.incoming = this.#inBody(held)
    this.#others.set(id, held)
    const line = this
    const inCall: InCall = {
      head,
      body: held.incoming ?? (kind === inlineBody ? body : null),
      get out() {
        held.outgoing ??= line.#outBody(held)
        return held.outgoing
      },
      note: (note) => line.#send(held, frameType.note, note, null),
      onNote: undefined,
      cancelled: false,
      onCancel: undefined,
      reply(reply) {
        if (inCall.cancelled || held.replied) return
        if (reply.body === 'stream') held.outgoing ??= line.#outBody(held)
        held.replied = true
        line.#send(held, frameType.reply, reply.head, reply.body)
        line.#forget(held)
      },
      fail(failure) {
        if (inCall.cancelled || held.replied) return
        held.replied = true
        line.#write(held, frameType.fail, failureBytes(failure))
        line.#forget(held)
      },
    }
    held.inCall = inCall
    this.#options.onCall(inCall)
  }

  #takeReply(held: Held, payload: Buffer): void {
    const { head, kind, body } = readMessage(payload)
    held.replied = true
    if (kind === streamBody) held.incoming = this.#inBody(held)
    const settle = held.settle
    held.settle = held.reject = undefined
    settle?.({ head, body: held.incoming ?? (kind === inlineBody ? body : null) })
    this.#forget(held)
  }

  #takeEnd(held: Held, payload: Buffer): void {
    const { incoming } = held
    held.incoming = undefined
    incoming?.end(payload.length === 0 ? undefined : (JSON.parse(payload.toString()) as string[]))
    this.#forget(held)
  }

  #takeFailure(held: Held, payload: Buffer): void {
    const { code, message } = JSON.parse(payload.toString()) as { code: string; message: string }
    if (held.own && !held.replied) {
      held.replied = true
      held.reject?.(new CallFailure(code, message))
      held.settle = held.reject = undefined
      held.outgoing?.cut(message)
      held.outgoing = undefined
    } else held.incoming?.break(message)
    held.incoming = undefined
    this.#forget(held)
  }

  /** From the caller: it gave up. From the other side of a body that we send: it wants no more of it. */
  #takeCancel(held: Held): void {
    if (held.own) {
      held.outgoing?.cut('not wanted')
      held.outgoing = undefined
      this.#forget(held)
      return
    }
    this.#others.delete(held.id)
    cancelHeld(held, 'given up')
  }

  #break(reason: string): void {
    this.#socket.destroy()
    this.#end(reason)
  }

  #end(reason: string): void {
    if (this.#cut) return
    this.#cut = true
    for (const held of this.#own.values()) {
      held.reject?.(new CallFailure('cut', `The line was cut: ${reason}.`))
      held.outgoing?.cut(reason)
      held.incoming?.break(reason)
    }
    for (const held of this.#others.values()) cancelHeld(held, reason)
    this.#own.clear()
    this.#others.clear()
    this.#options.onCut(reason)
  }
}

/** Stands for no call. */
const nobody = newHeld(true, 0)

function cancelHeld(held: Held, reason: string): void {
  held.outgoing?.cut(reason)
  held.incoming?.break(reason)
  if (held.inCall === undefined || held.inCall.cancelled) return
  held.inCall.cancelled = true
  held.inCall.onCancel?.()
}

function newHeld(own: boolean, id: number): Held {
  return {
    own,
    id,
    incoming: undefined,
    outgoing: undefined,
    settle: undefined,
    reject: undefined,
    onNote: undefined,
    inCall: undefined,
    replied: false,
  }
}
