/**
 * Contracts between the floors. A port exists where there are, or will be, two implementations; each has a contract
 * suite that every implementation runs. `pop.ts` and `platform.ts` hand them over.
 */
import type { Readable } from 'node:stream'
import type { BlobPlacement, StoredBlob } from './blob-names.ts'
import type { CacheWish, PurgeWish } from './cache-policy.ts'
import type { Answer, Client, Exchange, HeaderList } from './exchange.ts'
import type { OriginConnection, OriginPool } from './origin.ts'
import type { Within } from './pops.ts'
import type { EventOutcome, ProgramEvent } from './program-events.ts'
import type { BlobHash, Deployment, ObjectNamespace, Program, ProgramName, Sealed, Snapshot } from './snapshot.ts'
import type { ShieldWish, TierAnswer } from './tiers.ts'
import type { EpochMs, Milliseconds } from './units.ts'

// ─── Fabric: what points of presence share ───────────────────────────────────────────────────────────────────────

/** Grows with each write to a bucket; 0 means «there is no such key». */
export type Revision = number

export interface Entry {
  readonly key: string
  readonly value: Uint8Array
  readonly revision: Revision
  readonly expiresAt?: EpochMs
}

export interface PutOptions {
  /** Write only if the key's revision is this one (0: only if absent). Otherwise nothing is written. */
  readonly expect?: Revision
  readonly expiresAt?: EpochMs
}

export interface ListOptions {
  readonly prefix?: string
  /** Exclusive: the last key of the page before. */
  readonly after?: string
  readonly limit: number
  /** Values are left empty, for a cheap listing of keys. */
  readonly keysOnly?: boolean
  /** Values are cut to their first so many bytes, for a cheap listing of what stands at their head. */
  readonly valueBytes?: number
}

export type Change = { readonly kind: 'put'; readonly entry: Entry } | { readonly kind: 'delete'; readonly key: string }

/** Keys sort by their UTF-8 bytes. A write that was acknowledged is on disk. Expired entries are never seen. */
export interface Bucket {
  get(key: string): Promise<Entry | undefined>
  /** Returns the new revision, or `undefined` when `expect` did not hold. */
  put(key: string, value: Uint8Array, options?: PutOptions): Promise<Revision | undefined>
  /** Returns whether a key was there (and, with `expect`, had that revision). */
  delete(key: string, options?: { readonly expect?: Revision }): Promise<boolean>
  list(options: ListOptions): Promise<readonly Entry[]>
  /**
   * Every entry, in no order, at the cost of one reading; what was written a moment ago may be missing or as it was before.
   * Absent where pages of `list` cost no more.
   */
  all?(how?: Pick<ListOptions, 'keysOnly'>): AsyncIterable<Entry>
  /** Called for each later change with a key under `prefix`; a slow or throwing listener harms nobody. */
  watch(prefix: string, listener: (change: Change) => void): () => void
}

/**
 * Content-addressed bytes. A blob is stored whole or not at all. `put` and a `has` that answers true make a blob young
 * again (`storedAt`), so that a sweep leaves it alone until a record names it.
 */
export interface Blobs {
  /** `within`: only nodes of these countries hold it and its key; its name says so. Refused with `not_here` elsewhere. */
  put(bytes: Uint8Array | AsyncIterable<Uint8Array>, placement?: BlobPlacement): Promise<StoredBlob>
  /** Rejects with `undefined` result when unknown; a flipped bit on disk is reported as an error, never served. */
  get(hash: BlobHash): Promise<Uint8Array | undefined>
  /** For large blobs: `range` is inclusive. `undefined` when unknown. */
  stream(hash: BlobHash, range?: { readonly start: number; readonly end: number }): Promise<Readable | undefined>
  has(hash: BlobHash): Promise<boolean>
  /** For the sweep that removes what no record names any more. `placed`: those that stay in any of these as well. */
  list(
    placed?: readonly Within[],
  ): AsyncIterable<{ readonly hash: BlobHash; readonly bytes: number; readonly storedAt: EpochMs }>
  /** With `storedBefore`, only when it was stored before then (checked and removed as one step). */
  delete(hash: BlobHash, options?: { readonly storedBefore?: EpochMs }): Promise<void>
}

/** A lease that is held until `release` or until it was not renewed in time; `epoch` grows with each new holder. */
export interface Lease {
  readonly epoch: number
  renew(): Promise<boolean>
  release(): Promise<void>
}

export interface Fabric {
  /** `within`: the countries that may hold it; the same for everybody who opens it. Refused with `not_here` elsewhere. */
  bucket(name: string, placement?: { readonly within?: Within }): Bucket
  readonly blobs: Blobs
  publish(topic: string, message: Uint8Array): void
  subscribe(topic: string, listener: (message: Uint8Array) => void): () => void
  /** `undefined` while somebody else holds it. */
  lease(name: string, ttl: Milliseconds): Promise<Lease | undefined>
  /**
   * `away`: what is shared cannot be reached now. Writes and leases then reject with `fabric_away`; reads do too, or answer
   * from this node's copy. The embedded fabric is always `here`.
   */
  readonly state: 'here' | 'away'
  onState(listener: (state: 'here' | 'away') => void): () => void
  /**
   * Resolves when what was deleted and replaced is overwritten on this machine's disk. Rewrites all there is: for what must
   * not be there any more. Absent: nothing of it is on this machine's disk.
   */
  clean?(): Promise<void>
  close(): Promise<void>
}

// ─── Stores: what programs keep ──────────────────────────────────────────────────────────────────────────────────

export interface KvValue {
  readonly value: Uint8Array
  /** Of the record that was read; grows with each write of the key. Absent on what is put. */
  readonly revision?: Revision
  /** Serialized JSON. */
  readonly metadata?: string
  readonly expiresAt?: EpochMs
}

export interface KvKey {
  readonly name: string
  readonly metadata?: string
  readonly expiresAt?: EpochMs
}

export interface KvPage {
  readonly keys: readonly KvKey[]
  /** Absent on the last page. */
  readonly cursor?: string
}

/** Key-value namespaces behind Workers KV and Compute's KV stores. Values over the inline size lie in blobs. */
export interface KvStores {
  get(store: string, key: string): Promise<KvValue | undefined>
  /** With `expect` (0: only where there is no such key), the new revision, or `undefined` when it did not hold. */
  put(
    store: string,
    key: string,
    value: KvValue,
    options?: { readonly expect?: Revision },
  ): Promise<Revision | undefined>
  /** Returns whether a key was there (and, with `expect`, had that revision). */
  delete(store: string, key: string, options?: { readonly expect?: Revision }): Promise<boolean>
  list(store: string, options: { prefix?: string; cursor?: string; limit: number }): Promise<KvPage>
  /** Removes every key of the namespace. */
  clear(store: string): Promise<void>
}

/** Short texts by key, for Compute's config stores; what was acknowledged is read by the next request. */
export interface ConfigStores {
  get(store: string, key: string): Promise<string | undefined>
}

/** Secrets by name, for Compute's secret stores: sealed at rest, opened only for the program that links the store. */
export interface SecretStores {
  get(store: string, name: string): Promise<Uint8Array | undefined>
}

/** Networks with an action, for Compute's ACLs. */
export interface AccessLists {
  /** The entry with the longest prefix that covers the address. */
  lookup(
    store: string,
    address: string,
  ): Promise<{ readonly prefix: string; readonly action: 'ALLOW' | 'BLOCK' } | undefined>
}

/** Secrets at rest: AES-256-GCM under a key that lies beside the data (`D/secret.key`, mode 0600). */
export interface Seal {
  seal(plaintext: string): Sealed
  open(sealed: Sealed): string
}

// ─── Engines: they run tenants' code ─────────────────────────────────────────────────────────────────────────────

export interface ProgramRequest {
  readonly method: string
  /** `scheme://authority` as the client used it; with `path` it makes the URL that the program sees. */
  readonly scheme: 'http' | 'https'
  readonly authority: string
  readonly path: string
  /** End-to-end fields plus what the platform adds (`cf-connecting-ip`, `cf-ray`…); no `host`, no hop-by-hop fields. */
  readonly headers: HeaderList
  readonly body: Readable | null
  /** Serialized `request.cf`. */
  readonly cf: string
  /** 16 hex digits, as in the log. */
  readonly id: string
  readonly client: Client
  /** Address of the socket that the client reached. */
  readonly serverAddress: string
  readonly httpVersion: Exchange['httpVersion']
  /** Fields as the client sent them, hop-by-hop ones too. */
  readonly received: HeaderList
  readonly wantsUpgrade: boolean
  readonly signal: AbortSignal
  /** Interim answers, 103 above all (RFC 8297). */
  readonly onInformational?: (status: number, headers: HeaderList) => void
}

export interface ProgramAnswer extends Answer {
  readonly start: 'cold' | 'warm' | 'pooled'
}

/** What a program exports, learned by starting it. */
export interface ProgramExport {
  readonly name: string
  readonly kind: 'handlers' | 'entrypoint' | 'object' | 'workflow' | 'other'
  /** Event handlers: `fetch`, `scheduled`, `queue`, `tail`… */
  readonly handlers: readonly string[]
}

export type Proof =
  | { readonly ok: true; readonly exports: readonly ProgramExport[]; readonly startupMs: Milliseconds }
  | {
      readonly ok: false
      /** The runtime's own sentence, e.g. `Uncaught SyntaxError: Unexpected token '}'`, with its stack lines. */
      readonly message: string
      readonly module?: string
      readonly line?: number
      readonly column?: number
    }

export interface Engine {
  /** Starts the program away from all others, without traffic; nothing of it serves until a Snapshot names it. */
  prove(program: Pick<Program, 'name' | 'objects'>, deployment: Deployment): Promise<Proof>
  /**
   * Makes ready for a Snapshot: programs that were asked for lately are warm when this resolves. The Snapshot before it
   * goes on serving until then; what is in flight on it finishes.
   */
  adopt(snapshot: Snapshot): Promise<void>
  /** Rejects with an `EdgeError` (`program_*`, `client_gone`, `overloaded`). */
  run(program: Program, deployment: Deployment, request: ProgramRequest): Promise<ProgramAnswer>
  /** What is no request, to its end. Rejects like `run` where the program may not have heard of it, or not to its end. */
  deliver(program: Program, deployment: Deployment, event: ProgramEvent): Promise<EventOutcome>
  /** A hint that a request is coming (TLS ClientHello): loads the program if it is not. Never rejects. */
  warm(program: Program, deployment: Deployment): void
  /** Removes the stored data of object namespaces that no program has any more. */
  forget(objects: readonly ObjectNamespace[]): Promise<void>
  close(): Promise<void>
}

/** What one program of this platform asks of another; `url` is absolute. */
export type ProgramCall = Pick<
  EgressRequest,
  'method' | 'url' | 'headers' | 'body' | 'wantsUpgrade' | 'signal' | 'client' | 'onInformational'
>

// ─── Egress: where else answers come from ────────────────────────────────────────────────────────────────────────

export interface EgressRequest {
  /** Who asks: decides which addresses are allowed. */
  readonly by: { readonly program: ProgramName } | { readonly site: string }
  readonly method: string
  /** Absolute URL. */
  readonly url: string
  readonly headers: HeaderList
  readonly body: Readable | Uint8Array | null
  readonly wantsUpgrade: boolean
  readonly signal: AbortSignal
  /** How the shared cache treats this request; absent: by what the answer itself says. */
  readonly cache?: CacheWish
  /** How to connect; absent: as the limits say. */
  readonly connection?: OriginConnection
  /**
   * Several origins: one of them is asked instead of `url`, whose path starts with that of the first one's URL. They are the
   * owner's word, also where a program asks: the rules of a site hold on the way to them.
   */
  readonly pool?: OriginPool
  /** Address of the client, for `client-hash`. */
  readonly client?: string
  /** The address that the client asked for, when `url` is an origin's: cache keys and purges go by it. */
  readonly publicUrl?: string
  /** Answers in an origin's stead, whenever the cache needs an answer. */
  readonly answeredBy?: (request: EgressRequest) => Promise<Answer>
  /** Changes what the origin said before the cache sees it: header rules, times to live. Called once an origin answer. */
  readonly onOriginAnswer?: (answer: Answer) => Answer
  /** Interim answers, 103 above all (RFC 8297). */
  readonly onInformational?: (status: number, headers: HeaderList) => void
  /** Misses go to the cache of this PoP. */
  readonly shield?: ShieldWish
  /** A program reads the answer: a 304 is its own affair, whatever it asked. */
  readonly toProgram?: true
  /** Asked by the cache of another PoP: gets what is said to caches alone, and nothing that is stale by a purge. */
  readonly forTier?: true
}

/** A GET or HEAD without a body, as the client sent it. */
export interface HitRequest extends Pick<EgressRequest, 'by' | 'method' | 'headers' | 'cache'> {
  /** As `publicUrl` of `purge-wishes.ts` writes it. */
  readonly publicUrl: string
  /** Lower-case names of fields that an origin gets otherwise than they stand here: these select no hit. */
  readonly changed: ReadonlySet<string>
}

/** An answer that may have come through the shared cache. */
export interface EgressAnswer extends Answer {
  /** Value of our member of `Cache-Status` (RFC 9211 §2); absent when the cache was not asked. */
  readonly cacheStatus?: string
  readonly cacheOutcome?: CacheOutcome
  /** How often this stored answer has been used, this time included; 0 where it came from the origin. */
  readonly cacheHits?: number
  /** Who answered, where it came straight from an origin. */
  readonly origin?: { readonly address: string; readonly port: number }
  /** Absent where no shield was wished for, or asked for this answer. */
  readonly tier?: TierAnswer
  /** The tier above had nothing fresh: goes to this one client and is not stored. */
  readonly stale?: true
}

/** In a word, as logs and `cf-cache-status` have it. `dynamic`: the answer may not be stored. */
export type CacheOutcome = 'hit' | 'miss' | 'expired' | 'stale' | 'updating' | 'revalidated' | 'bypass' | 'dynamic'

/**
 * The shared cache: an egress in front of the egress, so that sites and programs go through one. Purges are acknowledged
 * once nothing fetched before them can answer any more, whatever was in flight (hard), or only as stale (soft).
 */
export interface SharedCache extends Egress {
  fetch(request: EgressRequest): Promise<EgressAnswer>
  /** At once, where a fresh answer lies in memory. Undefined says nothing: `fetch` finds out. */
  hit(request: HitRequest): EgressAnswer | undefined
  purge(wishes: readonly PurgeWish[]): Promise<void>
}

/** Where a program keeps answers: Workers' `caches`. Programs never see each other's. */
export interface ProgramCachePlace {
  readonly program: ProgramName
  /** As in `caches.open(name)`; '' is `caches.default`. */
  readonly name: string
}

/** The store of Workers' Cache API, at this point of presence only. The key is the URL; `Vary` plays no part. */
export interface ProgramCache {
  /** Fresh answers only; honours `Range` and conditional fields (206, 304, 416). */
  match(
    place: ProgramCachePlace,
    request: { readonly url: string; readonly headers: HeaderList },
  ): Promise<Answer | undefined>
  /**
   * False when the answer says that it must not be kept, or does not fit. A body that breaks off is not kept and rejects
   * with its error.
   */
  put(place: ProgramCachePlace, url: string, answer: Answer): Promise<boolean>
  /** Whether there was one. */
  delete(place: ProgramCachePlace, url: string): Promise<boolean>
}

/** A rule of the operator that lets a request out to an address that is not public. */
export interface EgressGrant {
  /** What the rule names: one address, a network (CIDR), or a host name. */
  readonly names: 'address' | 'network' | 'host'
  /** The rule names the port too. */
  readonly port: boolean
}

export interface EgressRules {
  /** Every rule that covers this destination for this requester; asked only for addresses that are not public. */
  grants(
    by: EgressRequest['by'],
    destination: { readonly host: string; readonly address: string; readonly port: number },
  ): readonly EgressGrant[]
}

/** Rejects with an `EdgeError` (`egress_refused`, `program_loop`, `origin_*`). Redirects are handed back, not followed. */
export interface Egress {
  fetch(request: EgressRequest): Promise<EgressAnswer>
  close(): Promise<void>
}

// ─── Assets: files of a deployment ───────────────────────────────────────────────────────────────────────────────

export interface AssetRequest {
  readonly method: string
  /** For rules of `_headers` that name a host: lower case, without port. Absent: the `host` field of `headers`. */
  readonly host?: string
  /** Path and query. */
  readonly path: string
  readonly headers: HeaderList
}

export interface Assets {
  /** What the files answer, after `html_handling`, `_redirects`, `_headers`; `undefined` when no file matches. */
  match(assets: NonNullable<Deployment['assets']>, request: AssetRequest): Promise<Answer | undefined>
  /** Like `match`, then `not_found_handling`: always an answer (404 at last). */
  answer(assets: NonNullable<Deployment['assets']>, request: AssetRequest): Promise<Answer>
}
