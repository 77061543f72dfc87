/** Blobs that are shared, kept in this node's copy from the first time they are read. */
import type { Blobs } from '#/core/ports.ts'
import type { BlobHash } from '#/core/snapshot.ts'

interface Parts {
  readonly shared: Blobs
  readonly copy: Blobs
  readonly isAway: () => boolean
  /** Asked while what is shared does not answer. */
  readonly elsewhere: (hash: BlobHash) => Promise<AsyncIterable<Uint8Array> | undefined>
}

export interface CopiedBlobs extends Blobs {
  /** Into the copy, from another node that has it. Rejects when what comes has another hash. */
  keep(hash: BlobHash, source: AsyncIterable<Uint8Array>): Promise<void>
  /** Removes from the copy what is shared no longer. Returns how many. */
  sweep(storedBefore: number): Promise<number>
}

export function createCopiedBlobs({ shared, copy, isAway, elsewhere }: Parts): CopiedBlobs {
  /** Several that ask for one at once wait for one. */
  const filling = new Map<BlobHash, Promise<boolean>>()
  /** In the copy already, on their way to what is shared. */
  const landing = new Set<BlobHash>()

  /** True when the copy has it then: its name is the hash of what arrived. */
  function fill(hash: BlobHash): Promise<boolean> {
    const running = filling.get(hash) ?? fetch(hash).finally(() => filling.delete(hash))
    filling.set(hash, running)
    return running
  }

  async function fetch(hash: BlobHash): Promise<boolean> {
    const source = await shared.stream(hash).catch(async (error: unknown) => {
      const found = await elsewhere(hash)
      if (found === undefined) throw error
      return found
    })
    if (source === undefined) return false
    await keep(hash, source)
    return true
  }

  async function keep(hash: BlobHash, source: AsyncIterable<Uint8Array>): Promise<void> {
    const stored = await copy.put(source)
    if (stored.hash === hash) return
    await copy.delete(stored.hash)
    throw new Error(`The blob ${hash} is damaged: what arrived has the hash ${stored.hash}.`)
  }

  return {
    /** Several that ask for it meanwhile wait for what arrives. */
    async keep(hash, source) {
      if (filling.has(hash) || (await copy.has(hash))) return
      const arriving = keep(hash, source).then(() => true)
      filling.set(hash, arriving)
      await arriving.finally(() => filling.delete(hash))
    },
    /** Into the copy first: a source can be read once only. */
    async put(source) {
      const { hash } = await copy.put(source)
      landing.add(hash)
      try {
        const bytes = await copy.stream(hash)
        return await shared.put(bytes!)
      } finally {
        landing.delete(hash)
      }
    },
    async get(hash) {
      try {
        const own = await copy.get(hash)
        if (own !== undefined) return own
      } catch (error) {
        // Damaged here: what is shared may be whole.
        if (isAway()) throw error
        await copy.delete(hash)
      }
      return (await fill(hash)) ? copy.get(hash) : undefined
    },
    async stream(hash, range) {
      const own = await copy.stream(hash, range)
      if (own !== undefined) return own
      const filled = await fill(hash).catch(() => undefined)
      if (filled === undefined) return shared.stream(hash, range)
      return filled ? copy.stream(hash, range) : undefined
    },
    /** Asked of the shared one where it can be, for that makes it young there. */
    has: (hash) => (isAway() ? copy.has(hash) : shared.has(hash)),
    list: () => shared.list(),
    async delete(hash, options) {
      await shared.delete(hash, options)
      if (options?.storedBefore === undefined || !(await hasQuietly(shared, hash))) await copy.delete(hash)
    },
    async sweep(storedBefore) {
      // Listed before what is shared is: what comes between is in neither list.
      const own = await Array.fromAsync(copy.list())
      const named = new Set<BlobHash>()
      for await (const { hash } of shared.list()) named.add(hash)
      let removed = 0
      for (const { hash, storedAt } of own) {
        if (named.has(hash) || storedAt >= storedBefore || landing.has(hash)) continue
        await copy.delete(hash, { storedBefore })
        removed += 1
      }
      return removed
    },
  }
}

/** Without making it young. */
async function hasQuietly(blobs: Blobs, hash: BlobHash): Promise<boolean> {
  const stream = await blobs.stream(hash, { start: 0, end: 0 }).catch(() => undefined)
  stream?.destroy()
  return stream !== undefined
}
