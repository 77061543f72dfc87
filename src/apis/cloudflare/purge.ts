/** Cloudflare's purge: https://developers.cloudflare.com/api/resources/cache/methods/purge/ */
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import type { PurgeWish } from '#/core/cache-policy.ts'
import type { Limits } from '#/core/limits.ts'
import { readPurgeUrl, siteOfHost } from '#/core/purge-wishes.ts'
import type { Site, Snapshot } from '#/core/snapshot.ts'
import type { TakePurge } from '#/core/tiers.ts'
import { zonesOf } from './addresses.ts'
import { ok, VendorError } from './envelope.ts'
import { readJson } from './read-json.ts'

export interface PurgeRoutesDeps {
  readonly control: { readonly snapshot: Snapshot }
  readonly cache: { readonly purge: TakePurge }
  readonly limits: Pick<Limits, 'purgeOperations' | 'metadataBytes'>
}

/** Fields that a purged file may name besides its URL: all variants of the URL go, so these are among them. */
const variantFields = ['origin', 'cf-device-type', 'cf-ipcountry', 'accept-language']

const file = z.union([
  z.string(),
  z.strictObject({ url: z.string(), headers: z.record(z.string(), z.string()).default({}) }),
])

const body = z.strictObject({
  purge_everything: z.boolean().optional(),
  files: z.array(file).optional(),
  tags: z.array(z.string().min(1).max(1024)).optional(),
  hosts: z.array(z.string()).optional(),
  prefixes: z.array(z.string()).optional(),
})
type Body = z.infer<typeof body>

export function purgeRoutes({ control, cache, limits }: PurgeRoutesDeps): Hono {
  const routes = new Hono()
  const purge = async (c: Context) => {
    const zone = c.req.param('zone') ?? ''
    const sites = control.snapshot.sites.filter((site) => inZone(site, zone))
    const wanted = await readJson(c, body, limits.metadataBytes)
    const wishes = toWishes(wanted, sites, limits.purgeOperations)
    // Of the purge's receipt (`/rimward/v1/purges/ID`); a zone without sites has none.
    const id = wishes.length > 0 ? (await cache.purge(wishes)).id : zone
    return ok(c, { id })
  }
  routes.post('/zones/:zone/purge_cache', purge)
  routes.delete('/zones/:zone/purge_cache', purge)
  return routes
}

/** A zone is a host and what lies below it; each host of a site lies in several. */
function inZone(site: Site, zone: string): boolean {
  return [...site.hostnames, ...site.routes].some((pattern) => zonesOf(pattern).includes(zone))
}

/** What a zone's sites have stored, and what their programs have fetched. */
function scopesOf(sites: readonly Site[]): string[] {
  return [
    ...new Set(sites.flatMap(({ name, target }) => (target.kind === 'program' ? [name, target.program] : [name]))),
  ]
}

function toWishes(wanted: Body, sites: readonly Site[], operations: number): PurgeWish[] {
  const { purge_everything, files = [], tags = [], hosts = [], prefixes = [] } = wanted
  const count = files.length + tags.length + hosts.length + prefixes.length
  if (purge_everything !== true && count === 0)
    throw refuse(1012, 'Request must contain one of "purge_everything" or "files", "tags", "hosts" or "prefixes"')
  if (purge_everything === true && count > 0)
    throw refuse(1012, '"purge_everything" cannot be combined with "files", "tags", "hosts" or "prefixes"')
  if (count > operations) throw refuse(1094, `You may only purge ${operations} operations per API call`)
  const scopes = scopesOf(sites)
  const everywhere = (what: PurgeWish['what']) => scopes.map((scope) => ({ scope, soft: false, what }))
  if (purge_everything === true) return everywhere({ kind: 'everything' })
  return [
    ...files.flatMap((one) => fileWishes(one, sites)),
    ...tags.flatMap((tag) => everywhere({ kind: 'tag', tag })),
    ...hosts.flatMap((host) => hostWishes(host, sites)),
    ...prefixes.flatMap((prefix) => prefixWishesOf(prefix, sites)),
  ]
}

function fileWishes(one: z.infer<typeof file>, sites: readonly Site[]): readonly PurgeWish[] {
  const { url, headers } = typeof one === 'string' ? { url: one, headers: {} } : one
  const unknown = Object.keys(headers).find((name) => !variantFields.includes(name.toLowerCase()))
  if (unknown !== undefined) throw refuse(1016, `Unable to purge ${url}: the header '${unknown}' is not supported`)
  const read = /^https?:\/\//i.test(url) ? readPurgeUrl(url) : undefined
  if (read === undefined) throw refuse(1016, `Unable to purge ${url}, which is an invalid URL`)
  return scoped(read.host, { kind: 'url', url: read.url }, sites)
}

function hostWishes(host: string, sites: readonly Site[]): readonly PurgeWish[] {
  const read = host.includes('/') ? undefined : readPurgeUrl(host)
  if (read === undefined) throw refuse(1016, `Unable to purge ${host}, which is an invalid host`)
  return scoped(read.host, { kind: 'host', host: read.host }, sites)
}

function prefixWishesOf(prefix: string, sites: readonly Site[]): readonly PurgeWish[] {
  const read = /^https?:/i.test(prefix) ? undefined : readPurgeUrl(prefix)
  if (read === undefined) throw refuse(1016, `Unable to purge ${prefix}, which is an invalid prefix: write host/path`)
  return scoped(read.host, { kind: 'prefix', prefix: read.url }, sites)
}

/** The host must be one of the zone's. */
function scoped(host: string, what: PurgeWish['what'], sites: readonly Site[]): readonly PurgeWish[] {
  const site = siteOfHost(sites, host)
  const routed = sites.filter(({ routes }) => routes.some((route) => parseHost(route) === host))
  const scopes = scopesOf(site === undefined ? routed : [site, ...routed])
  if (scopes.length === 0) throw refuse(1016, `Unable to purge ${host}, which is not a host of this zone`)
  return scopes.map((scope) => ({ scope, soft: false, what }))
}

const parseHost = (route: string) => route.replace(/^https?:\/\//, '').split('/', 1)[0]

/** 1012 and 1016 stand in public reports of Cloudflare's own answers; 1094 is near them. */
function refuse(code: number, message: string): VendorError {
  return new VendorError(400, code, message.slice(0, 400))
}
