/** ACLs of Compute: networks with an action. https://www.fastly.com/documentation/reference/api/acls/acls/ */
import { type Context, Hono } from 'hono'
import ipaddr from 'ipaddr.js'
import { z } from 'zod'
import type { ItemStore } from '#/core/item-stores.ts'
import type { FastlyApiDeps } from './deps.ts'
import { badRequest } from './errors.ts'
import { pageOf } from './pages.ts'
import { readJson } from './read-form.ts'
import { checkStoreName, noStore, settled } from './store-outcomes.ts'

const path = '/resources/acls'
const label = 'ACL'
const pageItems = 1000

const batch = z.object({
  entries: z.array(
    z.object({
      op: z.enum(['create', 'update', 'delete']),
      prefix: z.string(),
      action: z.enum(['ALLOW', 'BLOCK']).optional(),
    }),
  ),
})

export function accessListRoutes({ compute: { items, accessLists }, limits }: FastlyApiDeps): Hono {
  const routes = new Hono()
  const find = (c: Context) => {
    const store = items.find('access-list', c.req.param('store') ?? '')
    if (store === undefined) throw noStore(label)
    return store
  }

  routes.get(path, (c) => {
    const data = items.all('access-list').map(storeView)
    return c.json({ data, meta: { total: data.length } })
  })
  routes.post(path, async (c) => {
    const body = (await readJson(c, limits.fastlyApiBodyBytes)) as { name?: unknown } | undefined
    const name = checkStoreName(body?.name, limits)
    return c.json(storeView(settled(await items.create('access-list', name), label, limits)))
  })
  routes.get(`${path}/:store`, (c) => c.json(storeView(find(c))))
  routes.delete(`${path}/:store`, async (c) => {
    if (!(await items.remove('access-list', c.req.param('store')))) throw noStore(label)
    return c.json({ status: 'ok' })
  })
  routes.get(`${path}/:store/entry/:address`, async (c) => {
    const { id } = find(c)
    const address = c.req.param('address')
    if (!ipaddr.isValid(address)) throw badRequest(`'${address.slice(0, 60)}' is not an IP address.`)
    const found = await accessLists.lookup(id, address)
    return found === undefined ? c.body(null, 204) : c.json(found)
  })
  routes.get(`${path}/:store/entries`, (c) => {
    const all = [...items.items('access-list', find(c).id)!.values()].sort((one, other) =>
      one.key < other.key ? -1 : 1,
    )
    const page = pageOf(c, all, ({ key }) => key, pageItems)
    return c.json({
      entries: page.items.map(({ key, value }) => ({ prefix: key, action: value })),
      meta: { limit: page.limit, ...(page.next !== undefined && { next_cursor: page.next }) },
    })
  })
  routes.patch(`${path}/:store/entries`, async (c) => {
    const { id } = find(c)
    const read = batch.safeParse(await readJson(c, limits.itemStoreBytes))
    if (!read.success) throw badRequest(`The entries do not fit: ${read.error.issues[0]!.message}.`)
    const changes = read.data.entries.map(({ op, prefix, action }) => {
      if (op !== 'delete' && action === undefined) throw badRequest(`'${prefix.slice(0, 60)}' has no action.`)
      return { op, key: networkOf(prefix), value: action ?? '' }
    })
    settled(await items.edit('access-list', id, changes), label, limits)
    return c.json({}, 202)
  })
  return routes
}

/** `192.0.2.0/24`, the same text for the same network. */
function networkOf(text: string): string {
  const whole = ipaddr.isValid(text) ? `${text}/${ipaddr.parse(text).kind() === 'ipv4' ? 32 : 128}` : text
  if (!ipaddr.isValidCIDR(whole)) throw badRequest(`'${text.slice(0, 60)}' is no network such as 192.0.2.0/24.`)
  const [address, bits] = ipaddr.parseCIDR(whole)
  const kind = address.kind() === 'ipv4' ? ipaddr.IPv4 : ipaddr.IPv6
  return `${kind.networkAddressFromCIDR(`${address.toString()}/${bits}`).toString()}/${bits}`
}

function storeView({ id, name }: ItemStore): object {
  return { id, name }
}
