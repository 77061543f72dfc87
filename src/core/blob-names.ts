/** Names of blobs: of one that stays in its countries the name says which, so that whoever reads it knows where to ask. */
import type { Within } from './pops.ts'
import type { BlobHash } from './snapshot.ts'
import type { Bytes } from './units.ts'

/** Where a blob may lie; absent: anywhere. */
export interface BlobPlacement {
  readonly within?: Within | undefined
}

export interface StoredBlob {
  readonly hash: BlobHash
  readonly bytes: Bytes
}

/** `digest` is keyed where it stays in countries: what is not there cannot try what it may be. */
export function placedBlobName(digest: string, within: Within): BlobHash {
  return `${digest}@${[...within].sort().join(',')}`
}

/** Countries that may hold it; undefined: anywhere. */
export function withinOfBlob(name: BlobHash): Within | undefined {
  const at = name.indexOf('@')
  return at === -1 ? undefined : name.slice(at + 1).split(',')
}

/** The name of something for these countries, e.g. of a bucket. */
export function nameWithin(name: string, within: Within): string {
  return `${name}@${[...within].sort().join(',')}`
}

/** All such names in a text, for instance in a serialized record. */
export function* placedBlobsIn(text: string): Generator<BlobHash> {
  for (const [name] of text.matchAll(/\b[0-9a-f]{64}@[A-Z]{2}(?:,[A-Z]{2})*/g)) yield name
}
