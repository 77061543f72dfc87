/** What goes over a line between a node and a Compute cell, as both ends see it. */
import type { PackedHead } from './packed-head.ts'
import type { InBody, OutBody } from './wire-body.ts'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json | undefined }
export type Head = { readonly [name: string]: Json | undefined }

/** `'stream'`: the bytes follow through `out`. */
export type SentBody = Uint8Array | null | 'stream'

export interface Message {
  /** Empty where the head is packed. */
  readonly head: Head
  readonly packed: PackedHead | undefined
  readonly body: InBody | Uint8Array | null
}

export interface Reply {
  readonly head: Head
  readonly body: SentBody
}

export interface PackedReply {
  readonly head: PackedHead
  readonly body: SentBody
}

/** Hears what the other side says before its reply. An object, as `Waiter`. */
export interface NoteTaker {
  takeNote(head: Head): void
}

/** A call that this side started. */
export interface OutCall {
  /** Rejects with a `CallFailure`. */
  readonly reply: Promise<Message>
  /** There when the body was `'stream'`. */
  readonly out: OutBody | undefined
  note(head: Head): void
  /** Nobody wants the reply any more, nor the rest of its body. */
  cancel(): void
}

/** Who works on an answer. */
export interface Waiter {
  callerLeft(): void
}

/** A call that the other side started. */
export interface InCall extends Message {
  /** For the stream of a reply whose body is `'stream'`. */
  readonly out: OutBody
  note(head: Head): void
  onNote: ((head: Head) => void) | undefined
  /** Set when the other side has given up, or the line is cut. */
  cancelled: boolean
  /** Told when that happens. An object: V8 lets a closure that is kept here for each call outlive young collections. */
  waiter: Waiter | undefined
  reply(reply: Reply | PackedReply): void
  fail(failure: CallFailure): void
}

/** A failure that crosses the line: `code` is an `ErrorCode` or `'cut'` when the line itself broke. */
export class CallFailure extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.name = 'CallFailure'
    this.code = code
  }
}

export interface Line {
  call(head: Head | PackedHead, body: SentBody, notes?: NoteTaker): OutCall
  /** A word that nobody answers. */
  tell(head: Head): void
  /** Since when frames wait for the end of this round of the event loop, in `performance.now()`. */
  readonly waitsSince: number | undefined
  /** Lets them go now: for who is about to keep the thread busy. */
  flush(): void
  close(): void
}

/** A call whose answer nobody hears. */
export function silentCall(head: object): InCall {
  return new SilentCall(head as Head)
}

class SilentCall implements InCall {
  readonly head: Head
  readonly packed = undefined
  readonly body = null
  onNote: InCall['onNote'] = undefined
  cancelled = false
  waiter: Waiter | undefined = undefined

  constructor(head: Head) {
    this.head = head
  }

  get out(): never {
    throw new Error('nobody hears a reply')
  }

  note(): void {}
  reply(): void {}
  fail(): void {}
}
