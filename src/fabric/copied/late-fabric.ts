/** A fabric that may not be within reach yet: away until it was opened, and then that one. */
import { EdgeError } from '#/core/errors.ts'
import { createListeners } from '#/core/listeners.ts'
import type { Blobs, Bucket, Change, Fabric } from '#/core/ports.ts'
import type { Milliseconds } from '#/core/units.ts'
import { readAll } from './read-all.ts'

export interface LateFabricOptions {
  readonly open: () => Promise<Fabric>
  /** Between attempts. */
  readonly retryMs: Milliseconds
  readonly report?: (error: unknown) => void
}

/**
 * Tries once before it resolves. What `open` rejects with `fabric_away` is tried again; any other refusal rejects.
 */
export async function openLateFabric({ open, retryMs, report = () => {} }: LateFabricOptions): Promise<Fabric> {
  const first = await tryOnce()
  if (first !== undefined) return first

  const listeners = createListeners<'here' | 'away'>(report)
  const waiting = new Set<(fabric: Fabric) => void>()
  let fabric: Fabric | undefined
  let timer: NodeJS.Timeout | undefined
  let isClosed = false
  let trying: Promise<void> = Promise.resolve()
  schedule()

  async function tryOnce(): Promise<Fabric | undefined> {
    try {
      return await open()
    } catch (error) {
      if (!(error instanceof EdgeError) || error.code !== 'fabric_away') throw error
      report(error)
      return undefined
    }
  }

  function schedule(): void {
    timer = setTimeout(() => {
      trying = tryAgain()
    }, retryMs)
    timer.unref()
  }

  async function tryAgain(): Promise<void> {
    const opened = await tryOnce().catch(report)
    if (opened === undefined) {
      if (!isClosed) schedule()
      return
    }
    fabric = opened
    if (isClosed) return
    for (const take of waiting) take(opened)
    waiting.clear()
    opened.onState((state) => listeners.tell(() => true, state))
    listeners.tell(() => true, opened.state)
  }

  function here(): Fabric {
    if (fabric === undefined) throw new EdgeError('fabric_away', 'What the nodes share has not been reached yet.')
    return fabric
  }

  /** At once where there is one, else when there is; returns how to take it back. */
  function whenOpen(work: (fabric: Fabric) => () => void): () => void {
    if (fabric !== undefined) return work(fabric)
    let undo: (() => void) | undefined
    const take = (opened: Fabric) => {
      undo = work(opened)
    }
    waiting.add(take)
    return () => {
      waiting.delete(take)
      undo?.()
    }
  }

  const bucket = (name: string, placement?: Parameters<Fabric['bucket']>[1]): Bucket => ({
    get: async (key) => here().bucket(name, placement).get(key),
    put: async (key, value, how) => here().bucket(name, placement).put(key, value, how),
    delete: async (key, how) => here().bucket(name, placement).delete(key, how),
    list: async (wish) => here().bucket(name, placement).list(wish),
    all: (how) => readAll(here().bucket(name, placement), how),
    watch: (prefix, listener: (change: Change) => void) =>
      whenOpen((opened) => opened.bucket(name, placement).watch(prefix, listener)),
  })
  const blobs: Blobs = {
    put: async (bytes) => here().blobs.put(bytes),
    get: async (hash) => here().blobs.get(hash),
    stream: async (hash, range) => here().blobs.stream(hash, range),
    has: async (hash) => here().blobs.has(hash),
    async *list() {
      yield* here().blobs.list()
    },
    delete: async (hash, how) => here().blobs.delete(hash, how),
  }

  return {
    bucket,
    blobs,
    publish: (topic, message) => fabric?.publish(topic, message),
    subscribe: (topic, listener) => whenOpen((opened) => opened.subscribe(topic, listener)),
    lease: async (name, ttl) => here().lease(name, ttl),
    get state() {
      return fabric?.state ?? 'away'
    },
    onState: (listener) => listeners.add('', listener),
    async close() {
      isClosed = true
      clearTimeout(timer)
      await trying
      await fabric?.close()
    },
  }
}
