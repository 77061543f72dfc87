/**
 * What Workers KV refuses, with the sentences that its runtime shows (`KV PUT failed: 414 UTF-8 encoded length of …`:
 * an EdgeError's status and detail give exactly this).
 */
import { EdgeError } from './errors.ts'
import type { Limits } from './limits.ts'
import type { Bytes } from './units.ts'

/** The refusal of a key above the door's limit or malformed: `bad_request` (400) or `url_too_long` (414). */
export function refuseKey(key: string, limitBytes: Bytes): EdgeError | undefined {
  if (key === '') return new EdgeError('bad_request', 'Key names must not be empty')
  if (key === '.' || key === '..')
    return new EdgeError('bad_request', `Illegal key name "${key}". Please use a different name.`)
  if (!key.isWellFormed()) return new EdgeError('bad_request', 'Key names must be well-formed Unicode')
  return refusePrefix(key, limitBytes)
}

/** The refusal of a list's prefix: one that is longer than any key, `url_too_long` (414). */
export function refusePrefix(prefix: string, limitBytes: Bytes): EdgeError | undefined {
  const bytes = Buffer.byteLength(prefix)
  if (bytes <= limitBytes) return undefined
  const detail = `UTF-8 encoded length of ${bytes} exceeds key length limit of ${limitBytes}.`
  return new EdgeError('url_too_long', detail)
}

/** For Workers' bindings and Cloudflare's API, which take less metadata than a store does. */
export function ofWorkers(limits: Limits): Pick<Limits, 'kvValueBytes' | 'kvMetadataBytes'> {
  return { kvValueBytes: limits.kvValueBytes, kvMetadataBytes: limits.workersKvMetadataBytes }
}

/** The refusal of a value and its serialized metadata: `body_too_large` (413) or `bad_request` (400). */
export function refuseValue(
  valueBytes: number,
  metadata: string | undefined,
  limits: Pick<Limits, 'kvValueBytes' | 'kvMetadataBytes'>,
): EdgeError | undefined {
  if (valueBytes > limits.kvValueBytes)
    return new EdgeError('body_too_large', `Value length of ${valueBytes} exceeds limit of ${limits.kvValueBytes}.`)
  if (metadata === undefined) return undefined
  const metadataBytes = Buffer.byteLength(metadata)
  if (metadataBytes > limits.kvMetadataBytes) {
    const detail = `Metadata length of ${metadataBytes} exceeds limit of ${limits.kvMetadataBytes}.`
    return new EdgeError('body_too_large', detail)
  }
  return isJson(metadata) ? undefined : new EdgeError('bad_request', 'Metadata must be valid JSON')
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
