/** Every entry of a bucket, in the cheapest way that it has. */
import { setImmediate } from 'node:timers/promises'
import type { Bucket, Entry, ListOptions } from '#/core/ports.ts'

const page = 500

export async function* readAll(
  bucket: Pick<Bucket, 'all' | 'list'>,
  how: Pick<ListOptions, 'keysOnly' | 'valueBytes'> = {},
): AsyncGenerator<Entry> {
  if (bucket.all !== undefined) {
    yield* bucket.all(how)
    return
  }
  for (let after = ''; ; ) {
    const entries = await bucket.list({ ...how, limit: page, ...(after !== '' && { after }) })
    yield* entries
    if (entries.length < page) return
    after = entries.at(-1)!.key
    await setImmediate()
  }
}
