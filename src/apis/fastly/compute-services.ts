/** Calls on versions of Compute services; those of delivery services go on to the routes after these. */
import { Hono } from 'hono'
import { computeParts } from './compute-kinds.ts'
import type { FastlyApiDeps } from './deps.ts'
import { packageRoutes } from './packages.ts'
import { partRoutes } from './parts.ts'
import { resourceRoutes } from './resources.ts'

/** What is asked of a version itself or of its tables is the same for both types. */
const ofVersions = /\/version\/[^/]+\/?$|\/version\/[^/]+\/(clone|activate|deactivate|lock|validate)(\/|$)|\/info$/

export function computeServiceRoutes(deps: FastlyApiDeps): Hono {
  const own = new Hono()
  own.onError((thrown) => {
    throw thrown
  })
  own.route('/', packageRoutes(deps))
  own.route('/', resourceRoutes(deps))
  own.route('/', partRoutes(deps, computeParts))

  const routes = new Hono()
  routes.all('/service/:service/version/:version/*', (c, next) => {
    const isOwn = deps.control.services
      .all()
      .some(({ id, kind }) => id === c.req.param('service') && kind === 'compute')
    return isOwn && !ofVersions.test(c.req.path) ? own.fetch(c.req.raw) : next()
  })
  return routes
}
