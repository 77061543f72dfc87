/** KV stores; they are the namespaces of Workers KV. https://www.fastly.com/documentation/reference/api/services/resources/kv-store/ */
import { type Context, Hono } from 'hono'
import {
  createKvNamespace,
  findKvNamespace,
  type KvNamespace,
  listKvNamespaces,
  removeKvNamespace,
} from '#/control/kv-namespaces.ts'
import type { FastlyApiDeps } from './deps.ts'
import { badRequest, FastlyError } from './errors.ts'
import { kvItemRoutes } from './kv-items.ts'
import { pageOf } from './pages.ts'
import { readJson } from './read-form.ts'
import { checkStoreName, noStore } from './store-outcomes.ts'
import { timeView } from './views.ts'

const path = '/resources/stores/kv'
const label = 'KV store'

export function kvStoreRoutes(deps: FastlyApiDeps): Hono {
  const { compute, fabric, limits, clock } = deps
  const parts = { fabric, kv: compute.kv, limits, clock }
  const routes = new Hono()
  const find = async (c: Context) => {
    const store = await findKvNamespace(fabric, c.req.param('store') ?? '')
    if (store === undefined) throw noStore(label)
    return store
  }

  routes.get(path, async (c) => {
    const { name } = c.req.query()
    const all = (await listKvNamespaces(fabric)).filter((one) => name === undefined || one.title === name)
    const page = pageOf(c, all.toSorted(byId), ({ id }) => id, limits.kvListKeys)
    return c.json({ data: page.items.map(storeView), meta: metaOf(page.limit, page.next) })
  })
  routes.post(path, async (c) => {
    const body = (await readJson(c, limits.fastlyApiBodyBytes)) as { name?: unknown } | undefined
    if (c.req.query('location') !== undefined) throw badRequest('There is one location here; leave it out.')
    const made = await createKvNamespace(parts, checkStoreName(body?.name, limits))
    if (made.ok) return c.json(storeView(made.namespace), 201)
    if (made.why === 'title_taken')
      throw new FastlyError(409, 'Duplicate record', `There is a ${label} of this name already.`)
    throw badRequest(
      made.why === 'too_many' ? `There are ${limits.kvNamespaces} KV stores already.` : 'The name does not fit.',
    )
  })
  routes.get(`${path}/:store`, async (c) => c.json(storeView(await find(c))))
  routes.delete(`${path}/:store`, async (c) => {
    await removeKvNamespace(parts, (await find(c)).id)
    return c.body(null, 204)
  })
  routes.use(`${path}/:store/*`, async (c, next) => {
    await find(c)
    return next()
  })
  routes.route('/', kvItemRoutes(deps))
  return routes
}

/** Values are texts: the CLI reads them as such. */
export function metaOf(limit: number, next: string | undefined): object {
  return { limit: String(limit), ...(next !== undefined && { next_cursor: next }) }
}

const byId = (one: KvNamespace, other: KvNamespace) => (one.id < other.id ? -1 : 1)

function storeView({ id, title, createdAt }: KvNamespace): object {
  return { id, name: title, created_at: timeView(createdAt), updated_at: timeView(createdAt) }
}
