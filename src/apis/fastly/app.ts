/** Fastly's API for the unmodified `fastly` CLI, at the root of the control port. */
import { Hono } from 'hono'
import { secretCheck, tokenOf } from '#/http/same-secret.ts'
import { accessListRoutes } from './access-lists.ts'
import { accountRoutes } from './account.ts'
import { computeServiceRoutes } from './compute-services.ts'
import { configStoreRoutes } from './config-stores.ts'
import type { FastlyApiDeps } from './deps.ts'
import { directorRoutes } from './directors.ts'
import { FastlyError, fail, notFound, toFastlyError } from './errors.ts'
import { kvStoreRoutes } from './kv-stores.ts'
import { logTailRoutes } from './log-tail.ts'
import { partRoutes } from './parts.ts'
import { purgeRoutes } from './purge.ts'
import { refusedRoutes } from './refused-calls.ts'
import { secretStoreRoutes } from './secret-stores.ts'
import { serviceRoutes } from './services.ts'
import { settingsRoutes } from './settings.ts'
import { statsRoutes } from './stats.ts'
import { tableRoutes } from './tables.ts'
import { versionRoutes } from './versions.ts'

/** Paths that are this door's; everything else at the root is nobody's. */
const ours =
  /^\/(service|purge|tokens|current_user|current_customer|verify|customer|user|resources|content|enabled-products|stats|v1|metrics|domain-management|tls)(\/|$)/

/** Mount it last at the root: it answers every path, unknown ones with 404 that names method and path. */
export function createFastlyApi(deps: FastlyApiDeps): Hono {
  const app = new Hono()
  const isToken = secretCheck(deps.token)

  app.onError((thrown, c) => {
    const known = toFastlyError(thrown)
    if (known === undefined) deps.log(`${c.req.method} ${c.req.path} failed`, thrown)
    return fail(
      c,
      known ??
        new FastlyError(500, 'Internal error', 'An unexpected error happened inside Rimward; its log says more.'),
    )
  })

  /** Every command asks this first, before it has a token; there is no sign-on here. */
  app.get('/realms/fastly/.well-known/openid-configuration', (c) => c.json({}))

  app.use('*', async (c, next) => {
    if (!ours.test(c.req.path)) throw unknownCall(c.req.method, c.req.path)
    const token = tokenOf(c.req.header('fastly-key'), c.req.header('authorization'))
    if (isToken(token)) return next()
    throw new FastlyError(
      401,
      'Provided credentials are missing or invalid',
      'Send the token of this platform as Fastly-Key.',
    )
  })

  app.route('/', accountRoutes(deps))
  app.route('/', purgeRoutes(deps))
  app.route('/', computeServiceRoutes(deps))
  app.route('/', serviceRoutes(deps))
  app.route('/', versionRoutes(deps))
  app.route('/', settingsRoutes(deps))
  app.route('/', tableRoutes(deps))
  app.route('/', directorRoutes(deps))
  app.route('/', partRoutes(deps))
  app.route('/', configStoreRoutes(deps))
  app.route('/', kvStoreRoutes(deps))
  app.route('/', secretStoreRoutes(deps))
  app.route('/', accessListRoutes(deps))
  app.route('/', logTailRoutes(deps))
  app.route('/', statsRoutes(deps))
  app.route('/', refusedRoutes())
  app.all('*', (c) => {
    throw unknownCall(c.req.method, c.req.path)
  })
  return app
}

function unknownCall(method: string, path: string): FastlyError {
  return notFound(`Rimward does not support ${method} ${path.slice(0, 200)}.`)
}
