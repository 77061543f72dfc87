/** Rows of others, on their way into the state. */
import type { NodeId } from '#/core/pops.ts'
import type { BlobFetcher } from './fetch-blobs.ts'
import { hybridTime } from './hybrid-time.ts'
import type { Row } from './operation.ts'
import { isHere, type Store, scopeNow, tellChange } from './store.ts'

/**
 * Takes what may be taken; resolves when it is on disk. False: something was left out (not allowed here, stamped too far
 * ahead, its blob out of reach), so that nothing may be concluded from the batch about what was seen.
 */
export type Admit = (rows: readonly Row[], from: NodeId) => Promise<boolean>

export function createAdmit(store: Store, fetcher: BlobFetcher): Admit {
  async function merge(rows: readonly Row[]): Promise<void> {
    if (rows.length === 0) return
    const scopes = Object.fromEntries(rows.map(({ bucket }) => [bucket, scopeNow(store, bucket)]))
    const { won = [], own = [] } = await store.writer.submit({ kind: 'merge', rows, scopes })
    for (const [scope, origin, seq] of own) store.seen.add(scope, origin, 1, seq)
    for (const [index, at, before] of won) {
      const row = rows[index]!
      if (row.value !== undefined || before) tellChange(store, row, at)
    }
  }

  async function withBlob(row: Row, from: NodeId): Promise<boolean> {
    const there = await fetcher.fetch(row.blob!, from)
    // The bucket may have left while its blob was on its way.
    if (there && !isHere(store, row.bucket)) return false
    if (there) await merge([row])
    else store.log('a blob is out of reach', { bucket: row.bucket, key: row.key, blob: row.blob, from })
    return there
  }

  return async (rows, from) => {
    const latest = hybridTime(store.clock.now() + store.limits.replicationAheadMs)
    const taken = rows.filter((row) => isHere(store, row.bucket) && row.time <= latest)
    const plain = taken.filter((row) => row.blob === undefined)
    const fetched = taken.filter((row) => row.blob !== undefined).map((row) => withBlob(row, from))
    const [, ...there] = await Promise.all([merge(plain), ...fetched])
    if (rows.some((row) => row.time > latest)) store.log('a peer stamps its writes too far ahead', { node: from })
    return taken.length === rows.length && there.every((one) => one)
  }
}
