/** What an operation is given. */
import type { CorsRule } from '#/core/bucket-settings.ts'
import type { Bucket, StorageClass } from '#/core/buckets.ts'
import type { Limits } from '#/core/limits.ts'
import type { EpochMs } from '#/core/units.ts'
import type { S3Body } from './body.ts'
import type { S3Request } from './request.ts'

export interface FoundBucket {
  readonly bucket: Bucket
  readonly storageClass: StorageClass
  readonly cors: readonly CorsRule[] | undefined
  setCors(rules: readonly CorsRule[] | undefined): Promise<void>
}

/** Buckets as people name them. */
export interface BucketBook {
  all(): readonly { readonly name: string; readonly createdAt: EpochMs }[]
  /** `undefined` where there is none of that name. */
  find(name: string): FoundBucket | undefined
  /** Throws an error that `toS3Error` knows. */
  create(name: string, hint: string | undefined): Promise<void>
  remove(name: string): Promise<void>
}

export interface Desk {
  readonly owner: string
  readonly buckets: BucketBook
}

/** About one bucket, and, where the operation is about an object, its key. */
export interface Call {
  readonly request: S3Request
  readonly bucket: Bucket
  readonly bucketName: string
  readonly cors: FoundBucket['cors']
  readonly setCors: FoundBucket['setCors']
  readonly key: string
  /** Of objects that say none. */
  readonly usualClass: StorageClass
  /** Throws an `S3Error` where there is none of that name. */
  readonly bucketNamed: (name: string) => Bucket
  /** Once. Throws an `S3Error` where the head does not say how long it is. */
  readonly body: () => S3Body
  readonly signal: AbortSignal
  readonly now: EpochMs
  readonly limits: Pick<
    Limits,
    'bucketParts' | 'bucketRequestBytes' | 'bucketListKeys' | 'bucketDeleteKeys' | 'metadataBytes'
  >
}
