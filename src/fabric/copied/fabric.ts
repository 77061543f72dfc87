/**
 * A node's view of what is shared: an SQLite fabric in its own folder that holds what it read, kept up by watching. Reads
 * come from the copy; writes go to the shared one first, then into the copy, so that a node reads what it wrote. While the
 * shared one is away reads go on and writes are refused; a node also starts from its copy.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { EdgeError } from '#/core/errors.ts'
import { createListeners } from '#/core/listeners.ts'
import type { Entry, Fabric } from '#/core/ports.ts'
import type { BlobHash } from '#/core/snapshot.ts'
import { createCopiedBlobs } from './blobs.ts'
import { type CopiedBucket, createCopiedBucket } from './bucket.ts'
import { copiedBuckets, isCopied } from './copied-buckets.ts'

export interface CopiedFabricOptions {
  readonly shared: Fabric
  /** In the node's folder; closed with this one. */
  readonly copy: Fabric
  /** Which buckets are copied; by default those of `copied-buckets.ts`. */
  readonly copies?: (bucket: string) => boolean
  /** Hears what could not be copied. */
  readonly report?: (error: unknown) => void
}

export interface CopiedFabric extends Fabric {
  /** Takes a blob into the copy from another node that has it. Rejects when what comes is not that blob. */
  keepBlob(hash: BlobHash, source: AsyncIterable<Uint8Array>): Promise<void>
  /** The same for an entry of a bucket that is copied. */
  keepEntry(bucket: string, entry: Entry): Promise<void>
  /** Where to ask for a blob while what is shared does not answer. */
  findBlobsWith(find: (hash: BlobHash) => Promise<AsyncIterable<Uint8Array> | undefined>): void
  /** Removes blobs from the copy that are shared no longer and were stored before then. Returns how many. */
  sweepCopy(storedBefore: number): Promise<number>
}

type Placement = Parameters<Fabric['bucket']>[1]

/** Between attempts to learn what is shared, while it is here. */
const againMs = 500
const identity = { bucket: 'platform', key: 'id' }

export async function openCopiedFabric(options: CopiedFabricOptions): Promise<CopiedFabric> {
  const { shared, copy, copies = isCopied, report = warn } = options
  const listeners = createListeners<'here' | 'away'>(report)
  const buckets = new Map<string, CopiedBucket>()
  const firsts = new Map<string, Promise<unknown>>()
  /** Another platform than the one that was copied, in a sentence. */
  let stranger: string | undefined
  let isClosed = false

  const stateOf = (): 'here' | 'away' => (shared.state === 'away' || stranger !== undefined ? 'away' : 'here')
  let state = stateOf()
  function noteState(): void {
    if (state === stateOf()) return
    state = stateOf()
    listeners.tell(() => true, state)
  }

  /** A fabric that was emptied, or is another platform's, must not empty this copy. */
  async function checkIdentity(): Promise<void> {
    const own = await copy.bucket(identity.bucket).get(identity.key)
    if (own === undefined) return
    const theirs = await shared.bucket(identity.bucket).get(identity.key)
    // The copy has the revision in front.
    const same = theirs !== undefined && Buffer.compare(own.value.subarray(8), theirs.value) === 0
    stranger = same ? undefined : theirs === undefined ? 'it is empty' : 'it is another platform'
    if (same) return
    report(new EdgeError('fabric_away', `What is shared is not what this node has a copy of: ${stranger}.`))
  }

  async function connect(): Promise<void> {
    await checkIdentity()
    try {
      if (stranger === undefined) await Promise.all([...buckets.values()].map((bucket) => bucket.sync()))
    } finally {
      // Only now: who hears that it is here goes by what the copy says.
      noteState()
    }
  }

  /** One run at a time; asked for meanwhile it runs once more. */
  let running: Promise<void> | undefined
  let isWanted = false
  function syncAll(): void {
    if (isClosed || shared.state === 'away') return
    isWanted = true
    running ??= (async () => {
      while (isWanted) {
        isWanted = false
        await connect().catch(async (error) => {
          report(error)
          // What is shared may write again before it answers what is read: nothing else would ask anew.
          await wait(againMs)
          isWanted ||= !isClosed && shared.state === 'here'
        })
      }
      running = undefined
    })()
  }

  const stopState = shared.onState((now) => {
    if (now === 'here') syncAll()
    else noteState()
  })

  function open(name: string, placement?: Placement): CopiedBucket {
    const known = buckets.get(name)
    if (known !== undefined) return known
    const bucket = createCopiedBucket({
      shared: guarded(name, placement),
      copy: copy.bucket(name),
      ready: () => firsts.get(name)!,
      onTrouble(error) {
        report(error)
        syncAll()
      },
    })
    buckets.set(name, bucket)
    firsts.set(name, state === 'away' ? Promise.resolve() : bucket.sync().catch((error) => isClosed || report(error)))
    return bucket
  }

  /** Nothing is written to a stranger. */
  function guarded(name: string, placement: Placement): ReturnType<Fabric['bucket']> {
    const bucket = shared.bucket(name, placement)
    const refuse = () => {
      if (stranger !== undefined)
        throw new EdgeError('fabric_away', `What is shared is not what this node has a copy of: ${stranger}.`)
    }
    return {
      get: (key) => bucket.get(key),
      list: (wish) => bucket.list(wish),
      watch: (prefix, listener) => bucket.watch(prefix, (change) => stranger === undefined && listener(change)),
      async put(key, value, how) {
        refuse()
        return bucket.put(key, value, how)
      },
      async delete(key, how) {
        refuse()
        return bucket.delete(key, how)
      },
    }
  }

  if (shared.state === 'here') await checkIdentity().catch(report)
  state = stateOf()
  // Beside each other: asked for one after the other over a long way, they are most of what a start takes.
  if (state === 'here' && copies === isCopied) for (const name of Object.keys(copiedBuckets)) open(name)
  let findBlob: Parameters<CopiedFabric['findBlobsWith']>[0] = async () => undefined
  const blobs = createCopiedBlobs({
    shared: shared.blobs,
    copy: copy.blobs,
    isAway: () => state === 'away',
    elsewhere: (hash) => findBlob(hash),
  })
  let closing: Promise<void> | undefined
  async function close(): Promise<void> {
    isClosed = true
    stopState()
    await shared.close()
    for (const bucket of buckets.values()) bucket.close()
    await running
    await copy.close()
  }

  return {
    // What stays in some countries bears them in its name: `NAME@COUNTRIES`.
    bucket: (name, placement) =>
      copies(name.split('@', 1)[0]!) ? open(name, placement) : shared.bucket(name, placement),
    blobs,
    publish: (topic, message) => shared.publish(topic, message),
    subscribe: (topic, listener) => shared.subscribe(topic, listener),
    lease: (name, ttl) => shared.lease(name, ttl),
    get state() {
      return state
    },
    onState: (listener) => listeners.add('', listener),
    keepBlob: (hash, source) => blobs.keep(hash, source),
    keepEntry: (name, entry) => open(name).keep(entry),
    findBlobsWith(find) {
      findBlob = find
    },
    async clean() {
      await Promise.all([...buckets.values()].map((bucket) => bucket.sync()))
      await blobs.sweep(Number.POSITIVE_INFINITY)
      await copy.clean?.()
    },
    sweepCopy: (storedBefore) => blobs.sweep(storedBefore),
    close() {
      closing ??= close()
      return closing
    },
  }
}

function warn(error: unknown): void {
  process.emitWarning(`A node's copy of what is shared: ${error instanceof Error ? error.message : String(error)}`)
}
