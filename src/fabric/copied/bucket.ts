/**
 * A bucket that is shared, read from this node's copy. The copy holds, before each value, the revision that the shared
 * bucket gave it: what arrives late never covers what is newer.
 */
import { EdgeError } from '#/core/errors.ts'
import type { Bucket, Change, Entry, ListOptions } from '#/core/ports.ts'
import { createTurns } from '../sqlite/turns.ts'

export interface CopiedBucket extends Bucket {
  /** Reads what differs from the shared bucket and makes the copy the same. Rejects while that is away. */
  sync(): Promise<void>
  /** Into the copy, from another node that has it from what is shared; what is newer here stays. */
  keep(entry: Entry): Promise<void>
  close(): void
}

interface Parts {
  readonly shared: Bucket
  readonly copy: Bucket
  /** Resolves when the copy was made once, or what is shared is away. */
  readonly ready: () => Promise<unknown>
  /** Hears of what could not be applied: the copy is made anew when it can be. */
  readonly onTrouble: (error: unknown) => void
}

const head = 8
const page = 500
/** Without their values: each page asks the shared bucket for all of its keys. */
const keysPage = 50_000

export function createCopiedBucket({ shared, copy, ready, onTrouble }: Parts): CopiedBucket {
  const turns = createTurns()
  /** Keys that this node deleted and whose deletion the watch has not told yet: older news of them are no news. */
  const deleted = new Set<string>()

  /** One at a time a key. */
  async function keep(entry: Entry): Promise<void> {
    await turns.take(entry.key, async () => {
      const there = await copy.get(entry.key)
      if (there !== undefined && revisionOf(there) >= entry.revision) return
      await store(entry)
    })
  }

  async function store({ key, value, revision, expiresAt }: Entry): Promise<void> {
    const bytes = Buffer.allocUnsafe(head + value.byteLength)
    bytes.writeBigUInt64BE(BigInt(revision))
    bytes.set(value, head)
    await copy.put(key, bytes, expiresAt === undefined ? {} : { expiresAt })
  }

  /** What the shared bucket says now, whatever the copy has. */
  async function refresh(key: string): Promise<void> {
    await turns.take(key, async () => {
      const entry = await shared.get(key)
      if (entry === undefined) await copy.delete(key)
      else if (revisionOf(await copy.get(key)) !== entry.revision) await store(entry)
    })
  }

  async function hear(change: Change): Promise<void> {
    if (change.kind === 'delete') {
      deleted.delete(change.key)
      // It says no revision: a later write of ours may be in the copy already.
      if ((await copy.get(change.key)) !== undefined) await refresh(change.key)
    } else if (!deleted.has(change.entry.key)) await keep(change.entry)
  }

  let heard: Promise<unknown> = Promise.resolve()
  const stop = shared.watch('', (change) => {
    heard = heard.then(() => hear(change)).catch(onTrouble)
  })

  /** Never rejects: what was written to the shared bucket is written. */
  async function tryToCopy(work: Promise<unknown>): Promise<void> {
    await work.catch(onTrouble)
  }

  return {
    async get(key) {
      await ready()
      const entry = await copy.get(key)
      return entry && open(entry)
    },
    async list(options) {
      await ready()
      return (await copy.list(inCopy(options))).map(open)
    },
    async put(key, value, options) {
      const bytes = new Uint8Array(value)
      const revision = await shared.put(key, bytes, options)
      if (revision === undefined) return undefined
      deleted.delete(key)
      const expiry = options?.expiresAt === undefined ? {} : { expiresAt: options.expiresAt }
      await tryToCopy(keep({ key, value: bytes, revision, ...expiry }))
      return revision
    },
    async delete(key, options) {
      const there = await shared.delete(key, options)
      if (there) {
        deleted.add(key)
        await tryToCopy(turns.take(key, () => copy.delete(key)))
      }
      return there
    },
    watch: (prefix, listener) =>
      copy.watch(prefix, (change) =>
        listener(change.kind === 'put' ? { kind: 'put', entry: open(change.entry) } : change),
      ),
    async sync() {
      deleted.clear()
      const known = await revisions(copy, { valueBytes: head }, revisionOf)
      if (known.size === 0) return copyAll()
      const wanted = await revisions(shared, { keysOnly: true }, (entry) => entry.revision)
      for (const key of known.keys()) if (!wanted.has(key)) await refresh(key)
      for (const [key, revision] of wanted) if (known.get(key) !== revision) await refresh(key)
    },
    keep,
    close: stop,
  }

  async function copyAll(): Promise<void> {
    for (let after = ''; ; ) {
      const entries = await shared.list({ limit: page, ...(after !== '' && { after }) })
      for (const entry of entries) await keep(entry)
      if (entries.length < page) return
      after = entries.at(-1)!.key
    }
  }
}

async function revisions(bucket: Bucket, how: Partial<ListOptions>, revision: (entry: Entry) => number) {
  const all = new Map<string, number>()
  for (let after = ''; ; ) {
    const entries = await bucket.list({ ...how, limit: keysPage, ...(after !== '' && { after }) })
    for (const entry of entries) all.set(entry.key, revision(entry))
    if (entries.length < keysPage) return all
    after = entries.at(-1)!.key
  }
}

/** Without its value an entry in the copy would lack its revision. */
function inCopy({ keysOnly, valueBytes: wanted, ...rest }: ListOptions): ListOptions {
  if (keysOnly) return { ...rest, valueBytes: head }
  return wanted === undefined ? rest : { ...rest, valueBytes: head + wanted }
}

function revisionOf(entry: Entry | undefined): number {
  if (entry === undefined) return 0
  if (entry.value.byteLength < head) throw new EdgeError('internal', `The copy of '${entry.key}' is damaged.`)
  return Number(new DataView(entry.value.buffer, entry.value.byteOffset, head).getBigUint64(0))
}

function open(entry: Entry): Entry {
  return { ...entry, value: entry.value.subarray(head), revision: revisionOf(entry) }
}
