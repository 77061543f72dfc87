/**
 * Where the shared cache keeps answers: the contract between the fetching side (`fetch-cached.ts`) and the stores
 * (`memory/`, `disk/`, and the two tiers together). A store never decides what may be kept or whether it is fresh.
 */
import type { Readable } from 'node:stream'
import type { HeaderList } from '#/core/exchange.ts'
import type { Bytes, EpochMs } from '#/core/units.ts'

/** All that is known of a stored answer besides its body. Immutable and JSON-serialisable; the store does not look in. */
export interface StoredHead {
  /** Primary key (RFC 9111 §2), as `cache-key.ts` writes it. */
  readonly key: string
  /** Secondary key: what the fields named by `Vary` said, normalised; '' where there is no `Vary`. */
  readonly variant: string
  /** Names of the fields in `Vary`, lower case. */
  readonly vary: readonly string[]
  readonly url: string
  readonly status: number
  readonly headers: HeaderList
  readonly tags: readonly string[]
  /** Who fetched it: a site's or a program's name. Purges are scoped by it. */
  readonly scope: string
  readonly requestedAt: EpochMs
  readonly receivedAt: EpochMs
  /** The purge sequence when its fetch began: older than a matching purge means gone. */
  readonly sequence: number
  /** What `decide.ts` computed at storing time and needs again. */
  readonly policy: Readonly<Record<string, unknown>>
  /** Sensitive: it is kept in memory alone. */
  readonly memoryOnly?: true
  /** First byte of the body within the whole representation; absent: complete from 0. */
  readonly partial?: { readonly start: number; readonly total: number | undefined }
}

export interface StoredAnswer {
  readonly head: StoredHead
  readonly bodyBytes: Bytes
  /** The whole body at once where it lies in memory; else `undefined` and `stream` has it. */
  bytes(): Uint8Array | undefined
  /** `range` is inclusive. A flipped byte on disk destroys the stream with an error before it is handed out. */
  stream(range?: { readonly start: number; readonly end: number }): Readable
}

/** A body on its way in: readers may follow it while it grows. */
export interface BodyWriter {
  /** True (or a promise of it) when more may be written. False: the store gave up (full); go on serving without it. The chunk must not change any more. */
  write(chunk: Uint8Array): boolean | Promise<boolean>
  /**
   * Seen by `find` from here on; replaces the same key, variant and part (`partialStart`), and a complete answer also
   * replaces the parts of its variant. Undefined when the store gave up; what it was to replace may then remain.
   */
  finish(): Promise<StoredAnswer | undefined>
  /** Nothing of it is kept. */
  abort(): void
}

export interface CacheStore {
  /** All variants and parts stored under a key. At once (no promise) where memory knows: the hit path waits for nothing. */
  find(key: string): readonly StoredAnswer[] | Promise<readonly StoredAnswer[]>
  /** As `find`, where memory knows; undefined where it would have to read. Begins nothing. */
  peek(key: string): readonly StoredAnswer[] | undefined
  /** `expectedBytes`: from Content-Length where known; the store may refuse (undefined) what can never fit. */
  open(head: StoredHead, expectedBytes: Bytes | undefined): BodyWriter | undefined
  /** New head, same body: after a 304 (RFC 9111 §4.3.4). Undefined when the answer is gone meanwhile. */
  refresh(stored: StoredAnswer, head: StoredHead): Promise<StoredAnswer | undefined>
  /** Drops what an answer with its head would replace, even where that is a newer one. */
  remove(stored: StoredAnswer): void
  /** Drops what matches; the caller has already made these unanswerable, so this may take its time. */
  removeWhere(match: (head: StoredHead) => boolean): Promise<number>
  readonly size: { readonly memoryBytes: Bytes; readonly diskBytes: Bytes; readonly entries: number }
  close(): Promise<void>
}
