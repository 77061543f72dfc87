/**
 * The manifest of a deployment's files: a blob in the fabric, written by `control/` when an upload is complete, read by
 * `assets/`. JSON: `{"/index.html": {"hash", "blob", "size", "type"}}`.
 */
import type { BlobHash } from './snapshot.ts'

export interface AssetEntry {
  /** 32 hex digits, the uploader's name of the content; the entity tag. */
  readonly hash: string
  readonly blob: BlobHash
  readonly size: number
  /** Media type; absent: the answer has no `content-type`. */
  readonly type?: string
}

/** By path, as the file was named: not percent-encoded, first character `/`. */
export type AssetManifest = ReadonlyMap<string, AssetEntry>

export function serializeManifest(manifest: AssetManifest): Uint8Array {
  return Buffer.from(JSON.stringify(Object.fromEntries([...manifest].sort(([a], [b]) => (a < b ? -1 : 1)))))
}

/** Throws on bytes that `serializeManifest` did not write. */
export function parseManifest(bytes: Uint8Array): AssetManifest {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  return new Map(Object.entries(JSON.parse(text) as Record<string, AssetEntry>))
}

/** The blobs that a stored manifest keeps alive, for the sweep. */
export function blobsOfManifest(bytes: Uint8Array): Set<BlobHash> {
  return new Set([...parseManifest(bytes).values()].map((entry) => entry.blob))
}

/** Why a path cannot be that of a file, as a sentence; `undefined` when it can. */
export function assetPathFault(path: string): string | undefined {
  if (!path.startsWith('/') || path.length < 2) return 'paths begin with a slash'
  if (path.includes('\0')) return 'paths hold no NUL'
  if (path.length > 4096) return 'paths have at most 4096 characters'
  const parts = path.slice(1).split('/')
  if (parts.some((part) => part === '.' || part === '..')) return 'paths have no "." or ".." segment'
  if (parts.some((part) => part === '')) return 'paths have no empty segment'
  return undefined
}
