/** Calls of the CLI for what this platform does not have, refused by the product's name. */
import { Hono } from 'hono'
import { FastlyError } from './errors.ts'

export function refusedRoutes(): Hono {
  const routes = new Hono()
  const refuse = (path: string, what: string) =>
    routes.all(path, () => {
      throw new FastlyError(400, 'Bad request', what)
    })
  routes.all('/enabled-products/*', (c) => {
    const product = /^\/enabled-products\/v1\/([a-z0-9_-]{1,60})/.exec(c.req.path)?.[1] ?? 'unknown'
    throw new FastlyError(400, 'Bad request', `The product '${product}' is not supported by Rimward.`)
  })
  refuse('/metrics/domains/*', 'The domain inspector is not supported by Rimward.')
  refuse('/metrics/origins/*', 'The origin inspector is not supported by Rimward.')
  refuse('/domain-management/*', 'Domains without a service are not supported by Rimward.')
  refuse('/tls/*', 'TLS subscriptions are not supported by Rimward; see «rimward cert».')
  return routes
}
