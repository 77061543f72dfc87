/** What the files of a deployment answer to a request, as a value: redirects, the file, or nothing. */
import { addBasePath, type BasePath, stripBasePath } from '#/core/asset-base-path.ts'
import type { RedirectFinder } from '#/core/asset-redirects.ts'
import { type PathRules, type Resolution, resolvePath } from './resolve-path.ts'

export interface AssetRules extends PathRules {
  readonly redirect: RedirectFinder
  readonly base: BasePath
}

export type AssetDecision =
  | { readonly kind: 'file'; readonly file: string; readonly status: 200 | 404; readonly why: 'html' | 'not-found' }
  | {
      readonly kind: 'redirect'
      readonly status: 301 | 302 | 303 | 307 | 308
      readonly location: string
      readonly why: 'redirects-file' | 'canonical-path'
    }
  | { readonly kind: 'wrong-method' }
  /** `final`: a rule of `_redirects` led here, so that the program is not asked either. */
  | { readonly kind: 'none'; readonly final: boolean }
  /** Not below `base_path`: not even rules for headers apply. */
  | { readonly kind: 'outside' }

/** Path and query of a request as browsers normalise them (WHATWG URL): dot segments, backslashes, encoding. */
export function parseTarget(target: string): { readonly pathname: string; readonly search: string } {
  return new URL(`http://h${target.startsWith('/') ? target : '/'}`)
}

function decodeSegment(segment: string): string {
  if (!segment.includes('%')) return segment
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

function encodeSegment(segment: string): string {
  try {
    return encodeURIComponent(segment)
  } catch {
    return segment
  }
}

/** Percent-decoded, with runs of slashes as one, so that no redirect can begin with `//`. */
export function decodePath(pathname: string): string {
  return pathname.split('/').map(decodeSegment).join('/').replace(/\/+/g, '/')
}

export function encodePath(path: string): string {
  return path.split('/').map(encodeSegment).join('/')
}

/** Origin-relative where the target is a path; the query of the request stays unless the rule has its own. */
function locationOf(to: string, search: string): string {
  const here = 'http://h'
  const url = new URL(to, here)
  const query = url.search === '' ? search : url.search
  return url.origin === here
    ? `${url.pathname}${query}${url.hash}`
    : `${url.href.slice(0, url.href.length - url.search.length - url.hash.length)}${query}${url.hash}`
}

/** With a base path, its root has one spelling: with a slash, or without where slashes are dropped. */
function resolveBaseRoot(path: string, { base, htmlHandling, find }: AssetRules): Resolution | undefined {
  if (base === '/' || htmlHandling === 'none' || find('/index.html') === undefined) return undefined
  const bare = base.slice(0, -1)
  const [wrong, right] = htmlHandling === 'drop-trailing-slash' ? [base, ''] : [bare, '/']
  return path === wrong ? { kind: 'elsewhere', path: right } : undefined
}

/** `target` is path and query as sent. Only GET and HEAD are answered with a file. */
export function decideAsset(rules: AssetRules, method: string, target: string): AssetDecision {
  const { pathname, search } = parseTarget(target)
  if (stripBasePath(decodePath(pathname), rules.base) === undefined) return { kind: 'outside' }
  const redirect = rules.redirect(pathname)
  if (redirect !== undefined && redirect.status !== 200)
    return {
      kind: 'redirect',
      status: redirect.status,
      location: locationOf(redirect.to, search),
      why: 'redirects-file',
    }
  const asked = redirect === undefined ? pathname : new URL(redirect.to, 'http://h').pathname
  const decoded = decodePath(asked)
  const below = stripBasePath(decoded, rules.base)
  const root = redirect === undefined ? resolveBaseRoot(decoded, rules) : undefined
  const found = root ?? (below === undefined ? undefined : resolvePath(below, rules))
  if (found === undefined) return { kind: 'none', final: redirect !== undefined }
  if (method !== 'GET' && method !== 'HEAD') return { kind: 'wrong-method' }
  // The one address of a file is its path decoded and encoded again.
  const canonical = encodePath(found.kind === 'elsewhere' ? addBasePath(found.path, rules.base) : decoded)
  if (found.kind === 'elsewhere' || canonical !== asked)
    return { kind: 'redirect', status: 307, location: `${canonical}${search}`, why: 'canonical-path' }
  return found
}
