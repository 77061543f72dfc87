/** Purging by URL, by surrogate key and of all: https://www.fastly.com/documentation/reference/api/purging/ */
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import type { PurgeWish } from '#/core/cache-policy.ts'
import { readPurgeUrl, siteOfHost } from '#/core/purge-wishes.ts'
import type { FastlyApiDeps } from './deps.ts'
import { badRequest, notFound } from './errors.ts'
import { readJson } from './read-form.ts'

const keysBody = z.strictObject({ surrogate_keys: z.array(z.string()) })

export function purgeRoutes({ control, cache, limits }: FastlyApiDeps): Hono {
  const routes = new Hono()
  const isSoft = (c: Context) => c.req.header('fastly-soft-purge') === '1'
  /** The id is that of the purge's receipt. */
  const purge = async (c: Context, wish: PurgeWish) => c.json({ status: 'ok', id: (await cache.purge([wish])).id })

  /** The URL stands in the path as it is: `POST /purge/https://example.com/a//b?c`. */
  routes.post('/purge/*', async (c) => {
    const { url } = c.req
    const text = url.slice(url.indexOf('/purge/', url.indexOf('://') + 3) + '/purge/'.length)
    const read = readPurgeUrl(text)
    if (read === undefined) throw badRequest(`'${text.slice(0, 200)}' is not a URL.`)
    const site = siteOfHost(control.snapshot.sites, read.host)
    if (site === undefined) throw notFound(`No service of this platform has the domain '${read.host}'.`)
    return purge(c, { scope: site.name, soft: isSoft(c), what: { kind: 'url', url: read.url } })
  })

  routes.post('/service/:service/purge_all', async (c) => {
    const scope = control.services.siteName(c.req.param('service'))
    if (isSoft(c)) throw badRequest('A purge of all cannot be soft; give everything a common surrogate key for that.')
    await cache.purge([{ scope, soft: false, what: { kind: 'everything' } }])
    return c.json({ status: 'ok' })
  })

  const keyWish = (scope: string, soft: boolean, tag: string): PurgeWish => ({
    scope,
    soft,
    what: { kind: 'tag', tag },
  })

  routes.post('/service/:service/purge', async (c) => {
    const scope = control.services.siteName(c.req.param('service'))
    const keys = [...new Set(await keysOf(c))]
    if (keys.length === 0) throw badRequest('Surrogate keys are missing: send a Surrogate-Key field or surrogate_keys.')
    if (keys.length > limits.purgeKeys) throw badRequest(`More than ${limits.purgeKeys} surrogate keys in one call.`)
    const { id } = await cache.purge(keys.map((key) => keyWish(scope, isSoft(c), key)))
    return c.json(Object.fromEntries(keys.map((key) => [key, id])))
  })

  routes.post('/service/:service/purge/:key', async (c) => {
    const scope = control.services.siteName(c.req.param('service'))
    return purge(c, keyWish(scope, isSoft(c), c.req.param('key')))
  })

  async function keysOf(c: Context): Promise<readonly string[]> {
    const field = c.req.header('surrogate-key')
    if (field !== undefined) return field.split(/\s+/).filter((key) => key !== '')
    const body = await readJson(c, limits.fastlyApiBodyBytes)
    if (body === undefined) return []
    const read = keysBody.safeParse(body)
    if (!read.success) throw badRequest('The body is not {"surrogate_keys": ["…"]}.')
    return read.data.surrogate_keys
  }
  return routes
}
