/** Static files of deployments, as Workers static assets answer them (`Assets` in core/ports.ts). */

import type { AssetEntry } from '#/core/asset-manifest.ts'
import { routeFirst } from '#/core/asset-routing.ts'
import { createBoundedCache, shareLoads } from '#/core/bounded-cache.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Answer, Body, HeaderList } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { AssetRequest, Assets, Blobs } from '#/core/ports.ts'
import type { AssetsDeployment } from '#/core/snapshot.ts'
import { decidePreconditions, rangeHolds } from '#/http/conditional.ts'
import { decideRange } from '#/http/range.ts'
import { type AssetDecision, decideAsset, parseTarget } from './decide-asset.ts'
import { createSiteFiles, type SiteFiles } from './site-files.ts'

/** Browsers keep a file but ask again each time; the entity tag makes that a 304. */
const browserCaching = 'public, max-age=0, must-revalidate'

/** The field's value, several lines joined (RFC 9110 §5.3). `name` is lower case. */
function field(headers: HeaderList, name: string): string | undefined {
  let value: string | undefined
  for (let index = 0; index < headers.length; index += 2) {
    const at = headers[index]!
    if (at.length !== name.length || at.toLowerCase() !== name) continue
    value = value === undefined ? headers[index + 1]! : `${value}, ${headers[index + 1]!}`
  }
  return value
}

function hostOf(request: AssetRequest): string {
  if (request.host !== undefined) return request.host
  return (field(request.headers, 'host') ?? '').toLowerCase().replace(/:\d+$/, '')
}

interface FileBody {
  readonly cached: 'HIT' | 'MISS'
  read(range?: { readonly start: number; readonly end: number }): Promise<Body>
}

/** Small files from memory, the others streamed from the fabric. */
function createBodies(blobs: Blobs, limits: Pick<Limits, 'assetMemoryFileBytes' | 'assetMemoryBytes'>) {
  const held = createBoundedCache<Uint8Array>(limits.assetMemoryBytes)
  const missing = (hash: string) => new EdgeError('internal', `The content ${hash} of a file is missing.`)
  const load = shareLoads(async (hash: string) => {
    const bytes = await blobs.get(hash)
    if (bytes === undefined) throw missing(hash)
    held.put(hash, bytes, bytes.length)
    return bytes
  })
  return (entry: AssetEntry): FileBody => {
    if (entry.size > limits.assetMemoryFileBytes)
      return {
        cached: 'MISS',
        read: async (range) => {
          const stream = await blobs.stream(entry.blob, range)
          if (stream === undefined) throw missing(entry.blob)
          return stream
        },
      }
    const known = held.get(entry.blob)
    return {
      cached: known === undefined ? 'MISS' : 'HIT',
      read: async (range) => {
        const bytes = known ?? (await load(entry.blob))
        return range === undefined ? bytes : bytes.subarray(range.start, range.end + 1)
      },
    }
  }
}

function representationHeaders(entry: AssetEntry, cached: 'HIT' | 'MISS', request: AssetRequest): HeaderList {
  const headers = ['etag', `"${entry.hash}"`, 'cf-cache-status', cached]
  if (entry.type !== undefined) headers.push('content-type', entry.type)
  if (field(request.headers, 'authorization') === undefined && field(request.headers, 'range') === undefined)
    headers.push('cache-control', browserCaching)
  return headers
}

async function fileAnswer(
  entry: AssetEntry,
  status: 200 | 404,
  request: AssetRequest,
  body: FileBody,
): Promise<Answer> {
  const headers = representationHeaders(entry, body.cached, request)
  const etag = `"${entry.hash}"`
  const head = request.method === 'HEAD'
  const preconditions = {
    ifMatch: field(request.headers, 'if-match'),
    ifNoneMatch: field(request.headers, 'if-none-match'),
  }
  const verdict = decidePreconditions(request.method, preconditions, etag)
  if (verdict === 'not-modified') return { status: 304, headers, body: null }
  if (verdict === 'failed') return { status: 412, headers: ['content-length', '0'], body: null }
  const whole = async (): Promise<Answer> => {
    headers.push('accept-ranges', 'bytes', 'content-length', String(entry.size))
    return { status, headers, body: head || entry.size === 0 ? null : await body.read() }
  }
  // RFC 9110 §14.2: only GET has ranges, and only where the whole would be a 200.
  if (head || status !== 200 || !rangeHolds(field(request.headers, 'if-range'), etag)) return whole()
  const range = decideRange(field(request.headers, 'range'), entry.size)
  if (range.kind === 'whole') return whole()
  if (range.kind === 'unsatisfiable')
    return { status: 416, headers: ['content-range', `bytes */${entry.size}`, 'content-length', '0'], body: null }
  headers.push('content-range', `bytes ${range.start}-${range.end}/${entry.size}`)
  headers.push('accept-ranges', 'bytes', 'content-length', String(range.end - range.start + 1))
  return { status: 206, headers, body: await body.read(range) }
}

/** Does `not_found_handling` come before the program? */
function keepsNotFound(assets: AssetsDeployment, request: AssetRequest): boolean {
  if (typeof assets.runProgramFirst !== 'boolean') return true
  return assets.navigationPrefersFiles === true && field(request.headers, 'sec-fetch-mode') === 'navigate'
}

/** Caps: `assetEntriesHeld`, `assetMemoryBytes`, `assetMemoryFileBytes`. */
export function createAssets({ blobs, limits }: { readonly blobs: Blobs; readonly limits: Limits }): Assets {
  const filesOf = createSiteFiles(blobs, limits)
  const bodyOf = createBodies(blobs, limits)

  async function respond(site: SiteFiles, decision: AssetDecision, request: AssetRequest): Promise<Answer> {
    switch (decision.kind) {
      case 'file': {
        const entry = site.manifest.get(decision.file)!
        return fileAnswer(entry, decision.status, request, bodyOf(entry))
      }
      case 'redirect':
        return { status: decision.status, headers: ['location', decision.location, 'content-length', '0'], body: null }
      case 'wrong-method':
        return { status: 405, headers: ['allow', 'GET, HEAD', 'content-length', '0'], body: null }
      case 'none':
      case 'outside':
        return { status: 404, headers: ['content-length', '0'], body: null }
    }
  }

  async function finish(site: SiteFiles, decision: AssetDecision, request: AssetRequest): Promise<Answer> {
    const answer = await respond(site, decision, request)
    if (decision.kind === 'outside') return answer
    site.patchHeaders(hostOf(request), parseTarget(request.path).pathname, answer.headers)
    return answer
  }

  return {
    async match(assets, request) {
      const site = await filesOf(assets)
      // What a negative rule of `run_worker_first` matches never reaches the program.
      if (routeFirst(assets, request.path) === 'files')
        return finish(site, decideAsset(site.rules, request.method, request.path), request)
      const rules = keepsNotFound(assets, request) ? site.rules : site.matchRules
      const decision = decideAsset(rules, request.method, request.path)
      if (decision.kind === 'outside' || (decision.kind === 'none' && !decision.final)) return undefined
      return finish(site, decision, request)
    },
    async answer(assets, request) {
      const site = await filesOf(assets)
      return finish(site, decideAsset(site.rules, request.method, request.path), request)
    },
  }
}
