/**
 * Hyperdrive: database servers that Workers connect to by name (https://developers.cloudflare.com/api/resources/hyperdrive/).
 * Connections are made as the program makes them: nothing is pooled or cached, which the answers say.
 */
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import type { Control } from '#/control/control.ts'
import { clientCertificate } from '#/core/client-certificates.ts'
import { type DatabaseServer, databaseServer, type TlsMode, tlsModes } from '#/core/database-servers.ts'
import type { Limits } from '#/core/limits.ts'
import type { Seal } from '#/core/ports.ts'
import type { Resource } from '#/core/resources.ts'
import { ok, VendorError } from './envelope.ts'
import { readJson } from './read-json.ts'

export interface HyperdriveParts {
  readonly control: Pick<Control, 'resources' | 'createResource' | 'changeResource' | 'removeResource'>
  readonly seal: Seal
  readonly limits: Limits
}

const path = '/accounts/:account/hyperdrive/configs'
const text = z.string().min(1)

const origin = z.strictObject({
  scheme: z.enum(['postgres', 'postgresql', 'mysql']),
  host: text,
  port: z.int().min(1).max(65_535),
  database: text,
  user: text,
  password: z.string(),
})
const settings = {
  /** Taken and shown again; queries always go to the server. */
  caching: z.looseObject({ disabled: z.boolean().optional() }).optional(),
  mtls: z.strictObject({ ca_certificate_id: z.string().optional(), sslmode: z.string().optional() }).optional(),
}
const createBody = z.strictObject({ name: text.max(255), origin, ...settings })
const patchBody = z.strictObject({ name: text.max(255).optional(), origin: origin.partial().optional(), ...settings })

/** MySQL's names beside libpq's. */
const modes: Record<string, TlsMode> = {
  ...Object.fromEntries(tlsModes.map((mode) => [mode, mode])),
  required: 'require',
  verify_ca: 'verify-ca',
  verify_identity: 'verify-full',
}

export function hyperdriveRoutes({ control, seal, limits }: HyperdriveParts): Hono {
  const routes = new Hono()
  const read = <Schema extends z.ZodType>(c: Context, schema: Schema) => readJson(c, schema, limits.fastlyApiBodyBytes)

  function requireServer(c: Context): Resource {
    const found = control.resources('server').find(({ id }) => id === c.req.param('id'))
    if (found === undefined) throw new VendorError(404, 2000, 'Hyperdrive config not found')
    return found
  }

  type Tls = Pick<DatabaseServer, 'tls' | 'ca' | 'caId'>
  function tlsOf(mtls: z.infer<typeof patchBody>['mtls'], scheme: string, before: Tls): Tls {
    const { sslmode, ca_certificate_id: caId } = mtls ?? {}
    const tls = sslmode === undefined ? before.tls : modes[sslmode.toLowerCase()]
    if (tls === undefined) throw new VendorError(400, 2012, `Unknown sslmode '${sslmode}'.`)
    if (scheme === 'mysql' && tls !== 'disable' && sslmode !== undefined)
      throw new VendorError(400, 2012, 'TLS to MySQL is not supported by Rimward: its clients begin it themselves.')
    if (caId === undefined) return { ...before, tls }
    const found = control.resources('certificate').find(({ id }) => id === caId)
    if (found === undefined) throw new VendorError(400, 2012, `There is no certificate ${caId}.`)
    if (found.held !== undefined)
      throw new VendorError(400, 2012, `The certificate '${found.name}' stays elsewhere; ask a node that is there.`)
    return { tls, ca: clientCertificate(found).certificates, caId }
  }

  routes.get(path, (c) => {
    const all = control.resources('server')
    const counts = { page: 1, per_page: all.length, count: all.length, total_count: all.length }
    return ok(c, all.map(view), { result_info: counts })
  })
  routes.post(path, async (c) => {
    const { name, origin, mtls } = await read(c, createBody)
    const scheme = schemeOf(origin.scheme)
    const tls = tlsOf(mtls, scheme, { tls: scheme === 'mysql' ? 'disable' : 'prefer' })
    const server: DatabaseServer = { ...origin, scheme, password: seal.seal(origin.password), ...tls }
    return ok(c, view(await control.createResource({ kind: 'server', name, settings: { ...server } })))
  })
  routes.get(`${path}/:id`, (c) => ok(c, view(requireServer(c))))
  async function change(c: Context, wish: z.infer<typeof patchBody>): Promise<Response> {
    const made = await control.changeResource(requireServer(c), (now) => {
      const before = databaseServer(now)
      const { password, scheme: given, ...rest } = wish.origin ?? {}
      const scheme = given === undefined ? before.scheme : schemeOf(given)
      const changed = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined))
      const sealed = password === undefined ? {} : { password: seal.seal(password) }
      const next = { ...before, ...changed, scheme, ...sealed, ...tlsOf(wish.mtls, scheme, before) }
      return { ...(wish.name !== undefined && { name: wish.name }), settings: next }
    })
    return ok(c, view(made))
  }
  routes.patch(`${path}/:id`, async (c) => change(c, await read(c, patchBody)))
  routes.put(`${path}/:id`, async (c) => change(c, await read(c, createBody)))
  routes.delete(`${path}/:id`, async (c) => {
    await control.removeResource(requireServer(c))
    return ok(c, null)
  })
  return routes
}

const schemeOf = (scheme: string) => (scheme === 'mysql' ? 'mysql' : 'postgresql')

/** Without the password; of what stays elsewhere, that it is there. */
function view(resource: Resource): object {
  const dates = {
    created_on: new Date(resource.createdAt).toISOString(),
    modified_on: new Date(resource.modifiedAt).toISOString(),
  }
  if (resource.held !== undefined) return { id: resource.id, name: resource.name, origin: {}, ...dates }
  const { scheme, host, port, database, user, tls, caId } = databaseServer(resource)
  return {
    id: resource.id,
    name: resource.name,
    origin: { scheme, host, port, database, user },
    caching: { disabled: true },
    mtls: { sslmode: tls, ...(caId !== undefined && { ca_certificate_id: caId }) },
    ...dates,
  }
}
