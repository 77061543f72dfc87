/** Cloudflare's API for unmodified `wrangler`: who may ask, which router answers, and the envelope around every outcome. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { Hono } from 'hono'
import { accountRoutes } from './account.ts'
import { addressRoutes } from './addresses.ts'
import { signedD1Path } from './d1-transfers.ts'
import type { CloudflareApiDeps } from './deps.ts'
import { fail } from './envelope.ts'
import { doorError, toVendorError } from './errors.ts'
import { rulesetRoutes } from './rulesets.ts'
import { scriptRoutes } from './scripts.ts'
import { secretRoutes } from './secrets.ts'
import { versionRoutes } from './versions.ts'

/** Asset uploads carry the token of their session instead; `assetsRoutes` checks it. */
const ownToken = /\/accounts\/[^/]+\/workers\/assets\/upload(\/[^/]*)?$/

/** Paths are those behind `/client/v4`, where the caller mounts it: `app.route('/client/v4', createCloudflareApi(…))`. */
export function createCloudflareApi(deps: CloudflareApiDeps): Hono {
  const app = new Hono()
  const isToken = tokenCheck(deps.token)

  app.onError((thrown, c) => {
    const known = toVendorError(thrown)
    if (known === undefined) deps.log(`${c.req.method} ${c.req.path} failed`, thrown)
    return fail(c, known ?? doorError('internal', 'An unexpected error happened inside Rimward; its log says more.'))
  })

  app.use('*', async (c, next) => {
    if (ownToken.test(c.req.path) || signedD1Path.test(c.req.path)) return next()
    if (isToken(c.req.header('authorization'))) return next()
    if (c.req.path.endsWith('/user/tokens/verify')) throw doorError('invalidToken', 'Invalid API Token')
    const refused = doorError('authentication', 'Authentication error')
    refused.hint =
      'This is not the token of this node: run  eval "$(npx rimward env)"  in this shell, where .rimward lies.'
    throw refused
  })
  app.use('/accounts/:account/*', async (c, next) => {
    const asked = c.req.param('account')
    if (asked === deps.accountId) return next()
    throw doorError(
      'otherAccount',
      `This platform's account is ${deps.accountId}, not ${asked.slice(0, 64)}: take account_id out of the configuration or set CLOUDFLARE_ACCOUNT_ID.`,
    )
  })

  app.route('/', accountRoutes(deps))
  app.route('/', scriptRoutes(deps))
  app.route('/', versionRoutes(deps))
  app.route('/', secretRoutes(deps))
  app.route('/', addressRoutes(deps))
  app.route('/', rulesetRoutes(deps))
  const given = [deps.kvRoutes, ...(deps.bindingRoutes ?? []), deps.assetsRoutes, deps.tailsRoutes, deps.purgeRoutes]
  for (const routes of given) if (routes !== undefined) app.route('/', routes)

  app.all('*', (c) => {
    const instead = /\/accounts\/[^/]+\/pages\//.test(c.req.path)
      ? ' A Pages project is deployed as a Worker: wrangler deploy --assets FOLDER.'
      : ''
    throw doorError('unknownCall', `Rimward does not support ${c.req.method} ${c.req.path}.${instead}`)
  })
  return app
}

/** Compares digests, so that neither the time taken nor the length tells anything about the token. */
function tokenCheck(token: string): (authorization: string | undefined) => boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  const wanted = digest(`bearer ${token}`)
  return (authorization = '') => timingSafeEqual(digest(authorization.replace(/^bearer +/i, 'bearer ')), wanted)
}
