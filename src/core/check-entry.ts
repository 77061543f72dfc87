/** What a key and a value of a bucket must be, whoever keeps it. */
import { EdgeError } from './errors.ts'
import type { Limits } from './limits.ts'

/** Throws `bad_request` or `body_too_large`. */
export function checkEntry(
  key: string,
  value: Uint8Array,
  limits: Pick<Limits, 'fabricKeyBytes' | 'fabricValueBytes'>,
): void {
  const keyBytes = Buffer.byteLength(key)
  if (keyBytes === 0) throw new EdgeError('bad_request', 'A key of the fabric is never empty.')
  // Two different strings would otherwise become the same bytes: U+FFFD stands for each lone surrogate.
  if (!key.isWellFormed()) throw new EdgeError('bad_request', 'The key is not well-formed Unicode.')
  if (keyBytes > limits.fabricKeyBytes)
    throw new EdgeError('body_too_large', `The key has ${keyBytes} bytes, more than ${limits.fabricKeyBytes}.`)
  if (value.byteLength > limits.fabricValueBytes)
    throw new EdgeError(
      'body_too_large',
      `The value has ${value.byteLength} bytes, more than ${limits.fabricValueBytes}.`,
    )
}
