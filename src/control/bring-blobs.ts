/**
 * What a node needs of the deployments that it serves, brought to its disk before it is asked for: with what is shared out of
 * reach, or after a start without it, they go on. Modules first, then files, small ones first, up to a bound.
 */
import { parseManifest } from '#/core/asset-manifest.ts'
import { withinOfBlob } from '#/core/blob-names.ts'
import type { Limits } from '#/core/limits.ts'
import type { BlobHash, Deployment } from '#/core/snapshot.ts'
import { blobsOf } from './hand-ahead.ts'

/** Brings a blob to this node's disk and returns it; undefined where it is nowhere. */
export type Bring = (blob: BlobHash) => Promise<Uint8Array | undefined>

/** Rejects at the first blob that is out of reach; what came before stays. */
export async function bringDeployment(
  deployment: Deployment,
  bring: Bring,
  limits: Pick<Limits, 'assetBytesBrought'>,
): Promise<void> {
  for (const blob of blobsOf(deployment)) await bringOne(blob, bring)
  const { assets } = deployment
  if (assets !== undefined) await bringFiles(await bringOne(assets.manifest, bring), bring, limits)
}

async function bringFiles(
  manifest: Uint8Array,
  bring: Bring,
  { assetBytesBrought }: Pick<Limits, 'assetBytesBrought'>,
): Promise<void> {
  let left = assetBytesBrought
  const files = [...parseManifest(manifest).values()].sort((one, other) => one.size - other.size)
  for (const { blob, size } of files) {
    // What stays in countries comes with its bucket.
    if (withinOfBlob(blob) !== undefined) continue
    left -= size
    if (left < 0) return
    await bringOne(blob, bring)
  }
}

async function bringOne(blob: BlobHash, bring: Bring): Promise<Uint8Array> {
  const bytes = await bring(blob)
  if (bytes === undefined) throw new Error(`the blob ${blob} is out of reach`)
  return bytes
}
