/**
 * The parameters of the action `set_cache_settings`, in Cloudflare's words and in ours.
 * https://developers.cloudflare.com/cache/how-to/cache-rules/settings/
 */
import { z } from 'zod'
import type { CacheSettings, RequestKey } from '#/core/cache-settings.ts'
import { defaultLimits } from '#/core/limits.ts'

const { cachePolicyItems } = defaultLimits
const seconds = z.int().min(0).max(2_147_483_648)
const status = z.int().min(100).max(999)
const fieldName = z
  .string()
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}$/, 'must be the name of a header field')
  .transform((name) => name.toLowerCase())
const cookieName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}$/, 'must be the name of a cookie')
const some = <Item extends z.ZodType>(item: Item) => z.array(item).max(cachePolicyItems)
const flag = z.boolean().optional()

const statusTtl = z.union([
  z.strictObject({ status_code: status, value: z.int().min(-1).max(2_147_483_648) }),
  z.strictObject({
    status_code_range: z.strictObject({ from: status.optional(), to: status.optional() }),
    value: z.int().min(-1).max(2_147_483_648),
  }),
])

const modes = z.enum(['override_origin', 'respect_origin', 'bypass_by_default'])
type Modes = z.infer<typeof modes>

/** `default` belongs to `override_origin`, and to nothing else. */
function hasDefault({ mode, default: given }: { readonly mode: Modes; readonly default?: number | undefined }) {
  return (mode === 'override_origin') === (given !== undefined)
}
const needsDefault = { path: ['default'], error: 'must be given with the mode override_origin, and only with it' }

const queryNames = z.union([
  z.literal('*').transform(() => ({ all: true as const })),
  some(z.string().min(1).max(500)).transform((list) => ({ list })),
  z.strictObject({ list: some(z.string().min(1).max(500)) }),
  z.strictObject({ all: z.literal(true) }),
])

const queryString = z
  .strictObject({ include: queryNames.optional(), exclude: queryNames.optional() })
  .refine(({ include, exclude }) => include === undefined || exclude === undefined, 'has include or exclude, not both')

const customKey = z.strictObject({
  query_string: queryString.optional(),
  header: z
    .strictObject({
      include: some(fieldName).optional(),
      check_presence: some(fieldName).optional(),
      contains: z.record(fieldName, some(z.string().min(1).max(500))).optional(),
      exclude_origin: flag,
    })
    .optional(),
  cookie: z
    .strictObject({ include: some(cookieName).optional(), check_presence: some(cookieName).optional() })
    .optional(),
  user: z.strictObject({ device_type: flag, geo: flag, lang: flag }).optional(),
  host: z
    .strictObject({
      resolved: z.literal(false, 'true is not supported by Rimward: a key has the host of the URL').optional(),
    })
    .optional(),
})

/** What is not here is refused by its name. */
export const cacheParameters = z.strictObject({
  cache: flag,
  edge_ttl: z
    .strictObject({ mode: modes, default: seconds.optional(), status_code_ttl: some(statusTtl).optional() })
    .refine(hasDefault, needsDefault)
    .optional(),
  browser_ttl: z.strictObject({ mode: modes, default: seconds.optional() }).refine(hasDefault, needsDefault).optional(),
  cache_key: z
    .strictObject({
      custom_key: customKey.optional(),
      ignore_query_strings_order: flag,
      cache_deception_armor: flag,
      cache_by_device_type: flag,
    })
    .optional(),
  serve_stale: z.strictObject({ disable_stale_while_updating: flag }).optional(),
  respect_strong_etags: flag,
  /** An origin's error pages always go through here, and every port is as good as another: both are so anyway. */
  origin_error_page_passthru: flag,
  additional_cacheable_ports: some(z.int().min(1).max(65_535)).optional(),
  /** Directives are obeyed as RFC 9111 has them. */
  origin_cache_control: z.literal(true, 'false is not supported by Rimward').optional(),
})
export type CacheParameters = z.infer<typeof cacheParameters>

const ourModes = { override_origin: 'override', respect_origin: 'respect', bypass_by_default: 'stated' } as const

export function toCacheSettings(given: CacheParameters): CacheSettings {
  const { cache, edge_ttl, browser_ttl, cache_key, serve_stale, respect_strong_etags } = given
  const key = cache_key && toKey(cache_key)
  return {
    ...(cache !== undefined && { keep: cache }),
    ...(edge_ttl !== undefined && {
      ttl: {
        mode: ourModes[edge_ttl.mode],
        ...(edge_ttl.default !== undefined && { seconds: edge_ttl.default }),
        ...(edge_ttl.status_code_ttl !== undefined && { byStatus: edge_ttl.status_code_ttl.map(toStatusTtl) }),
      },
    }),
    ...(browser_ttl !== undefined && {
      clientTtl: {
        mode: ourModes[browser_ttl.mode],
        ...(browser_ttl.default !== undefined && { seconds: browser_ttl.default }),
      },
    }),
    ...(key !== undefined && { key }),
    ...(cache_key?.cache_deception_armor !== undefined && { fittingTypesOnly: cache_key.cache_deception_armor }),
    ...(serve_stale?.disable_stale_while_updating !== undefined && {
      neverWhileUpdating: serve_stale.disable_stale_while_updating,
    }),
    ...(respect_strong_etags !== undefined && { keepStrongTags: respect_strong_etags }),
  }
}

function toStatusTtl(row: z.infer<typeof statusTtl>) {
  if ('status_code' in row) return { from: row.status_code, to: row.status_code, ttl: row.value }
  const { from = 100, to = 999 } = row.status_code_range
  return { from, to, ttl: row.value }
}

function toKey(given: NonNullable<CacheParameters['cache_key']>): RequestKey | undefined {
  const { custom_key: custom = {}, ignore_query_strings_order: sorted, cache_by_device_type: byDevice } = given
  const { query_string: query, header, cookie, user } = custom
  const headers = [...(header?.include ?? []), ...(header?.exclude_origin === false ? ['origin'] : [])]
  const contains = Object.entries(header?.contains ?? {})
  const key: RequestKey = {
    ...(query !== undefined && { query: toQuery(query) }),
    ...(sorted !== undefined && { sortQuery: sorted }),
    ...(headers.length > 0 && { headers }),
    ...(cookie?.include !== undefined && { cookies: cookie.include }),
    ...((byDevice === true || user?.device_type === true) && { deviceType: true }),
    ...(user?.geo === true && { country: true }),
    ...(user?.lang === true && { language: true }),
    ...(header?.check_presence !== undefined && { presentHeaders: header.check_presence }),
    ...(cookie?.check_presence !== undefined && { presentCookies: cookie.check_presence }),
    ...(contains.length > 0 && { containedIn: contains.map(([name, texts]) => ({ header: name, texts })) }),
  }
  return Object.keys(key).length === 0 ? undefined : key
}

function toQuery({ include, exclude }: z.infer<typeof queryString>): NonNullable<RequestKey['query']> {
  if (include !== undefined) return 'all' in include ? { kind: 'all' } : { kind: 'only', names: include.list }
  if (exclude !== undefined) return 'all' in exclude ? { kind: 'none' } : { kind: 'without', names: exclude.list }
  return { kind: 'all' }
}
