/** The form of a site's cache policy: what the doors accept and what a record holds are the same. */
import { z } from 'zod'
import type { CachePolicy } from '#/core/cache-policy.ts'
import { defaultLimits } from '#/core/limits.ts'

const { cachePolicyItems } = defaultLimits
/** RFC 9111 §1.2.2: an overflowing delta-seconds counts as 2^31. */
const seconds = z.int().min(0).max(2_147_483_648)
const status = z.int().min(200).max(599)
const fieldName = z
  .string()
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}$/, 'must be a token (RFC 9110 §5.6.2)')
  .transform((text) => text.toLowerCase())
const cookieName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}$/, 'must be the name of a cookie')
const queryName = z.string().min(1).max(500)
const some = <Item extends z.ZodType>(item: Item) => z.array(item).max(cachePolicyItems)

const statusRange = z
  .strictObject({ from: status, to: status, ttl: seconds })
  .refine(({ from, to }) => from <= to, '"from" must not be above "to"')

const query = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('all') }),
  z.strictObject({ kind: z.literal('none') }),
  z.strictObject({ kind: z.literal('only'), names: some(queryName) }),
  z.strictObject({ kind: z.literal('without'), names: some(queryName) }),
])

/** Unknown fields are refused by name. Header names become lower case. */
export const cachePolicySchema = z
  .strictObject({
    defaultTtl: z.exactOptional(seconds),
    ttlByStatus: z.exactOptional(some(statusRange)),
    override: z.exactOptional(z.boolean()),
    staleWhileRevalidate: z.exactOptional(seconds),
    staleIfError: z.exactOptional(seconds),
    storeSetCookie: z.exactOptional(z.boolean()),
    key: z.exactOptional(
      z.strictObject({
        query: z.exactOptional(query),
        sortQuery: z.exactOptional(z.boolean()),
        ignoreHost: z.exactOptional(z.boolean()),
        headers: z.exactOptional(some(fieldName)),
        cookies: z.exactOptional(some(cookieName)),
      }),
    ),
    obeyRequestDirectives: z.exactOptional(z.boolean()),
    staticFiles: z.exactOptional(z.strictObject({ anyType: z.exactOptional(z.boolean()) })),
    bypassPaths: z.exactOptional(some(z.string().regex(/^[/*][\x21-\x7e]{0,1000}$/, 'must start with "/" or "*"'))),
  })
  .describe('How the shared cache treats the site; times in seconds.') satisfies z.ZodType<CachePolicy>
