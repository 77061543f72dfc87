/** Versions of services. https://www.fastly.com/documentation/reference/api/services/version/ */
import { type Context, Hono } from 'hono'
import type { ServicePart } from '#/control/services/service-records.ts'
import type { FastlyApiDeps } from './deps.ts'
import { notFound, toFastlyError, unsupported } from './errors.ts'
import { readForm } from './read-form.ts'
import { translate } from './translate.ts'
import { translateCompute } from './translate-compute.ts'
import { versionView } from './views.ts'

/** Service and version of a call, from its path. */
export function addressed(c: Context): { readonly service: string; readonly version: number } {
  const { service = '', version = '' } = c.req.param() as { service?: string; version?: string }
  if (!/^[1-9]\d{0,8}$/.test(version)) throw notFound(`'${version.slice(0, 40)}' is not the number of a version.`)
  return { service, version: Number(version) }
}

export function versionRoutes({ control: { services }, limits }: FastlyApiDeps): Hono {
  const routes = new Hono()
  const toProgram = (parts: readonly ServicePart[]) => translateCompute(parts, services.keyFits)
  const toDesign = (parts: readonly ServicePart[]) => translate(parts, services.keyFits)
  const view = (service: string, head: Parameters<typeof versionView>[1]) =>
    versionView(services.service(service), head)

  routes.get('/service/:service/version', (c) => {
    const service = services.service(c.req.param('service'))
    return c.json(service.versions.map((head) => versionView(service, head)))
  })
  routes.post('/service/:service/version', async (c) => {
    const { comment = '' } = await readForm(c, limits.fastlyApiBodyBytes)
    const id = c.req.param('service')
    return c.json(view(id, await services.newVersion(id, comment)))
  })
  routes.get('/service/:service/version/active', (c) => {
    const service = services.service(c.req.param('service'))
    const head = service.versions.find(({ number }) => number === service.active)
    if (head === undefined) throw notFound('No version of this service is active.')
    return c.json(versionView(service, head))
  })
  routes.get('/service/:service/version/:version', (c) => {
    const { service, version } = addressed(c)
    return c.json(view(service, services.version(service, version)))
  })
  routes.put('/service/:service/version/:version', async (c) => {
    const { service, version } = addressed(c)
    const { comment } = await readForm(c, limits.fastlyApiBodyBytes)
    return c.json(view(service, await services.setVersion(service, version, comment === undefined ? {} : { comment })))
  })
  routes.put('/service/:service/version/:version/clone', async (c) => {
    const { service, version } = addressed(c)
    return c.json(view(service, await services.cloneVersion(service, version)))
  })
  routes.put('/service/:service/version/:version/lock', async (c) => {
    const { service, version } = addressed(c)
    return c.json(view(service, await services.setVersion(service, version, { locked: true })))
  })
  routes.put('/service/:service/version/:version/activate', async (c) => {
    const { service, version } = addressed(c)
    const head =
      services.service(service).kind === 'compute'
        ? await services.activateProgram(service, version, toProgram)
        : await services.activate(service, version, toDesign)
    return c.json(view(service, head))
  })
  routes.put('/service/:service/version/:version/deactivate', async (c) => {
    const { service, version } = addressed(c)
    return c.json(view(service, await services.deactivate(service, version)))
  })
  routes.get('/service/:service/version/:version/validate', async (c) => {
    const { service, version } = addressed(c)
    const parts = await services.parts(service, version)
    try {
      if (services.service(service).kind === 'compute') toProgram(parts)
      else toDesign(parts)
    } catch (thrown) {
      const known = toFastlyError(thrown)
      if (known === undefined) throw thrown
      return c.json({ status: 'error', msg: known.message, errors: [known.message], messages: [], warnings: [] })
    }
    return c.json({ status: 'ok', msg: null, errors: [], messages: [], warnings: [] })
  })
  routes.put('/service/:service/version/:version/activate/staging', async (c) => {
    const { service, version } = addressed(c)
    if (services.service(service).kind !== 'compute') throw unsupported('Staging of delivery services is')
    return c.json(view(service, await services.stageProgram(service, version, toProgram)))
  })
  routes.put('/service/:service/version/:version/deactivate/staging', async (c) => {
    const { service, version } = addressed(c)
    return c.json(view(service, await services.unstageProgram(service, version)))
  })
  for (const environment of ['activate', 'deactivate'])
    routes.put(`/service/:service/version/:version/${environment}/:environment`, (c) => {
      throw unsupported(`The environment '${c.req.param('environment')}' is`)
    })
  return routes
}
