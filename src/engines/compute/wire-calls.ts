/**
 * Calls on a line, as its two ends hold them; see `wire.ts`. Classes: V8 gives each literal with an accessor a shape of its
 * own, in its old generation, and what an old shape's accessor holds outlives young collections though nobody needs it.
 */
import type { PackedHead } from './packed-head.ts'
import type { InBody, OutBody } from './wire-body.ts'
import type { ReadMessage } from './wire-frames.ts'
import type {
  CallFailure,
  Head,
  InCall,
  Message,
  NoteTaker,
  OutCall,
  PackedReply,
  Reply,
  Waiter,
} from './wire-messages.ts'

/** What a call needs of its line. */
export interface CallLine {
  openOut(call: HeldCall): OutBody
  note(call: HeldCall, head: Head): void
  reply(call: TakenCall, reply: Reply | PackedReply): void
  fail(call: TakenCall, failure: CallFailure): void
  cancel(call: OwnCall): void
}

/** One call of either side. */
export abstract class HeldCall {
  abstract readonly own: boolean
  /** 0: of no call. */
  id: number
  incoming: InBody | undefined = undefined
  outgoing: OutBody | undefined = undefined
  replied = false
  protected readonly line: CallLine

  constructor(line: CallLine, id: number) {
    this.line = line
    this.id = id
  }

  abstract onNoteTaken(head: Head): void

  note(head: Head): void {
    this.line.note(this, head)
  }
}

/** A call that this end made. */
export class OwnCall extends HeldCall implements OutCall {
  readonly own = true
  readonly reply: Promise<Message>
  readonly #notes: NoteTaker | undefined
  #resolve!: (message: Message) => void
  #reject!: (failure: CallFailure) => void

  constructor(line: CallLine, notes: NoteTaker | undefined) {
    super(line, 0)
    this.#notes = notes
    this.reply = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  get out(): OutBody | undefined {
    return this.outgoing
  }

  cancel(): void {
    this.line.cancel(this)
  }

  onNoteTaken(head: Head): void {
    this.#notes?.takeNote(head)
  }

  settle(message: Message): void {
    this.#resolve(message)
  }

  reject(failure: CallFailure): void {
    this.#reject(failure)
  }
}

/** A call that the other end made. */
export class TakenCall extends HeldCall implements InCall {
  readonly own = false
  readonly head: Head
  readonly packed: PackedHead | undefined
  body: InBody | Uint8Array | null
  cancelled = false
  onNote: ((head: Head) => void) | undefined = undefined
  waiter: Waiter | undefined = undefined

  constructor(line: CallLine, id: number, { head, packed, body }: ReadMessage) {
    super(line, id)
    this.head = head
    this.packed = packed
    this.body = body
  }

  /** Its body arrives in pieces. */
  streams(body: InBody): void {
    this.body = this.incoming = body
  }

  get out(): OutBody {
    this.outgoing ??= this.line.openOut(this)
    return this.outgoing
  }

  onNoteTaken(head: Head): void {
    this.onNote?.(head)
  }

  reply(reply: Reply | PackedReply): void {
    if (this.cancelled || this.replied) return
    if (reply.body === 'stream') this.outgoing ??= this.line.openOut(this)
    this.replied = true
    this.line.reply(this, reply)
  }

  fail(failure: CallFailure): void {
    if (this.cancelled || this.replied) return
    this.replied = true
    this.line.fail(this, failure)
  }

  /** The caller has given up, or is gone. */
  end(reason: string): void {
    this.outgoing?.cut(reason)
    this.incoming?.break(reason)
    if (this.cancelled) return
    this.cancelled = true
    this.waiter?.callerLeft()
  }
}
