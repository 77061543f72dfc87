/** Where a program answers: the name on this platform's own domain, routes in zones, custom domains; and when it is called without any. */
import { Hono } from 'hono'
import { z } from 'zod'
import { toHostname } from '#/control/addresses.ts'
import type { ProgramRecord } from '#/control/records.ts'
import { type CloudflareApiDeps, idOf } from './deps.ts'
import { ok, VendorError } from './envelope.ts'
import { doorError, doorTable } from './errors.ts'
import { readJson } from './read-json.ts'

const subdomain = z.strictObject({
  enabled: z.boolean(),
  previews_enabled: z.boolean().optional(),
})
const route = z.strictObject({
  pattern: z.string().min(1),
  zone_name: z.string().optional(),
  zone_id: z.string().optional(),
  script: z.string().optional(),
})
const domains = z.array(
  z.strictObject({
    hostname: z.string(),
    zone_id: z.string().optional(),
    zone_name: z.string().optional(),
    enabled: z.literal(true).optional(),
    previews_enabled: z.literal(false).optional(),
  }),
)
const records = z.strictObject({
  override_scope: z.boolean().optional(),
  override_existing_origin: z.boolean().default(false),
  override_existing_dns_record: z.boolean().optional(),
  origins: domains,
})

const schedules = z.array(z.object({ cron: z.string() }))
const unreadable = 'Could not parse request body. Please ensure the request is valid and try again.'

export function addressRoutes({ control, accountId, limits }: CloudflareApiDeps): Hono {
  const account = '/accounts/:account/workers'
  const script = `${account}/scripts/:name`
  const routes = new Hono()

  /** The account's part in `NAME.ACCOUNT.workers.dev`; here programs live directly below the platform's domain. */
  routes.get(`${account}/subdomain`, (c) => ok(c, { subdomain: control.hostnameSuffix }))
  routes.put(`${account}/subdomain`, () => {
    throw doorError('unsupported', `Programs live below ${control.hostnameSuffix}; there is no subdomain to register.`)
  })

  const subdomainView = (record: ProgramRecord) => ({ enabled: record.local, previews_enabled: false })
  routes.get(`${script}/subdomain`, (c) => ok(c, subdomainView(control.program(c.req.param('name')))))
  routes.post(`${script}/subdomain`, async (c) => {
    const { enabled, previews_enabled } = await readJson(c, subdomain, limits.metadataBytes)
    if (previews_enabled === true)
      throw doorError('unsupported', 'Preview URLs are not there yet: set preview_urls to false.')
    return ok(c, subdomainView(await control.changeProgram(c.req.param('name'), { local: enabled })))
  })

  routes.put(`${script}/routes`, async (c) => {
    const wanted = await readJson(c, z.array(route), limits.metadataBytes)
    const name = c.req.param('name')
    const record = await control.changeProgram(name, { routes: wanted.map(({ pattern }) => pattern) })
    return ok(
      c,
      record.routes.map((pattern) => routeView(pattern, name)),
    )
  })
  routes.get(`${script}/routes`, (c) => {
    const record = control.program(c.req.param('name'))
    return ok(
      c,
      record.routes.map((pattern) => routeView(pattern, record.name)),
    )
  })

  /** Any hostname is a zone here: whose DNS points at this platform is not ours to know. */
  routes.get('/zones', (c) => {
    const name = c.req.query('name')
    const zones = name === undefined || name === '' ? [] : [zoneView(toHostname(name, { wildcard: false }), accountId)]
    return ok(c, zones, { result_info: { page: 1, per_page: 50, count: zones.length, total_count: zones.length } })
  })
  routes.get('/zones/:zone/workers/routes', (c) => {
    const zone = c.req.param('zone')
    const found = control
      .programs()
      .flatMap((record) =>
        record.routes
          .filter((pattern) => zonesOf(pattern).includes(zone))
          .map((pattern) => routeView(pattern, record.name)),
      )
    return ok(c, found)
  })
  routes.post('/zones/:zone/workers/routes', async (c) => {
    const { pattern, script } = await readJson(c, route, limits.metadataBytes)
    if (script === undefined) throw doorError('unsupported', 'A route without a script (a bypass) is not there yet.')
    const { routes } = control.program(script)
    await control.changeProgram(script, { routes: [...routes, pattern] })
    return ok(c, routeView(pattern, script))
  })

  routes.post(`${script}/domains/changeset`, async (c) => {
    const wanted = await readJson(c, domains, limits.metadataBytes)
    const record = control.program(c.req.param('name'))
    const hosts = wanted.map(({ hostname }) => toHostname(hostname, { wildcard: false }))
    const added = hosts.filter((host) => !record.hostnames.includes(host))
    const removed = record.hostnames.filter((host) => !hosts.includes(host))
    const taken = control
      .programs()
      .filter((other) => other.name !== record.name)
      .flatMap((other) => other.hostnames.filter((host) => hosts.includes(host)).map((host) => domainView(host, other)))
    return ok(c, {
      added: added.map((host) => domainView(host, record)),
      removed: removed.map((host) => domainView(host, record)),
      updated: taken.map((domain) => ({ ...domain, modified: true })),
      conflicting: [],
    })
  })
  routes.put(`${script}/domains/records`, async (c) => {
    const { origins, override_existing_origin } = await readJson(c, records, limits.metadataBytes)
    const record = await control.changeProgram(c.req.param('name'), {
      hostnames: origins.map(({ hostname }) => hostname),
      takeOver: override_existing_origin,
    })
    return ok(
      c,
      record.hostnames.map((host) => domainView(host, record)),
    )
  })
  routes.get(`${account}/domains`, (c) =>
    ok(
      c,
      control.programs().flatMap((record) => record.hostnames.map((host) => domainView(host, record))),
    ),
  )
  routes.get(`${account}/domains/records`, (c) =>
    ok(
      c,
      control.programs().flatMap((record) => record.hostnames.map((host) => domainView(host, record))),
    ),
  )

  const scheduleView = ({ crons = [] }: ProgramRecord) => ({
    schedules: crons.map(({ cron, createdAt }) => {
      const made = new Date(createdAt).toISOString()
      return { cron, created_on: made, modified_on: made }
    }),
  })
  routes.get(`${script}/schedules`, (c) => ok(c, scheduleView(control.program(c.req.param('name')))))
  routes.put(`${script}/schedules`, async (c) => {
    const wanted = schedules.safeParse(await readJson(c, z.unknown(), limits.metadataBytes))
    if (!wanted.success) {
      const { status, code } = doorTable.unreadableBody
      throw new VendorError(status, code, unreadable)
    }
    const crons = wanted.data.map(({ cron }) => cron)
    return ok(c, scheduleView(await control.changeProgram(c.req.param('name'), { crons })))
  })
  return routes
}

const zoneView = (name: string, account: string) => ({
  id: idOf(`zone ${name}`),
  name,
  status: 'active',
  account: { id: account },
})

const routeView = (pattern: string, script: string) => ({ id: idOf(`route ${pattern}`), pattern, script })

/** A route lies in the zone of its host and in those of all domains above it. */
export function zonesOf(pattern: string): string[] {
  const host = pattern
    .replace(/^https?:\/\//, '')
    .split('/', 1)[0]!
    .replace(/^\*\.?/, '')
  const labels = host.split('.')
  return labels.map((_, index) => idOf(`zone ${labels.slice(index).join('.')}`))
}

const domainView = (hostname: string, record: ProgramRecord) => ({
  id: idOf(`domain ${hostname}`),
  hostname,
  zone_id: idOf(`zone ${hostname}`),
  zone_name: hostname,
  service: record.name,
  environment: 'production',
})
