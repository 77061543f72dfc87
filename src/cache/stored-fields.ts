/** Which fields of an answer are stored, which change with a 304, and which clients never see. */
import type { HeaderList } from '#/core/exchange.ts'
import type { EpochMs } from '#/core/units.ts'
import type { ResponseDirectives } from '#/http/cache-control.ts'
import { formatHttpDate } from '#/http/http-date.ts'

/** Said to this cache alone; taken out of what clients get (`Fastly-Debug` shows them). */
const surrogateNames: ReadonlySet<string> = new Set([
  'surrogate-control',
  'surrogate-key',
  'cache-tag',
  'cloudflare-cdn-cache-control',
])

/** Of one connection or one transfer; `age` is computed anew, `cache-status` is ours to say. */
const neverStored: ReadonlySet<string> = new Set([
  'age',
  'cache-status',
  'proxy-authentication-info',
  'content-length',
  'x-cache',
  'x-cache-hits',
  'cf-cache-status',
])

export interface KeptFields {
  readonly headers: HeaderList
  readonly surrogate: HeaderList | undefined
}

/**
 * Without the fields named by `private="…"` and `no-cache="…"` (RFC 9111 §5.2.2.4, §5.2.2.7): what must not be used
 * without validation is not stored either, for nothing of it would be used. An answer without `Date` gets one.
 */
export function fieldsToKeep(
  headers: HeaderList,
  directives: ResponseDirectives,
  options: { readonly dropCookies: boolean; readonly partial: boolean; readonly receivedAt: EpochMs },
): KeptFields {
  const kept: HeaderList = []
  let surrogate: HeaderList | undefined
  let dated = false
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!.toLowerCase()
    const value = headers[index + 1]!
    if (surrogateNames.has(name)) {
      surrogate ??= []
      surrogate.push(name, value)
      continue
    }
    if (neverStored.has(name) || names(directives.private, name) || names(directives.noCache, name)) continue
    // Written anew for each range that is cut out of a part; elsewhere it is a field like any other.
    if (options.partial && name === 'content-range') continue
    if (options.dropCookies && name === 'set-cookie') continue
    if (name === 'date') dated = true
    kept.push(name, value)
  }
  if (!dated) kept.push('date', formatHttpDate(options.receivedAt))
  return { headers: kept, surrogate }
}

function names(listed: boolean | readonly string[], name: string): boolean {
  return typeof listed !== 'boolean' && listed.includes(name)
}

/** The fields of an answer that is not stored, as clients get them. */
export function withoutSurrogate(headers: HeaderList): HeaderList {
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!
    if (!hides(name)) continue
    const kept = headers.slice(0, index)
    for (let rest = index + 2; rest < headers.length; rest += 2)
      if (!hides(headers[rest]!)) kept.push(headers[rest]!, headers[rest + 1]!)
    return kept
  }
  return headers
}

/** What other caches said under names that are ours to say here. */
const said: ReadonlySet<string> = new Set(['cache-status', 'x-cache', 'x-cache-hits', 'cf-cache-status'])

function hides(name: string): boolean {
  const lower = name.toLowerCase()
  return surrogateNames.has(lower) || said.has(lower)
}

/** Describe the body as it was sent with the full answer; a 304 has none to describe (RFC 9111 §3.2). */
const notUpdated: ReadonlySet<string> = new Set([
  'content-length',
  'content-encoding',
  'content-range',
  'transfer-encoding',
])

/** §3.2: every field of the 304 replaces the stored ones of its name. */
export function updatedFields(stored: HeaderList, fresh: HeaderList): HeaderList {
  const replaced = new Set<string>()
  for (let index = 0; index < fresh.length; index += 2) {
    const name = fresh[index]!.toLowerCase()
    if (!notUpdated.has(name)) replaced.add(name)
  }
  const list: HeaderList = []
  for (let index = 0; index < stored.length; index += 2)
    if (!replaced.has(stored[index]!.toLowerCase())) list.push(stored[index]!, stored[index + 1]!)
  for (let index = 0; index < fresh.length; index += 2)
    if (replaced.has(fresh[index]!.toLowerCase())) list.push(fresh[index]!, fresh[index + 1]!)
  return list
}

/** Lower-case keys of `Surrogate-Key` (by spaces) and `Cache-Tag` (by commas), once each, within the vendors' bounds. */
export function tagsOf(headers: HeaderList, also: readonly string[], limits: { readonly count: number }): string[] {
  const tags = new Set<string>()
  const add = (text: string) => {
    const tag = text.trim().toLowerCase()
    if (tag !== '' && tag.length <= 1024 && tags.size < limits.count) tags.add(tag)
  }
  for (const tag of also) add(tag)
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!.toLowerCase()
    if (name === 'surrogate-key') for (const tag of headers[index + 1]!.split(/\s+/)) add(tag)
    else if (name === 'cache-tag') for (const tag of headers[index + 1]!.split(',')) add(tag)
  }
  return [...tags]
}
