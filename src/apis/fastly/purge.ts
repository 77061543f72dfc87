/** Purging by URL, by surrogate key and of all: https://www.fastly.com/documentation/reference/api/purging/ */
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import type { PurgeWish } from '#/core/cache-policy.ts'
import { readPurgeUrl, siteOfHost } from '#/core/purge-wishes.ts'
import type { FastlyApiDeps } from './deps.ts'
import { badRequest, notFound } from './errors.ts'
import { readJson } from './read-form.ts'

const keysBody = z.strictObject({ surrogate_keys: z.array(z.string()) })

export function purgeRoutes({ control, cache, limits, clock }: FastlyApiDeps): Hono {
  const routes = new Hono()
  let sequence = 0
  const newPurgeId = () => `${++sequence}-${Math.floor(clock() / 1000)}`
  const isSoft = (c: Context) => c.req.header('fastly-soft-purge') === '1'
  const done = (c: Context) => c.json({ status: 'ok', id: newPurgeId() })

  /** The URL stands in the path as it is: `POST /purge/https://example.com/a//b?c`. */
  routes.post('/purge/*', async (c) => {
    const { url } = c.req
    const text = url.slice(url.indexOf('/purge/', url.indexOf('://') + 3) + '/purge/'.length)
    const read = readPurgeUrl(text)
    if (read === undefined) throw badRequest(`'${text.slice(0, 200)}' is not a URL.`)
    const site = siteOfHost(control.snapshot.sites, read.host)
    if (site === undefined) throw notFound(`No service of this platform has the domain '${read.host}'.`)
    await cache.purge([{ scope: site.name, soft: isSoft(c), what: { kind: 'url', url: read.url } }])
    return done(c)
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
    await cache.purge(keys.map((key) => keyWish(scope, isSoft(c), key)))
    return c.json(Object.fromEntries(keys.map((key) => [key, newPurgeId()])))
  })

  routes.post('/service/:service/purge/:key', async (c) => {
    const scope = control.services.siteName(c.req.param('service'))
    await cache.purge([keyWish(scope, isSoft(c), c.req.param('key'))])
    return done(c)
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
