/**
 * What a version brings along (code, files, values of bindings) lies where its program may run: in blobs that stay in these
 * countries, which the version's record names. Records themselves reach every node.
 */
import { type AssetEntry, parseManifest, serializeManifest } from '#/core/asset-manifest.ts'
import { parseRuleFiles, serializeRuleFiles } from '#/core/asset-rule-files.ts'
import { withinOfBlob } from '#/core/blob-names.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Within } from '#/core/pops.ts'
import type { Blobs, Seal } from '#/core/ports.ts'
import { sameWithin } from '#/core/residency.ts'
import type { Binding, BlobHash } from '#/core/snapshot.ts'
import type { VersionRecord } from './records.ts'

type Assets = NonNullable<VersionRecord['assets']>

interface Office {
  readonly fabric: { readonly blobs: Blobs }
  readonly seal: Seal
}

/** What kind of binding people asked for. */
export function kindOf(binding: Binding): Exclude<Binding['kind'], 'held'> {
  return binding.kind === 'held' ? binding.as : binding.kind
}

/** Whether the blob was written for exactly these countries; `undefined` is anywhere. */
export const isBlobIn = (name: BlobHash, within: Within | undefined) => sameWithin(withinOfBlob(name), within)

/** The same record where all of it lies there already. Rejects with `not_here` where this process may not read or write it. */
export async function placeVersion(
  office: Office,
  version: VersionRecord,
  within: Within | undefined,
): Promise<VersionRecord> {
  if (isVersionIn(version, within)) return version
  const { blobs } = office.fabric
  const { code, assets } = version
  const bindings: Binding[] = []
  for (const binding of version.bindings as Binding[]) bindings.push(await placeBinding(office, binding, within))
  const modules: NonNullable<VersionRecord['code']>['modules'] = []
  for (const module of code?.modules ?? [])
    modules.push({ ...module, blob: await placeBlob(blobs, module.blob, within) })
  return {
    ...version,
    bindings,
    ...(code && { code: { ...code, modules } }),
    ...(assets && { assets: await placeAssets(blobs, assets, within) }),
  }
}

/** Is everything that it brings along where it belongs? */
export function isVersionIn(version: VersionRecord, within: Within | undefined): boolean {
  const values = (version.bindings as Binding[]).every((binding) => {
    if (binding.kind === 'held' || binding.kind === 'blob') return isBlobIn(binding.blob, within)
    return within === undefined || !['text', 'json', 'secret'].includes(binding.kind)
  })
  if (!values || (version.code?.modules ?? []).some(({ blob }) => !isBlobIn(blob, within))) return false
  return version.assets === undefined || areAssetsIn(version.assets, within)
}

function areAssetsIn({ manifest, headersFile, redirectsFile, ruleFiles }: Assets, within: Within | undefined): boolean {
  if (!isBlobIn(manifest, within) || (ruleFiles !== undefined && !isBlobIn(ruleFiles, within))) return false
  return within === undefined ? ruleFiles === undefined : headersFile === undefined && redirectsFile === undefined
}

/** The same name where it lies there already. */
export async function placeBlob(blobs: Blobs, name: BlobHash, within: Within | undefined): Promise<BlobHash> {
  return isBlobIn(name, within) ? name : (await blobs.put(await readBlob(blobs, name), { within })).hash
}

/** As its owner sees it again. Values that lie elsewhere, and secrets, stay closed. */
export async function openForPeople({ fabric }: Office, version: VersionRecord): Promise<VersionRecord> {
  const bindings: VersionRecord['bindings'] = []
  for (const binding of version.bindings) bindings.push(await openOne(fabric.blobs, binding as Binding))
  return { ...version, bindings }
}

async function openOne(blobs: Blobs, binding: Binding): Promise<Binding> {
  if (binding.kind !== 'held' || binding.as === 'secret') return binding
  const { name } = binding
  try {
    const text = Buffer.from(await readBlob(blobs, binding.blob)).toString('utf8')
    return binding.as === 'json' ? { kind: 'json', name, json: text } : { kind: 'text', name, text }
  } catch (error) {
    if (error instanceof EdgeError && error.code === 'not_here') return binding
    throw error
  }
}

/** Blobs that a version names; those of its files follow from the manifest. */
export function* blobsOfVersion({ code, bindings, assets }: VersionRecord): Generator<BlobHash> {
  for (const module of code?.modules ?? []) yield module.blob
  for (const binding of bindings) if ('blob' in binding) yield binding.blob
  if (assets !== undefined) yield assets.manifest
  if (assets?.ruleFiles !== undefined) yield assets.ruleFiles
}

async function placeBinding(office: Office, binding: Binding, within: Within | undefined): Promise<Binding> {
  const { name } = binding
  const { blobs } = office.fabric
  switch (binding.kind) {
    case 'blob':
      return { ...binding, blob: await placeBlob(blobs, binding.blob, within) }
    case 'held': {
      if (within !== undefined) return { ...binding, blob: await placeBlob(blobs, binding.blob, within) }
      const text = Buffer.from(await readBlob(blobs, binding.blob)).toString('utf8')
      if (binding.as === 'secret') return { kind: 'secret', name, sealed: office.seal.seal(text) }
      return binding.as === 'json' ? { kind: 'json', name, json: text } : { kind: 'text', name, text }
    }
    case 'text':
    case 'json':
    case 'secret': {
      if (within === undefined) return binding
      const text = textOf(binding, office.seal)
      const { hash } = await blobs.put(Buffer.from(text), { within })
      return { kind: 'held', name, as: binding.kind, blob: hash }
    }
    default:
      return binding
  }
}

function textOf(binding: Extract<Binding, { kind: 'text' | 'json' | 'secret' }>, seal: Seal): string {
  if (binding.kind === 'secret') return seal.open(binding.sealed)
  return binding.kind === 'json' ? binding.json : binding.text
}

async function placeAssets(blobs: Blobs, assets: Assets, within: Within | undefined): Promise<Assets> {
  const { headersFile, redirectsFile, ruleFiles, ...rest } = assets
  const manifest = await placeFiles(blobs, assets.manifest, within)
  const texts =
    ruleFiles === undefined
      ? { ...(headersFile !== undefined && { headersFile }), ...(redirectsFile !== undefined && { redirectsFile }) }
      : parseRuleFiles(await readBlob(blobs, ruleFiles))
  if (within === undefined || Object.keys(texts).length === 0) return { ...rest, manifest, ...texts }
  const { hash } = await blobs.put(serializeRuleFiles(texts), { within })
  return { ...rest, manifest, ruleFiles: hash }
}

/** A manifest names the blobs of its files. */
async function placeFiles(blobs: Blobs, manifest: BlobHash, within: Within | undefined): Promise<BlobHash> {
  if (isBlobIn(manifest, within)) return manifest
  const placed = new Map<string, AssetEntry>()
  for (const [path, entry] of parseManifest(await readBlob(blobs, manifest)))
    placed.set(path, { ...entry, blob: await placeBlob(blobs, entry.blob, within) })
  return (await blobs.put(serializeManifest(placed), { within })).hash
}

async function readBlob(blobs: Blobs, name: BlobHash): Promise<Uint8Array> {
  const bytes = await blobs.get(name)
  if (bytes === undefined) throw new EdgeError('internal', `The blob ${name} is missing.`)
  return bytes
}
