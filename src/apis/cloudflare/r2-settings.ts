/**
 * What a bucket's owner sets: lifecycle, lock and CORS rules, public addresses
 * (https://developers.cloudflare.com/api/resources/r2/subresources/buckets/). Notices are in `r2-notices.ts`.
 */
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import { putBucketSites } from '#/control/bucket-sites.ts'
import {
  type BucketSettings,
  bucketSettingsOf,
  changedSettings,
  corsRules,
  lifecycleRules,
  lockRules,
  publicDomain,
  publicSite,
  usualLifecycle,
} from '#/core/bucket-settings.ts'
import type { Resource } from '#/core/resources.ts'
import { ok, VendorError } from './envelope.ts'
import { doorError } from './errors.ts'
import { type R2RoutesParts, r2Path, requireBucket } from './r2-request.ts'
import { readJson } from './read-json.ts'

const one = `${r2Path}/:bucket`
const uniqueIds = (rules: readonly { readonly id?: string }[]) =>
  new Set(rules.map(({ id }) => id)).size === rules.length || rules.every(({ id }) => id === undefined)
const ids = { error: 'two rules have the same id' }
const lifecycleBody = z.strictObject({ rules: lifecycleRules.refine(uniqueIds, ids).default([]) })
const lockBody = z.strictObject({ rules: lockRules.refine(uniqueIds, ids).default([]) })
const corsBody = z.strictObject({ rules: corsRules.default([]) })
const domainChange = publicDomain.omit({ domain: true }).partial().extend({ domain: z.string().optional() })

export function settingsRoutes(app: Hono, parts: R2RoutesParts): void {
  const { control, limits } = parts
  const settingsOf = (c: Context) => bucketSettingsOf(requireBucket(c, parts))
  const set = (c: Context, change: SettingsChange) => changeSettings(parts, requireBucket(c, parts), change)

  app.get(`${one}/lifecycle`, (c) => ok(c, { rules: settingsOf(c).lifecycle ?? usualLifecycle(limits.bucketUploadMs) }))
  app.put(`${one}/lifecycle`, async (c) => {
    requireBucket(c, parts)
    const { rules: lifecycle } = await readJson(c, lifecycleBody, limits.metadataBytes)
    await set(c, { lifecycle })
    return ok(c, {})
  })
  app.get(`${one}/lock`, (c) => ok(c, { rules: settingsOf(c).lock }))
  app.put(`${one}/lock`, async (c) => {
    requireBucket(c, parts)
    const { rules: lock } = await readJson(c, lockBody, limits.metadataBytes)
    await set(c, { lock })
    return ok(c, {})
  })
  app.get(`${one}/cors`, (c) => {
    const { cors } = settingsOf(c)
    if (cors === undefined) throw new VendorError(404, 10059, 'The CORS configuration does not exist.')
    return ok(c, { rules: cors })
  })
  app.put(`${one}/cors`, async (c) => {
    requireBucket(c, parts)
    const { rules: cors } = await readJson(c, corsBody, limits.metadataBytes)
    await set(c, { cors })
    return ok(c, {})
  })
  app.delete(`${one}/cors`, async (c) => {
    await set(c, { cors: undefined })
    return ok(c, {})
  })

  const managed = (resource: Resource) => ({
    bucketId: resource.id,
    domain: `${publicSite(resource.id)}.${control.hostnameSuffix}`,
    enabled: bucketSettingsOf(resource).isPublic,
  })
  app.get(`${one}/domains/managed`, (c) => ok(c, managed(requireBucket(c, parts))))
  app.put(`${one}/domains/managed`, async (c) => {
    requireBucket(c, parts)
    const { enabled } = await readJson(c, z.strictObject({ enabled: z.boolean() }), limits.metadataBytes)
    return ok(c, managed(await set(c, { isPublic: enabled })))
  })

  app.get(`${one}/domains/custom`, (c) => ok(c, { domains: settingsOf(c).domains.map(shownDomain) }))
  app.post(`${one}/domains/custom`, async (c) => {
    const { domains } = settingsOf(c)
    const wish = await readJson(c, publicDomain, limits.metadataBytes)
    const domain = checkedDomain({ ...wish, domain: wish.domain.toLowerCase() })
    if (domains.some((known) => known.domain === domain.domain))
      throw new VendorError(409, 10001, `'${domain.domain}' is a domain of this bucket already.`)
    await set(c, { domains: [...domains, domain] })
    return ok(c, shownDomain(domain))
  })
  const requireDomain = (c: Context) => {
    const found = settingsOf(c).domains.find(({ domain }) => domain === c.req.param('domain')?.toLowerCase())
    if (found === undefined)
      throw new VendorError(404, 10001, `'${c.req.param('domain')}' is no domain of this bucket.`)
    return found
  }
  app.get(`${one}/domains/custom/:domain`, (c) => ok(c, shownDomain(requireDomain(c))))
  app.put(`${one}/domains/custom/:domain`, async (c) => {
    const before = requireDomain(c)
    const { domain: _, ...wish } = await readJson(c, domainChange, limits.metadataBytes)
    const given = Object.fromEntries(Object.entries(wish).filter(([, value]) => value !== undefined))
    const domain = checkedDomain({ ...before, ...given })
    await set(c, { domains: settingsOf(c).domains.map((known) => (known.domain === domain.domain ? domain : known)) })
    return ok(c, shownDomain(domain))
  })
  app.delete(`${one}/domains/custom/:domain`, async (c) => {
    const { domain } = requireDomain(c)
    await set(c, { domains: settingsOf(c).domains.filter((known) => known.domain !== domain) })
    return ok(c, { domain })
  })
  for (const [path, advice] of refused)
    app.all(path, () => {
      throw doorError('unsupported', advice)
    })
}

const refused = [
  [`${one}/sippy`, 'Rimward does not copy objects from other stores (Sippy): copy them over the S3 API.'],
  ['/accounts/:account/r2-catalog/*', 'Rimward has no data catalog (R2 Data Catalog).'],
] as const

type PublicDomain = z.infer<typeof publicDomain>

function checkedDomain(domain: PublicDomain): PublicDomain {
  if (domain.minTLS === '1.3')
    throw doorError('unsupported', 'Rimward takes TLS 1.2 and 1.3 at every address: a minTLS of 1.3 cannot be had.')
  return domain
}

function shownDomain({ domain, enabled, minTLS = '1.0', zoneId }: PublicDomain): object {
  const status = { ownership: 'active', ssl: 'active' }
  return { domain, enabled, status, minTLS, ...(zoneId !== undefined && { zoneId, zoneName: domain }) }
}

type SettingsChange = Parameters<typeof changedSettings>[1]

/** Sites first where addresses are added, so that a refused address changes nothing; last where they are taken away. */
export async function changeSettings(
  { control }: Pick<R2RoutesParts, 'control'>,
  resource: Resource,
  change: SettingsChange,
): Promise<Resource> {
  const before = bucketSettingsOf(resource)
  const after = { ...before, ...(change as Partial<BucketSettings>) }
  if ('isPublic' in change || 'domains' in change) await putBucketSites(control, resource, after)
  return control.changeResource(resource, (now) => ({ settings: changedSettings(now, change) }))
}
