/** A bucket's content now, and each change from now on. */
import type { Bucket } from '#/core/ports.ts'

const page = 500

/**
 * Resolves when `each` was called for every key under `prefix`; from then on it is called for each change (`undefined`:
 * deleted). A change that comes while the first pass is reading wins over what that pass read. Returns how to stop.
 */
export async function followBucket(
  bucket: Bucket,
  prefix: string,
  each: (key: string, value: Uint8Array | undefined) => void,
): Promise<() => void> {
  const changed = new Set<string>()
  let reading = true
  const stop = bucket.watch(prefix, (change) => {
    const key = change.kind === 'put' ? change.entry.key : change.key
    if (reading) changed.add(key)
    each(key, change.kind === 'put' ? change.entry.value : undefined)
  })
  let after: string | undefined
  do {
    const entries = await bucket.list({ prefix, limit: page, ...(after === undefined ? {} : { after }) })
    for (const { key, value } of entries) if (!changed.has(key)) each(key, value)
    after = entries.length < page ? undefined : entries.at(-1)!.key
  } while (after !== undefined)
  reading = false
  return stop
}
