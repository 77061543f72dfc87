/** The files of one deployment, with its rules compiled: what `assets.ts` asks on each request. */
import { compileHeaderRules, type HeaderPatch, parseHeaderRules } from '#/core/asset-headers.ts'
import { type AssetManifest, parseManifest } from '#/core/asset-manifest.ts'
import { compileRedirects, parseRedirects } from '#/core/asset-redirects.ts'
import { parseRuleFiles, type RuleFiles } from '#/core/asset-rule-files.ts'
import { createBoundedCache, shareLoads } from '#/core/bounded-cache.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Blobs } from '#/core/ports.ts'
import type { AssetsDeployment, BlobHash } from '#/core/snapshot.ts'
import type { AssetRules } from './decide-asset.ts'

export interface SiteFiles {
  readonly manifest: AssetManifest
  readonly rules: AssetRules
  /** The same rules without `not_found_handling`: does a file match, or should the program be asked? */
  readonly matchRules: AssetRules
  readonly patchHeaders: HeaderPatch
}

/** One manifest, and what was compiled against it: both leave memory together. */
interface Listing {
  readonly manifest: AssetManifest
  readonly find: (path: string) => string | undefined
  readonly sites: WeakMap<AssetsDeployment, SiteFiles>
}

function listing(manifest: AssetManifest): Listing {
  let longest = 0
  for (const path of manifest.keys()) longest = Math.max(longest, path.length)
  // Longer paths are not looked up: a path of thousands of segments is searched for a 404.html in each of them.
  const find = (path: string) => (path.length > longest ? undefined : manifest.get(path)?.hash)
  return { manifest, find, sites: new WeakMap() }
}

function compile(assets: AssetsDeployment, texts: RuleFiles, { manifest, find }: Listing): SiteFiles {
  const { htmlHandling, notFoundHandling } = assets
  const redirect = compileRedirects(parseRedirects(texts.redirectsFile ?? '', htmlHandling).rules)
  const rules = { find, htmlHandling, notFoundHandling, redirect, base: assets.basePath ?? '/' }
  return {
    manifest,
    rules,
    matchRules: { ...rules, notFoundHandling: 'none' },
    patchHeaders: compileHeaderRules(parseHeaderRules(texts.headersFile ?? '').rules),
  }
}

/**
 * Loads and keeps manifests (`assetEntriesHeld`) and compiled rules; at once where they are held. Rejects with
 * `internal` when the manifest is not in the fabric.
 */
export function createSiteFiles(
  blobs: Blobs,
  limits: Pick<Limits, 'assetEntriesHeld'>,
): (assets: AssetsDeployment) => SiteFiles | Promise<SiteFiles> {
  const held = createBoundedCache<Listing>(limits.assetEntriesHeld)
  const load = shareLoads(async (hash: BlobHash) => {
    const bytes = await blobs.get(hash)
    if (bytes === undefined) throw new EdgeError('internal', `The manifest ${hash} of a deployment's files is missing.`)
    const loaded = listing(parseManifest(bytes))
    held.put(hash, loaded, Math.max(1, loaded.manifest.size))
    return loaded
  })
  async function textsOf(assets: AssetsDeployment): Promise<RuleFiles> {
    if (assets.ruleFiles === undefined) return assets
    const bytes = await blobs.get(assets.ruleFiles)
    if (bytes === undefined)
      throw new EdgeError('internal', `The rules ${assets.ruleFiles} of a deployment's files are missing.`)
    return parseRuleFiles(bytes)
  }
  async function open(assets: AssetsDeployment): Promise<SiteFiles> {
    const found = held.get(assets.manifest) ?? (await load(assets.manifest))
    const site = found.sites.get(assets) ?? compile(assets, await textsOf(assets), found)
    found.sites.set(assets, site)
    return site
  }
  return (assets) => held.get(assets.manifest)?.sites.get(assets) ?? open(assets)
}
