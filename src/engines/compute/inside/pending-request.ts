/** A request on its way to a backend, and what came of it. */
import { type FetchedHead, type FetchHead, type SendErrorTag, sendErrorTag } from '../fetch-protocol.ts'
import { asHead } from '../protocol.ts'
import type { OutBody } from '../wire-body.ts'
import type { Message, SentBody } from '../wire-messages.ts'
import { GuestBody } from './bodies.ts'
import { announcedLength, type Fields, GuestResponse } from './messages.ts'
import type { Sandbox } from './sandbox.ts'
import { type Status, status } from './status.ts'

/** Why there is no answer. */
export interface SendFailure {
  readonly failed: SendErrorTag
  readonly message: string
  readonly tlsAlert?: number
}

export interface SendOutcome {
  readonly response: GuestResponse
  readonly body: GuestBody
}

type HeaderChange = (fields: Fields) => void

export class PendingRequest {
  outcome: SendOutcome | SendFailure | undefined
  readonly #waiting: (() => void)[] = []
  /** Made to the answer before the program, or the client, sees it. */
  readonly changes: { readonly kind: 'any' | 'response' | 'error'; readonly change: HeaderChange }[] = []

  constructor(reply: Promise<Message>, bodyCap: number) {
    reply.then(
      (message) => this.#settle(outcomeOf(message, bodyCap)),
      (error: Error) => this.#settle({ failed: 'internalError', message: error.message }),
    )
  }

  #settle(outcome: SendOutcome | SendFailure): void {
    this.outcome = outcome
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  get ready(): boolean {
    return this.outcome !== undefined
  }

  whenReady(callback: () => void): void {
    if (this.ready) callback()
    else this.#waiting.push(callback)
  }

  /** Never rejects. */
  async settled(): Promise<SendOutcome | SendFailure> {
    if (this.outcome === undefined) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    return this.outcome!
  }

  apply(fields: Fields, kind: 'response' | 'error'): void {
    for (const one of this.changes) if (one.kind === 'any' || one.kind === kind) one.change(fields)
  }
}

function outcomeOf({ head, body }: Message, bodyCap: number): SendOutcome | SendFailure {
  const fetched = head as unknown as FetchedHead
  if ('failed' in fetched) return fetched
  const response = new GuestResponse()
  response.status = fetched.status
  response.headers.list = fetched.headers
  response.origin = fetched.origin
  const guestBody = new GuestBody(bodyCap, body)
  guestBody.announced = announcedLength(fetched.headers)
  return { response, body: guestBody }
}

/** Starts a request; `out` is there where its body is a stream that is still to be fed. */
export function startFetch(
  sandbox: Sandbox,
  head: Omit<FetchHead, 'do' | 'run'>,
  body: SentBody,
): { readonly pending: PendingRequest; readonly out: OutBody | undefined } {
  const call = sandbox.line.call(asHead({ do: 'fetch', run: sandbox.run.run, ...head }), body)
  sandbox.onEnd(() => call.cancel())
  return { pending: new PendingRequest(call.reply, sandbox.limits.bodyBytes), out: call.out }
}

/** The ABI's number beside the detail. */
export function statusOfFailure({ failed }: SendFailure): Status {
  if (failed === 'connectionTerminated' || failed === 'httpIncompleteResponse') return status.httpIncomplete
  if (failed === 'httpProtocolError' || failed === 'httpResponseStatusInvalid') return status.httpInvalid
  if (failed === 'httpResponseHeaderSectionTooLarge') return status.httpHeadTooLarge
  if (failed === 'httpRequestUriInvalid') return status.httpUser
  if (failed === 'destinationNotFound') return status.invalidArgument
  return status.error
}

const maskOfAlert = 1 << 3

/** Writes `send_error_detail` at `pointer`: fields beyond the tag only where the program's mask says that it knows them. */
export function giveDetail(sandbox: Sandbox, pointer: number, failure: SendFailure | undefined): void {
  const { memory } = sandbox
  const known = memory.readU32(pointer + 4)
  memory.u32(pointer, failure === undefined ? sendErrorTag.ok : sendErrorTag[failure.failed])
  const hasAlert = failure?.tlsAlert !== undefined && (known & maskOfAlert) !== 0
  if (hasAlert) memory.u8(pointer + 12, failure.tlsAlert!)
  memory.u32(pointer + 4, hasAlert ? maskOfAlert : 0)
}
