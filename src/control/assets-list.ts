/** The list of files that opens an upload session: `{"/index.html": {"hash", "size"}}`. */
import { assetPathFault } from '#/core/asset-manifest.ts'
import type { Limits } from '#/core/limits.ts'
import type { ExpectedContent } from './assets-content.ts'
import { extensionOf } from './assets-content.ts'
import { AssetsRefused } from './assets-refused.ts'

function refuse(message: string): never {
  throw new AssetsRefused('bad_manifest', message)
}

/** Checks the list and returns its files in order; throws `bad_manifest` that names the file. */
export function parseAssetList(
  manifest: unknown,
  limits: Pick<Limits, 'assetFiles' | 'assetFileBytes'>,
): readonly ExpectedContent[] {
  if (typeof manifest !== 'object' || manifest === null || Array.isArray(manifest))
    return refuse('manifest must be an object of paths.')
  const entries = Object.entries(manifest as Record<string, unknown>)
  if (entries.length > limits.assetFiles)
    refuse(`${entries.length} files; at most ${limits.assetFiles} are allowed a version.`)
  const first = new Map<string, ExpectedContent>()
  return entries.map(([path, value]) => {
    const fault = assetPathFault(path)
    if (fault !== undefined) refuse(`The path ${JSON.stringify(path)} cannot be used: ${fault}.`)
    const { hash, size } = (value ?? {}) as { hash?: unknown; size?: unknown }
    if (typeof hash !== 'string' || !/^[0-9a-f]{32}$/.test(hash))
      return refuse(`The hash of ${path} must be 32 lower-case hexadecimal digits.`)
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
      return refuse(`The size of ${path} must be a number of bytes.`)
    if (size > limits.assetFileBytes)
      throw new AssetsRefused('too_large', `${path} has ${size} bytes; at most ${limits.assetFileBytes} are allowed.`)
    const file = { path, hash, size }
    const twin = first.get(hash)
    if (twin === undefined) first.set(hash, file)
    else if (twin.size !== size || extensionOf(twin.path) !== extensionOf(path))
      refuse(`${path} and ${twin.path} have the same hash, but differ in size or extension.`)
    return file
  })
}
