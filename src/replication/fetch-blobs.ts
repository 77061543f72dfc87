/** Blobs that rows name: fetched before their row is seen, handed to those who may hold such a row. */
import { EdgeError } from '#/core/errors.ts'
import type { MeshHandler } from '#/core/mesh.ts'
import type { NodeId } from '#/core/pops.ts'
import type { Blobs } from '#/core/ports.ts'
import type { BlobHash } from '#/core/snapshot.ts'
import { type Store, scopeNow } from './store.ts'
import { mayHold } from './vector.ts'

export const blobTopic = 'replication/blob'

export interface BlobFetcher {
  /** The blob lies here when this says true. `first` is asked before all others. */
  fetch(hash: BlobHash, first?: NodeId): Promise<boolean>
  readonly serve: MeshHandler
}

export function createBlobFetcher(store: Store, blobs: Blobs): BlobFetcher {
  const { mesh, limits, log } = store
  const inFlight = new Map<BlobHash, Promise<boolean>>()
  const waiting: (() => void)[] = []
  let running = 0

  async function ask(node: NodeId, hash: BlobHash): Promise<boolean> {
    try {
      const signal = AbortSignal.timeout(limits.replicationAskMs)
      const { body } = await mesh.ask(node, blobTopic, { head: { hash }, signal })
      const stored = await blobs.put(body as AsyncIterable<Uint8Array>)
      if (stored.hash === hash) return true
      await blobs.delete(stored.hash)
      log('a peer sent another blob than it was asked for', { node, hash })
    } catch (error) {
      if (!(error instanceof EdgeError)) log('fetching a blob failed', { node, hash, err: error })
    }
    return false
  }

  async function find(hash: BlobHash, first: NodeId | undefined): Promise<boolean> {
    if (running >= limits.replicationBlobFetches) await new Promise<void>((resolve) => waiting.push(resolve))
    running += 1
    try {
      if (await blobs.has(hash)) return true
      const others = mesh.peers().filter((peer) => peer.reachable && peer.node !== first)
      for (const node of [...(first === undefined ? [] : [first]), ...others.map((peer) => peer.node)])
        if (await ask(node, hash)) return true
      return false
    } finally {
      running -= 1
      waiting.shift()?.()
    }
  }

  return {
    fetch(hash, first) {
      const found = inFlight.get(hash)
      if (found !== undefined) return found
      const fetched = find(hash, first).finally(() => inFlight.delete(hash))
      inFlight.set(hash, fetched)
      return fetched
    },
    async serve({ head, from }) {
      const hash = String(head.hash)
      const named = store.reader.bucketsOfBlob(hash)
      const allowed = named.some((bucket) => mayHold(scopeNow(store, bucket), from.country))
      const stream = allowed ? await blobs.stream(hash) : undefined
      if (stream === undefined) throw new EdgeError('not_found', `There is no blob ${hash} for ${from.node} here.`)
      return { body: stream }
    },
  }
}
