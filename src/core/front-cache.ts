/**
 * The cache in front of a program (Workers Cache): whose answers it holds, under which addresses, and what the program may
 * purge of it. https://developers.cloudflare.com/workers/cache/
 */
import type { PurgeWish } from './cache-policy.ts'
import type { ProgramName } from './snapshot.ts'

export interface FrontCache {
  /** Answers of one version serve for the next. */
  readonly acrossVersions: boolean
}

/** Whose objects these are in the shared cache; no site or program has such a name. */
export function frontScope(program: ProgramName): string {
  return `front ${program}`
}

/** The host is no part of it: a program has one cache for all its addresses. */
export function frontUrl(path: string): string {
  return `http://front${path}`
}

export type ReadPurge =
  | { readonly ok: true; readonly wishes: readonly PurgeWish[] }
  | { readonly ok: false; readonly code: number; readonly why: string }

/** What `ctx.cache.purge(options)` asks for; numbers near those of the zone's purge. */
export function readFrontPurge(program: ProgramName, options: unknown, operations: number): ReadPurge {
  const refuse = (code: number, why: string): ReadPurge => ({ ok: false, code, why })
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    return refuse(1012, 'purge() takes an object with tags, pathPrefixes or purgeEverything')
  const { tags = [], pathPrefixes = [], purgeEverything = false, ...rest } = options as Record<string, unknown>
  const unknown = Object.keys(rest)[0]
  if (unknown !== undefined) return refuse(1012, `purge() does not support '${unknown.slice(0, 80)}'`)
  if (!isTexts(tags)) return refuse(1012, 'tags must be a list of texts')
  if (!isTexts(pathPrefixes)) return refuse(1012, 'pathPrefixes must be a list of texts')
  if (typeof purgeEverything !== 'boolean') return refuse(1012, 'purgeEverything must be a boolean')
  const count = tags.length + pathPrefixes.length
  if (count === 0 && !purgeEverything) return refuse(1012, 'purge() was told nothing to purge')
  if (count > operations) return refuse(1094, `purge() takes at most ${operations} tags and prefixes a call`)
  const path = pathPrefixes.find((prefix) => !prefix.startsWith('/'))
  if (path !== undefined) return refuse(1016, `'${path.slice(0, 200)}' is no path: it must start with "/"`)
  const wish = (what: PurgeWish['what']): PurgeWish => ({ scope: frontScope(program), soft: false, what })
  if (purgeEverything) return { ok: true, wishes: [wish({ kind: 'everything' })] }
  return {
    ok: true,
    wishes: [
      ...tags.map((tag) => wish({ kind: 'tag', tag })),
      ...pathPrefixes.map((prefix) => wish({ kind: 'prefix', prefix: frontUrl(prefix) })),
    ],
  }
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string' && one.length <= 1024)
}
