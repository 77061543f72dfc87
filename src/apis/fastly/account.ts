/** Who is asking: one administrator, one customer. */
import { Hono } from 'hono'
import type { FastlyApiDeps } from './deps.ts'

export function accountRoutes({ accountId, control }: FastlyApiDeps): Hono {
  const user = { id: 'administrator', name: 'Administrator', login: 'admin@localhost', role: 'superuser' }
  const customer = { id: accountId, name: 'Rimward' }
  const token = {
    id: 'administrator-token',
    name: 'Rimward',
    user_id: user.id,
    customer_id: accountId,
    services: [],
    scope: 'global',
    scopes: ['global'],
    created_at: null,
    expires_at: null,
    last_used_at: null,
  }
  const routes = new Hono()
  routes.get('/tokens/self', (c) => c.json(token))
  routes.get('/current_user', (c) => c.json({ ...user, customer_id: accountId }))
  routes.get('/current_customer', (c) => c.json(customer))
  routes.get('/verify', (c) =>
    c.json({
      customer,
      user,
      services: Object.fromEntries(control.services.all().map(({ id, name }) => [id, name])),
      token: { id: token.id, name: token.name, scope: token.scope, expires_at: null },
    }),
  )
  return routes
}
