/** How a site's cache policy looks on the wire: `core/cache-policy.ts` as JSON. */
import { z } from 'zod'

const seconds = z.number().int().min(0).max(315_360_000)
const names = z.array(z.string().min(1).max(200)).max(100)

const query = z.union([
  z.strictObject({ kind: z.literal('all') }),
  z.strictObject({ kind: z.literal('none') }),
  z.strictObject({ kind: z.literal('only'), names }),
  z.strictObject({ kind: z.literal('without'), names }),
])

export const cachePolicy = z
  .strictObject({
    defaultTtl: z.exactOptional(seconds.describe('Seconds of freshness where an answer says nothing itself.')),
    ttlByStatus: z.exactOptional(
      z
        .array(
          z.strictObject({
            from: z.number().int().min(200).max(599),
            to: z.number().int().min(200).max(599),
            ttl: seconds,
          }),
        )
        .max(100)
        .describe('Seconds of freshness by status.'),
    ),
    override: z.exactOptional(z.boolean().describe('Let ttlByStatus win over what answers say themselves.')),
    staleWhileRevalidate: z.exactOptional(seconds),
    staleIfError: z.exactOptional(seconds),
    storeSetCookie: z.exactOptional(z.boolean().describe('Store answers with Set-Cookie.')),
    key: z.exactOptional(
      z.strictObject({
        query: z.exactOptional(query),
        sortQuery: z.exactOptional(z.boolean()),
        ignoreHost: z.exactOptional(z.boolean()),
        headers: z.exactOptional(names),
        cookies: z.exactOptional(names),
      }),
    ),
    bypassPaths: z.exactOptional(names.describe('Paths that are never cached; * matches any text.')),
    obeyRequestDirectives: z.exactOptional(z.boolean().describe('Obey Cache-Control of requests.')),
  })
  .describe('How the shared cache treats the site; left out: by RFC 9111 alone.')
