/** Who is asking: one administrator, one account. */
import { Hono } from 'hono'
import { tokenId } from '#/core/access-keys.ts'
import { type CloudflareApiDeps, idOf } from './deps.ts'
import { ok } from './envelope.ts'

export function accountRoutes({ control, accountId }: CloudflareApiDeps): Hono {
  const account = { id: accountId, name: 'Rimward', type: 'standard' }
  const one = { page: 1, per_page: 50, count: 1, total_count: 1 }
  const routes = new Hono()
  routes.get('/user/tokens/verify', (c) => ok(c, { id: tokenId, status: 'active' }))
  routes.get('/user', (c) => ok(c, { id: idOf('administrator'), email: 'admin@localhost' }))
  routes.get('/accounts', (c) => ok(c, [account], { result_info: one }))
  routes.get('/accounts/:account', (c) => ok(c, account))
  routes.get('/memberships', (c) =>
    ok(c, [{ id: idOf('membership'), account, roles: ['Administrator'], status: 'accepted' }], { result_info: one }),
  )
  routes.get('/accounts/:account/workers/tails/by-consumer/:name', (c) => {
    const { name } = control.program(c.req.param('name'))
    const told = control.programs().filter(({ tailConsumers = [] }) => tailConsumers.includes(name))
    return ok(
      c,
      told.map((record) => ({
        tag: record.id,
        producer: { service: record.name, environment: 'production' },
        consumer: { service: name, environment: 'production' },
      })),
    )
  })
  return routes
}
