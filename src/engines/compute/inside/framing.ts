/** Who says how long a body is: the platform, or the program where it took that over (`framing_headers_mode_set`). */
import type { HeaderList } from '#/core/exchange.ts'
import type { OutBody } from '../wire-body.ts'
import type { Fields, GuestRequest, GuestResponse } from './messages.ts'
import type { Sandbox } from './sandbox.ts'

/** A way out for a body. */
export type BodyOut = Pick<OutBody, 'write' | 'end' | 'fail' | 'ready' | 'whenReady' | 'cutReason' | 'onCut'>

type ManualFraming =
  | { readonly kind: 'automatic' }
  /** The fields make no sense together: the platform frames the message, and the program is told why. */
  | { readonly kind: 'refused'; readonly why: string }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'length'; readonly bytes: number }

/** What a program's own framing fields say (RFC 9112 §6.2, §6.3); without any, framing is automatic. */
function manualFraming(headers: Fields): ManualFraming {
  const lengths = headers.values('content-length')
  const codings = headers.values('transfer-encoding')
  if (codings.length > 0 && lengths.length > 0)
    return { kind: 'refused', why: 'Content-Length and Transfer-Encoding together' }
  if (codings.length > 0)
    return codings.length === 1 && codings[0]!.toLowerCase() === 'chunked'
      ? { kind: 'chunked' }
      : { kind: 'refused', why: 'a Transfer-Encoding other than chunked' }
  if (lengths.length === 0) return { kind: 'automatic' }
  return lengths.length === 1 && /^\d{1,15}$/.test(lengths[0]!)
    ? { kind: 'length', bytes: Number(lengths[0]) }
    : { kind: 'refused', why: 'a Content-Length that is not one number' }
}

/** All fields but those that frame; with `length`, that as `Content-Length`. */
function withLength({ list }: Fields, length: number | undefined): HeaderList {
  const kept: HeaderList = []
  for (let index = 0; index < list.length; index += 2) {
    const name = list[index]!
    if (name !== 'transfer-encoding' && name !== 'content-length') kept.push(name, list[index + 1]!)
  }
  if (length !== undefined) kept.push('content-length', String(length))
  return kept
}

export interface Framed {
  readonly headers: HeaderList
  /** The program's own `Content-Length`: no byte more is sent, and none less without an error. */
  readonly exact?: number
  /** The body goes without a length, also where one is known. */
  readonly chunked: boolean
}

/** How a message leaves whose body has `length` bytes, undefined: nobody knows, or there is none. */
export function frame(
  sandbox: Pick<Sandbox, 'print'>,
  { headers, framing }: Pick<GuestRequest | GuestResponse, 'headers' | 'framing'>,
  length: number | undefined,
): Framed {
  const manual = framing === 1 ? manualFraming(headers) : undefined
  if (manual?.kind === 'length')
    return { headers: withLength(headers, manual.bytes), exact: manual.bytes, chunked: false }
  if (manual?.kind === 'chunked') return { headers: withLength(headers, undefined), chunked: true }
  if (manual?.kind === 'refused') sandbox.print('stderr', `framing headers are set automatically: ${manual.why}`)
  return { headers: withLength(headers, length), chunked: false }
}

/** Undefined where the body falls short of `exact`: it is sent as one that breaks off. */
export function cutTo(exact: number | undefined, whole: Uint8Array | undefined): Uint8Array | undefined {
  if (exact === undefined || whole === undefined || exact === whole.length) return whole
  return exact < whole.length ? whole.subarray(0, exact) : undefined
}

/**
 * A way out that keeps the length a program announced: what is beyond it is cut off, and what falls short of it ends as
 * a body that broke off, never as one that is whole.
 */
export class ExactOut implements BodyOut {
  readonly #out: OutBody
  #left: number

  constructor(out: OutBody, length: number) {
    this.#out = out
    this.#left = length
  }

  write(bytes: Uint8Array): Promise<void> | undefined {
    const fitting = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes
    this.#left -= fitting.length
    return this.#out.write(fitting)
  }

  end(trailers?: readonly string[]): void {
    if (this.#left > 0) this.fail(`the body ended ${this.#left} bytes before the length that the program announced`)
    else this.#out.end(trailers)
  }

  fail(reason: string): void {
    this.#out.fail(reason)
  }

  get ready(): boolean {
    return this.#out.ready
  }

  whenReady(callback: () => void): void {
    this.#out.whenReady(callback)
  }

  get cutReason(): string | undefined {
    return this.#out.cutReason
  }

  get onCut(): (() => void) | undefined {
    return this.#out.onCut
  }

  set onCut(callback: (() => void) | undefined) {
    this.#out.onCut = callback
  }
}
