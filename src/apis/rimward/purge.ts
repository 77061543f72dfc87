/** `/rimward/v1/purge`: drops what the shared cache keeps (`rimward purge`). */
import { Hono } from 'hono'
import type { z } from 'zod'
import type { PurgeWish } from '#/core/cache-policy.ts'
import type { Limits } from '#/core/limits.ts'
import { readPurgeUrl, siteOfHost } from '#/core/purge-wishes.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import type { PurgeReceipt, TakePurge } from '#/core/tiers.ts'
import { Problem, problemResponse } from './problem.ts'
import { purgeBody } from './schemas.ts'

export interface OwnPurgeDeps {
  readonly control: { readonly snapshot: Snapshot }
  readonly cache: { readonly purge: TakePurge }
  readonly receipt: (id: string) => Promise<PurgeReceipt | undefined>
  readonly limits: Pick<Limits, 'purgeKeys'>
}

/** Paths begin at `/rimward/v1`. Without `site` the whole platform is meant. The caller has been authenticated. */
export function ownPurgeRoutes({ control, cache, receipt, limits }: OwnPurgeDeps): Hono {
  const app = new Hono()
  app.onError((thrown, c) => {
    if (thrown instanceof Problem) return problemResponse(c, thrown.code, thrown.message)
    throw thrown
  })
  app.post('/purge', async (c) => {
    const read = purgeBody.safeParse(await c.req.json().catch(() => undefined))
    if (!read.success) {
      const issue = read.error.issues[0]!
      throw new Problem('bad_request', `${issue.path.join('.') || 'The body'}: ${issue.message}`)
    }
    const { site } = read.data
    if (site !== undefined && !control.snapshot.sites.some(({ name }) => name === site))
      throw new Problem('not_found', `There is no site "${site}".`)
    const wishes = wishesOf(read.data, (host) => siteOfHost(control.snapshot.sites, host)?.name)
    if (wishes.length === 0)
      throw new Problem('bad_request', 'Nothing to purge: name urls, tags, prefixes, hosts or everything.')
    if (wishes.length > limits.purgeKeys)
      throw new Problem('bad_request', `More than ${limits.purgeKeys} things in one call.`)
    return c.json({ purged: true, ...(await cache.purge(wishes)) })
  })
  app.get('/purges/:id', async (c) => {
    const found = await receipt(c.req.param('id'))
    if (found === undefined) throw new Problem('not_found', 'This purge is not known, or not any more.')
    return c.json(found)
  })
  return app
}

/** URLs belong to the site of their host, where one is known. */
function wishesOf(wanted: z.infer<typeof purgeBody>, siteOf: (host: string) => string | undefined): PurgeWish[] {
  const { urls, tags, prefixes, hosts, everything, soft } = wanted
  const base = { soft, ...(wanted.site !== undefined && { scope: wanted.site }) }
  const named = (text: string) => {
    const found = readPurgeUrl(text)
    if (found === undefined) throw new Problem('bad_request', `"${text.slice(0, 200)}" is not a URL.`)
    const scope = wanted.site ?? siteOf(found.host)
    return { url: found.url, base: { soft, ...(scope !== undefined && { scope }) } }
  }
  return [
    ...urls.map(named).map(({ url, base }) => ({ ...base, what: { kind: 'url' as const, url } })),
    ...prefixes.map(named).map(({ url, base }) => ({ ...base, what: { kind: 'prefix' as const, prefix: url } })),
    ...tags.map((tag) => ({ ...base, what: { kind: 'tag' as const, tag } })),
    ...hosts.map((host) => ({ ...base, what: { kind: 'host' as const, host: host.toLowerCase() } })),
    ...(everything ? [{ ...base, what: { kind: 'everything' as const } }] : []),
  ]
}
