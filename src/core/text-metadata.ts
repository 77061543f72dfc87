/**
 * Metadata of Compute's KV stores is any text, that of Workers KV is JSON; both see the same keys. A text is kept as a JSON
 * string, so that a Worker reads it as one; JSON that a Worker wrote is shown to Compute as it stands.
 */
import { EdgeError } from './errors.ts'
import type { Limits } from './limits.ts'

/** Throws `body_too_large` (413) for a longer one than Fastly takes. */
export function keepText(text: string, limits: Pick<Limits, 'computeKvMetadataBytes'>): string {
  const [bytes, most] = [Buffer.byteLength(text), limits.computeKvMetadataBytes]
  if (bytes > most) throw new EdgeError('body_too_large', `Metadata length of ${bytes} exceeds limit of ${most}.`)
  return JSON.stringify(text)
}

/** `metadata` is serialized JSON, as `KvValue` has it. */
export function showText(metadata: string): string {
  const value: unknown = JSON.parse(metadata)
  return typeof value === 'string' ? value : metadata
}
