/** Questions of a program to the node, and what it holds while an answer is on its way. */
import type { Json, Message, SentBody } from '../wire-messages.ts'
import { CallFailure } from '../wire-messages.ts'
import type { Sandbox } from './sandbox.ts'
import { HostcallError, type Status, status } from './status.ts'

/** Codes of a `CallFailure` that a program hears as something else than a plain error. */
const statusOf: Readonly<Record<string, Status>> = {
  bad_request: status.invalidArgument,
  body_too_large: status.limitExceeded,
  overloaded: status.limitExceeded,
}

/** Rejects with `HostcallError`. `what` is a name of `HostCalls`. */
export function askNode(
  sandbox: Sandbox,
  what: string,
  facts: { readonly [name: string]: Json | undefined },
  body: SentBody = null,
): Promise<Message> {
  return heard(sandbox.line.call({ ...facts, do: what, run: sandbox.run.run }, body).reply)
}

/** The reply to a call of one's own making, its failure as a `HostcallError`. */
export async function heard(reply: Promise<Message>): Promise<Message> {
  try {
    return await reply
  } catch (failure) {
    if (!(failure instanceof CallFailure)) throw failure
    throw new HostcallError(statusOf[failure.code] ?? status.error, failure.message)
  }
}

/** An answer that a program asked for and has not taken yet: what a handle holds. `fastly_async_io` may wait for it too. */
export class Pending<Value> {
  readonly settled: Promise<Value>
  ready = false

  /** `answer` may reject: whoever waits hears it. */
  constructor(answer: Promise<Value>) {
    this.settled = answer
    const settle = () => {
      this.ready = true
    }
    answer.then(settle, settle)
  }

  /** Calls back once `ready` is true. */
  whenReady(callback: () => void): void {
    if (this.ready) callback()
    else this.settled.then(callback, callback)
  }
}

/** The bytes of a reply. The node sends these bodies whole. */
export function bytesOf({ body }: Message): Uint8Array {
  return body instanceof Uint8Array ? body : new Uint8Array(0)
}
