/**
 * One answer in memory. Its head and a small body lie packed in a slab; the head is parsed when somebody asks, and the
 * parsed one is kept while it is among the recently used.
 */
import type { Readable } from 'node:stream'
import { streamBytes } from '../bytes-stream.ts'
import type { StoredAnswer, StoredHead } from '../store.ts'
import { unpackHead } from './pack-head.ts'
import { mostHits, type Queue, type QueueNode } from './s3-fifo.ts'
import type { Resident, Slab } from './slabs.ts'

export interface EntryParts {
  readonly key: string
  readonly hash: number
  readonly slab: Slab
  readonly at: number
  readonly headBytes: number
  readonly bodyBytes: number
  /** A large body with a buffer of its own. */
  readonly ownBody: Uint8Array | undefined
  readonly weight: number
  readonly remember: (entry: MemoryEntry) => void
}

export class MemoryEntry implements StoredAnswer, Resident, QueueNode {
  readonly key: string
  readonly hash: number
  readonly weight: number
  readonly bodyBytes: number
  slab: Slab
  at: number
  hits = 0
  live = true
  /** Used since the clock hand of the parsed heads passed. */
  warm = false
  queue: Queue | undefined = undefined
  newer: QueueNode | undefined = undefined
  older: QueueNode | undefined = undefined
  /** The next variant or part of the same key. */
  sibling: MemoryEntry | undefined = undefined
  /** Set where the key has siblings: then the use counts, as being found says little. */
  countsUse = false
  readonly headBytes: number
  readonly #ownBody: Uint8Array | undefined
  readonly #remember: (entry: MemoryEntry) => void
  #parsed: StoredHead | undefined
  #view: Uint8Array | undefined

  constructor(parts: EntryParts, head: StoredHead) {
    this.key = parts.key
    this.hash = parts.hash
    this.weight = parts.weight
    this.bodyBytes = parts.bodyBytes
    this.slab = parts.slab
    this.at = parts.at
    this.headBytes = parts.headBytes
    this.#ownBody = parts.ownBody
    this.#remember = parts.remember
    this.#parsed = head
    this.#view = parts.ownBody
  }

  get packedBytes(): number {
    return this.headBytes + (this.#ownBody === undefined ? this.bodyBytes : 0)
  }

  get head(): StoredHead {
    this.warm = true
    if (this.#parsed !== undefined) return this.#parsed
    this.#parsed = this.readHead()
    if (this.live) this.#remember(this)
    return this.#parsed
  }

  /** The head without keeping it parsed. */
  readHead(): StoredHead {
    if (this.#parsed !== undefined) return this.#parsed
    return unpackHead(this.key, this.slab.bytes.toString('utf8', this.at, this.at + this.headBytes))
  }

  /** The buffer of a large body, to be shared with a new head. */
  get ownBody(): Uint8Array | undefined {
    return this.#ownBody
  }

  touch(): void {
    if (this.hits < mostHits) this.hits++
  }

  bytes(): Uint8Array {
    if (this.countsUse) this.touch()
    if (this.#view !== undefined) return this.#view
    const start = this.at + this.headBytes
    const view = this.slab.bytes.subarray(start, start + this.bodyBytes)
    if (this.#parsed !== undefined) this.#view = view
    return view
  }

  stream(range?: { readonly start: number; readonly end: number }): Readable {
    return streamBytes(this.bytes(), range)
  }

  moved(): void {
    this.#view = this.#ownBody
  }

  /** Keeps the packed form only. */
  forgetParsed(): void {
    this.#parsed = undefined
    this.#view = this.#ownBody
  }
}
