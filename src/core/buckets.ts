/**
 * Buckets of objects: what their store is asked and what it answers, the same at its home and across the mesh. The doors
 * and the engine use `bucketAt`; `stores/buckets` answers.
 */
import type { Readable } from 'node:stream'
import type { EpochMs } from './units.ts'

export const digestNames = ['md5', 'sha1', 'sha256', 'sha384', 'sha512'] as const
export type DigestName = (typeof digestNames)[number]
/** Hex, lower case. */
export type Digests = { readonly [Name in DigestName]?: string }

/** Header fields that go with an object whenever it is sent. */
export interface HttpFields {
  readonly contentType?: string
  readonly contentLanguage?: string
  readonly contentDisposition?: string
  readonly contentEncoding?: string
  readonly cacheControl?: string
  readonly expiresAt?: EpochMs
}

export const storageClasses = ['Standard', 'InfrequentAccess'] as const
export type StorageClass = (typeof storageClasses)[number]

/** Everything about an object but its bytes. */
export interface BucketObject {
  readonly key: string
  /** Unique for each put: 32 hex digits. */
  readonly version: string
  readonly bytes: number
  /** MD5 in hex; of an object in N parts the MD5 of theirs and `-N`. Without quotes. */
  readonly etag: string
  readonly uploadedAt: EpochMs
  /** Those that are known: MD5 of objects in one part, and what the put named. */
  readonly digests: Digests
  readonly http: HttpFields
  readonly custom: Readonly<Record<string, string>>
  readonly storageClass: StorageClass
}

/** RFC 9110 §8.8.3; `any` is `*`. */
export type EtagMatch = { readonly kind: 'any' } | { readonly kind: 'strong' | 'weak'; readonly etag: string }

/** RFC 9110 §13, with R2's times of upload in place of modification. */
export interface Preconditions {
  readonly matches?: readonly EtagMatch[]
  readonly matchesNot?: readonly EtagMatch[]
  readonly before?: EpochMs
  readonly after?: EpochMs
  /** Times are compared in whole seconds, as those of header fields. */
  readonly inSeconds?: boolean
}

export type RangeWish =
  | { readonly offset?: number; readonly length?: number }
  | { readonly suffix: number }
  /** A `Range` field; one that does not fit, or has several ranges, is ignored. */
  | { readonly header: string }

export interface ByteRange {
  readonly offset: number
  readonly length: number
}

export interface ObjectFacts {
  readonly key: string
  readonly http?: HttpFields
  readonly custom?: Readonly<Record<string, string>>
  readonly storageClass?: StorageClass
}

export interface PutWish extends ObjectFacts {
  /** Announced; a body of another length is refused. */
  readonly bytes: number
  readonly onlyIf?: Preconditions
  /** What the bytes must have. */
  readonly digests?: Digests
  /** It is a copy of this. */
  readonly copyOf?: { readonly bucket: string; readonly object: string }
}

export interface ListWish {
  readonly prefix?: string
  readonly delimiter?: string
  readonly cursor?: string
  readonly startAfter?: string
  /** At most `bucketListKeys`, which is the default. */
  readonly limit?: number
  readonly include?: readonly ('http' | 'custom')[]
}

export interface ListPage {
  /** `http` and `custom` are empty where they were not asked for. */
  readonly objects: readonly BucketObject[]
  readonly prefixes: readonly string[]
  /** Absent: this was the last page. */
  readonly cursor?: string
}

export interface UploadedPart {
  readonly number: number
  readonly etag: string
}

export interface HeldPart extends UploadedPart {
  readonly bytes: number
  readonly uploadedAt: EpochMs
}

export interface HeldUpload {
  readonly id: string
  readonly key: string
  readonly createdAt: EpochMs
  readonly storageClass: StorageClass
}

export interface BucketSums {
  readonly objects: number
  readonly bytes: number
}

/**
 * Outcomes that are the vendor's errors. Numbers, statuses and S3's names: «R2 > Error codes»
 * (https://developers.cloudflare.com/r2/api/error-codes/); sentences as R2's API says them.
 */
export const bucketTroubles = {
  no_bucket: [404, 10006, 'NoSuchBucket', 'The specified bucket does not exist.'],
  no_object: [404, 10007, 'NoSuchKey', 'The specified key does not exist.'],
  not_empty: [409, 10008, 'BucketNotEmpty', 'The bucket you tried to delete is not empty.'],
  part_too_small: [
    400,
    10011,
    'EntityTooSmall',
    'Your proposed upload is smaller than the minimum allowed object size.',
  ],
  metadata_too_large: [
    400,
    10012,
    'MetadataTooLarge',
    'Your metadata headers exceed the maximum allowed metadata size.',
  ],
  short_body: [400, 10013, 'IncompleteBody', 'You did not provide the number of bytes that you announced.'],
  bad_key: [400, 10020, 'InvalidObjectName', 'The specified object name is not valid.'],
  bad_limit: [400, 10022, 'InvalidMaxKeys', 'MaxKeys params must be positive integer <= 1000.'],
  no_upload: [404, 10024, 'NoSuchUpload', 'The specified multipart upload does not exist.'],
  bad_part: [400, 10025, 'InvalidPart', 'One or more of the specified parts could not be found.'],
  bad_argument: [400, 10029, 'InvalidArgument', 'Invalid Argument.'],
  unmet: [412, 10031, 'PreconditionFailed', 'At least one of the pre-conditions you specified did not hold.'],
  bad_digest: [400, 10037, 'BadDigest', 'The checksum you specified did not match what we received.'],
  locked: [403, 10069, 'ObjectLockedByBucketPolicy', 'The object is locked by the bucket policy.'],
  bad_range: [416, 10039, 'InvalidRange', 'The requested range is not satisfiable'],
  uneven_parts: [400, 10048, 'InvalidPart', 'There was a problem with the multipart upload.'],
  too_large: [400, 100100, 'EntityTooLarge', 'Your proposed upload exceeds the maximum allowed object size.'],
} as const satisfies Record<string, readonly [status: number, number: number, name: string, sentence: string]>
export type BucketTrouble = keyof typeof bucketTroubles

export interface Troubled {
  readonly trouble: BucketTrouble
  /** More than the table's sentence says. */
  readonly detail?: string
  /** What is there, where a precondition was `unmet`. */
  readonly object?: BucketObject
}

export function isTroubled(answer: object): answer is Troubled {
  return 'trouble' in answer
}

export interface FoundObject {
  readonly object: BucketObject
  /** Of the bytes that follow; all of them where no range was wished. */
  readonly range: ByteRange
  readonly body: Uint8Array | Readable | null
}

/** One part of an upload in parts, as it is announced. */
export interface PartWish {
  readonly key: string
  readonly uploadId: string
  readonly number: number
  readonly bytes: number
  readonly digests?: Digests
}

/** A bucket wherever it lives. Everything may reject with what `HomedStores.call` rejects with. */
export interface Bucket {
  head(key: string): Promise<{ readonly object: BucketObject } | Troubled>
  get(
    key: string,
    wish?: { readonly onlyIf?: Preconditions; readonly range?: RangeWish },
    signal?: AbortSignal,
  ): Promise<FoundObject | Troubled>
  /** Reads the body to its end whatever the outcome. Durable once resolved. */
  put(
    wish: PutWish,
    body: Uint8Array | Readable | null,
    signal?: AbortSignal,
  ): Promise<{ readonly object: BucketObject } | Troubled>
  /** Keys that are not there are no trouble; `locked` ones stay. */
  delete(keys: readonly string[]): Promise<{ readonly locked: readonly string[] } | Troubled>
  list(wish: ListWish): Promise<ListPage | Troubled>
  createUpload(facts: ObjectFacts): Promise<{ readonly uploadId: string } | Troubled>
  putPart(
    part: PartWish,
    body: Uint8Array | Readable | null,
    signal?: AbortSignal,
  ): Promise<{ readonly etag: string } | Troubled>
  completeUpload(
    key: string,
    uploadId: string,
    parts: readonly UploadedPart[],
  ): Promise<{ readonly object: BucketObject } | Troubled>
  abortUpload(key: string, uploadId: string): Promise<Record<never, never> | Troubled>
  listParts(key: string, uploadId: string): Promise<{ readonly parts: readonly HeldPart[] } | Troubled>
  listUploads(prefix: string): Promise<{ readonly uploads: readonly HeldUpload[] } | Troubled>
  sums(): Promise<BucketSums>
  /** Takes nothing more, if nothing is in it; `open: true` takes that back. */
  close(how: { readonly open: boolean }): Promise<Record<never, never> | Troubled>
}
