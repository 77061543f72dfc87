/**
 * Config stores: short texts by key, which programs read. https://www.fastly.com/documentation/reference/api/services/resources/config-store/
 * https://www.fastly.com/documentation/reference/api/services/resources/config-store-item/
 */
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import type { ItemChange, ItemStore, StoreItem } from '#/core/item-stores.ts'
import type { FastlyApiDeps } from './deps.ts'
import { badRequest, notFound } from './errors.ts'
import { readForm, readJson } from './read-form.ts'
import { checkStoreName, noStore, settled } from './store-outcomes.ts'
import { serviceView, timeView } from './views.ts'

const path = '/resources/stores/config'
const label = 'config store'

const batch = z.object({
  items: z.array(
    z.object({
      op: z.enum(['create', 'update', 'upsert', 'delete']),
      item_key: z.string(),
      item_value: z.string().default(''),
    }),
  ),
})

export function configStoreRoutes(deps: FastlyApiDeps): Hono {
  const { items } = deps.compute
  const { limits } = deps
  const routes = new Hono()
  const find = (c: Context) => {
    const store = items.find('config', c.req.param('store') ?? '')
    if (store === undefined) throw noStore(label)
    return store
  }

  routes.get(path, (c) => {
    const { name } = c.req.query()
    return c.json(
      items
        .all('config')
        .filter((one) => name === undefined || one.name === name)
        .map(storeView),
    )
  })
  routes.post(path, async (c) => {
    const { name } = await readForm(c, limits.fastlyApiBodyBytes)
    return c.json(storeView(settled(await items.create('config', checkStoreName(name, limits)), label, limits)))
  })
  routes.get(`${path}/:store`, (c) => c.json(storeView(find(c))))
  routes.put(`${path}/:store`, async (c) => {
    const { name } = await readForm(c, limits.fastlyApiBodyBytes)
    const renamed = await items.rename('config', find(c).id, checkStoreName(name, limits))
    return c.json(storeView(settled(renamed, label, limits)))
  })
  routes.delete(`${path}/:store`, async (c) => {
    if (!(await items.remove('config', c.req.param('store')))) throw noStore(label)
    return c.json({ status: 'ok' })
  })
  routes.get(`${path}/:store/info`, (c) => c.json({ item_count: items.items('config', find(c).id)!.size }))
  routes.get(`${path}/:store/services`, (c) => {
    const { id } = find(c)
    const users = deps.control.services.all().filter(({ program }) => program?.stores.some(({ store }) => store === id))
    return c.json(users.map((service) => serviceView(service, deps.accountId)))
  })
  addItems(routes, deps)
  return routes
}

function addItems(routes: Hono, { compute: { items }, limits }: FastlyApiDeps): void {
  const one = `${path}/:store/item/:key{.+}`
  const idOf = (c: Context) => c.req.param('store') ?? ''
  const keyOf = (c: Context) => (c.req.param() as { key?: string }).key ?? ''
  const all = (c: Context) => {
    const found = items.items('config', idOf(c))
    if (found === undefined) throw noStore(label)
    return found
  }
  const view = (c: Context, key: string) => {
    const item = all(c).get(key)
    if (item === undefined) throw notFound(`There is no item '${key.slice(0, 100)}' in this ${label}.`)
    return itemView(idOf(c), item)
  }
  const edit = async (c: Context, changes: readonly ItemChange[]) => {
    for (const change of changes) checkItem(change)
    settled(await items.edit('config', idOf(c), changes), label, limits)
  }

  function checkItem({ key, value, op }: ItemChange): void {
    if (key === '' || Buffer.byteLength(key) > limits.tableKeyBytes)
      throw badRequest(`A key has 1 to ${limits.tableKeyBytes} bytes.`)
    if (op !== 'delete' && Buffer.byteLength(value) > limits.tableValueBytes)
      throw badRequest(`The value of '${key}' is larger than ${limits.tableValueBytes} bytes.`)
  }

  const put = (op: 'update' | 'upsert') => async (c: Context) => {
    const { item_value } = await readForm(c, limits.fastlyApiBodyBytes)
    if (item_value === undefined) throw badRequest('item_value is missing.')
    await edit(c, [{ op, key: keyOf(c), value: item_value }])
    return c.json(view(c, keyOf(c)))
  }

  routes.get(`${path}/:store/items`, (c) => c.json([...all(c).values()].map((item) => itemView(idOf(c), item))))
  routes.patch(`${path}/:store/items`, async (c) => {
    const read = batch.safeParse(await readJson(c, limits.itemStoreBytes))
    if (!read.success) throw badRequest(`The batch does not fit: ${read.error.issues[0]!.message}.`)
    await edit(
      c,
      read.data.items.map(({ op, item_key, item_value }) => ({ op, key: item_key, value: item_value })),
    )
    return c.json({ status: 'ok' })
  })
  routes.post(`${path}/:store/item`, async (c) => {
    const { item_key = '', item_value } = await readForm(c, limits.fastlyApiBodyBytes)
    if (item_value === undefined) throw badRequest('item_value is missing.')
    await edit(c, [{ op: 'create', key: item_key, value: item_value }])
    return c.json(view(c, item_key))
  })
  routes.get(one, (c) => c.json(view(c, keyOf(c))))
  routes.put(one, put('upsert'))
  routes.patch(one, put('update'))
  routes.delete(one, async (c) => {
    await edit(c, [{ op: 'delete', key: keyOf(c), value: '' }])
    return c.json({ status: 'ok' })
  })
}

function storeView({ id, name, createdAt, modifiedAt }: ItemStore): object {
  return { id, name, created_at: timeView(createdAt), updated_at: timeView(modifiedAt), deleted_at: null }
}

function itemView(store: string, { key, value, createdAt, modifiedAt }: StoreItem): object {
  return {
    store_id: store,
    item_key: key,
    item_value: value,
    created_at: timeView(createdAt),
    updated_at: timeView(modifiedAt),
    deleted_at: null,
  }
}
