/** Services. https://www.fastly.com/documentation/reference/api/services/service/ */
import { Hono } from 'hono'
import { siteNameOf } from '#/core/service-site-name.ts'

import type { FastlyApiDeps } from './deps.ts'
import { badRequest, notFound, unsupported } from './errors.ts'
import { readForm } from './read-form.ts'
import { detailsView, serviceView } from './views.ts'

export function serviceRoutes({ control: { services }, cache, accountId, limits }: FastlyApiDeps): Hono {
  const routes = new Hono()

  routes.get('/service', (c) => {
    const { page, per_page, sort, direction } = c.req.query()
    const field = sort === 'name' ? 'name' : 'createdAt'
    const ordered = services.all().toSorted((one, other) => (one[field] < other[field] ? -1 : 1))
    if (direction === 'descend') ordered.reverse()
    const size = numberOf(per_page, limits.services)
    const first = (numberOf(page, 1) - 1) * size
    const pages = Math.max(1, Math.ceil(ordered.length / size))
    const at = (number: number) => `<${linkTo(c.req.url, number)}>`
    if (numberOf(page, 1) < pages)
      c.header('link', `${at(numberOf(page, 1) + 1)}; rel="next", ${at(pages)}; rel="last"`)
    return c.json(ordered.slice(first, first + size).map((service) => serviceView(service, accountId)))
  })

  routes.post('/service', async (c) => {
    const { name, type = 'vcl', comment = '' } = await readForm(c, limits.fastlyApiBodyBytes)
    if (type !== 'vcl' && type !== 'wasm') throw unsupported(`Services of type '${type.slice(0, 40)}' are`)
    if (name === undefined || name === '') throw badRequest('Name is missing.')
    return c.json(
      serviceView(await services.create({ name, comment, ...(type === 'wasm' && { kind: 'compute' }) }), accountId),
    )
  })

  routes.get('/service/search', (c) => {
    const name = c.req.query('name')
    const found = services.all().find((service) => service.name === name)
    if (found === undefined) throw notFound(`There is no service named '${(name ?? '').slice(0, 100)}'.`)
    return c.json(serviceView(found, accountId))
  })

  routes.get('/service/:service', (c) => c.json(serviceView(services.service(c.req.param('service')), accountId)))
  routes.get('/service/:service/details', (c) =>
    c.json(detailsView(services.service(c.req.param('service')), accountId)),
  )

  routes.put('/service/:service', async (c) => {
    const id = c.req.param('service')
    const { name, comment } = await readForm(c, limits.fastlyApiBodyBytes)
    if (name === '') throw badRequest('Name is missing.')
    const before = services.siteName(id)
    const changed = await services.update(id, {
      ...(name !== undefined && { name }),
      ...(comment !== undefined && { comment }),
    })
    // What was stored under the name of before could not be purged by the service any more.
    if (siteNameOf(changed.name) !== before) await forget(before)
    return c.json(serviceView(changed, accountId))
  })

  routes.delete('/service/:service', async (c) => {
    const id = c.req.param('service')
    const scope = services.siteName(id)
    await services.remove(id)
    await forget(scope)
    return c.json({ status: 'ok' })
  })

  const forget = (scope: string) => cache.purge([{ scope, soft: false, what: { kind: 'everything' } }])

  return routes
}

function numberOf(text: string | undefined, otherwise: number): number {
  return /^[1-9]\d{0,5}$/.test(text ?? '') ? Number(text) : otherwise
}

function linkTo(url: string, page: number): string {
  const link = new URL(url)
  link.searchParams.set('page', String(page))
  return link.href
}
