/**
 * Certificates of the account that Workers show to origins, and authorities that are trusted for databases
 * (https://developers.cloudflare.com/api/resources/mtls_certificates/).
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import { clientCertificate } from '#/core/client-certificates.ts'
import type { Resource } from '#/core/resources.ts'
import { ok, VendorError } from './envelope.ts'
import type { HyperdriveParts } from './hyperdrive.ts'
import { readJson } from './read-json.ts'

const path = '/accounts/:account/mtls_certificates'

const body = z.strictObject({
  name: z.string().max(255).optional(),
  certificates: z.union([z.string(), z.looseObject({ data: z.array(z.number()) })]),
  private_key: z.union([z.string(), z.looseObject({ data: z.array(z.number()) })]).optional(),
  ca: z.boolean(),
})

export function mtlsCertificateRoutes({ control, seal, limits }: HyperdriveParts): Hono {
  const routes = new Hono()

  function requireCertificate(c: Context): Resource {
    const found = control.resources('certificate').find(({ id }) => id === c.req.param('id'))
    if (found === undefined) throw new VendorError(404, 1415, 'Certificate not found')
    return found
  }

  routes.get(path, (c) => {
    const { name, ca } = c.req.query()
    const all = control
      .resources('certificate')
      .filter((one) => name === undefined || one.name === name)
      .filter((one) => ca === undefined || isAuthority(one) === (ca === 'true'))
    return ok(c, all.map(view))
  })
  routes.post(path, async (c) => {
    const wish = await readJson(c, body, limits.fastlyApiBodyBytes)
    const certificates = textOf(wish.certificates)
    const key = wish.private_key === undefined ? undefined : textOf(wish.private_key)
    checkPair(certificates, key, wish.ca)
    const settings = { certificates, ...(key !== undefined && { key: seal.seal(key) }) }
    const name = wish.name ?? `certificate ${new X509Certificate(certificates).serialNumber.toLowerCase()}`
    return ok(c, view(await control.createResource({ kind: 'certificate', name, settings })))
  })
  routes.get(`${path}/:id`, (c) => ok(c, view(requireCertificate(c))))
  routes.delete(`${path}/:id`, async (c) => {
    const found = requireCertificate(c)
    await control.removeResource(found)
    return ok(c, view(found))
  })
  return routes
}

/** wrangler sends an authority's file as JSON writes a buffer. */
function textOf(given: string | { data: number[] }): string {
  return typeof given === 'string' ? given : Buffer.from(given.data).toString()
}

function checkPair(certificates: string, key: string | undefined, ca: boolean): void {
  const leaf = parsed('certificate', () => new X509Certificate(certificates))
  if (key === undefined) {
    if (ca) return
    throw new VendorError(400, 1412, 'A certificate that is no authority needs its private key.')
  }
  const own = parsed('private key', () => createPrivateKey(key))
  if (!leaf.checkPrivateKey(own)) throw new VendorError(400, 1413, 'The private key is not that of the certificate.')
}

function parsed<Part>(what: string, read: () => Part): Part {
  try {
    return read()
  } catch (error) {
    throw new VendorError(400, 1412, `The ${what} cannot be read: ${(error as Error).message}.`)
  }
}

const isAuthority = (resource: Resource) => resource.held === undefined && clientCertificate(resource).key === undefined

/** Of what stays elsewhere: that it is there. */
function view(resource: Resource): object {
  const uploaded_on = new Date(resource.createdAt).toISOString()
  if (resource.held !== undefined) return { id: resource.id, name: resource.name, uploaded_on }
  const { certificates } = clientCertificate(resource)
  const leaf = new X509Certificate(certificates)
  return {
    id: resource.id,
    name: resource.name,
    ca: isAuthority(resource),
    certificates,
    issuer: leaf.issuer,
    serial_number: leaf.serialNumber.toLowerCase(),
    signature: leaf.publicKey.asymmetricKeyType,
    expires_on: leaf.validToDate.toISOString(),
    uploaded_on,
  }
}
