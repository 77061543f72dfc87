/**
 * Metadata of Compute's KV stores is any text, that of Workers KV is JSON; both see the same keys. A text is kept as a JSON
 * string, so that a Worker reads it as one; JSON that a Worker wrote is shown to Compute as it stands.
 */

export function keepText(text: string): string {
  return JSON.stringify(text)
}

/** `metadata` is serialized JSON, as `KvValue` has it. */
export function showText(metadata: string): string {
  const value: unknown = JSON.parse(metadata)
  return typeof value === 'string' ? value : metadata
}
