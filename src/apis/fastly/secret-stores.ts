/**
 * Secret stores: what is in them is read by programs only. A client seals a secret with a key that it asks for first, or sends
 * it in clear as base64. https://www.fastly.com/documentation/reference/api/services/resources/secret-store/
 */
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import type { ItemChange, ItemStore, StoreItem } from '#/core/item-stores.ts'
import type { FastlyApiDeps } from './deps.ts'
import { badRequest, FastlyError, notFound } from './errors.ts'
import { pageOf } from './pages.ts'
import { readJson } from './read-form.ts'
import { checkStoreName, noStore, settled } from './store-outcomes.ts'
import { timeView } from './views.ts'

const path = '/resources/stores/secret'
const label = 'secret store'
const pageItems = 1000

const secretBody = z.object({ name: z.string().optional(), secret: z.string(), client_key: z.string().optional() })
const storeBody = z.object({ name: z.unknown() })

const byKey = (one: { key: string }, other: { key: string }) => (one.key < other.key ? -1 : 1)
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')

export function secretStoreRoutes(deps: FastlyApiDeps): Hono {
  const { items, clientKeys } = deps.compute
  const { limits } = deps
  const routes = new Hono()

  routes.post(`${path}/client-key`, (c) => {
    const { publicKey, signature, expiresAt } = clientKeys.issue()
    return c.json({ public_key: base64(publicKey), signature: base64(signature), expires_at: timeView(expiresAt) })
  })
  routes.get(`${path}/signing-key`, (c) => c.json({ signing_key: base64(clientKeys.signingKey) }))

  routes.get(path, (c) => {
    const { name } = c.req.query()
    const all = items.all('secret').filter((one) => name === undefined || one.name === name)
    const page = pageOf(c, all.toSorted(byId), ({ id }) => id, pageItems)
    return c.json({ data: page.items.map(storeView), meta: { limit: page.limit, next_cursor: page.next ?? '' } })
  })
  routes.post(path, async (c) => {
    const body = storeBody.safeParse(await readJson(c, limits.fastlyApiBodyBytes))
    const name = checkStoreName(body.data?.name, limits)
    return c.json(storeView(settled(await items.create('secret', name), label, limits)))
  })
  routes.get(`${path}/:store`, (c) => {
    const store = items.find('secret', c.req.param('store'))
    if (store === undefined) throw noStore(label)
    return c.json(storeView(store))
  })
  routes.delete(`${path}/:store`, async (c) => {
    if (!(await items.remove('secret', c.req.param('store')))) throw noStore(label)
    return c.body(null, 204)
  })
  addSecrets(routes, deps)
  return routes
}

function addSecrets(routes: Hono, { compute: { items, secrets, clientKeys }, limits }: FastlyApiDeps): void {
  const all = (c: Context) => {
    const found = items.items('secret', c.req.param('store') ?? '')
    if (found === undefined) throw noStore(label)
    return found
  }
  const secretView = (item: StoreItem) => ({
    name: item.key,
    digest: base64(secrets.digest(item)),
    created_at: timeView(item.createdAt),
  })

  /** POST makes one; PATCH puts another in place of one that is there; PUT does either. */
  const write = (op: Exclude<ItemChange['op'], 'delete'>) => async (c: Context) => {
    const body = secretBody.safeParse(await readJson(c, limits.fastlyApiBodyBytes))
    if (!body.success) throw badRequest('The body is not {"name", "secret", "client_key"}.')
    const name = c.req.param('name') ?? body.data.name ?? ''
    if (!/^[A-Za-z0-9._-]{1,255}$/.test(name))
      throw badRequest('A secret has a name of 1 to 255 letters, digits, dots, dashes and underscores.')
    const store = c.req.param('store') ?? ''
    const recreated = all(c).has(name)
    const outcome = await secrets.put(store, name, plainOf(body.data), op)
    settled(outcome, label, limits)
    return c.json({ ...secretView(all(c).get(name)!), ...(recreated && { recreated: true }) })
  }

  function plainOf({ secret, client_key }: z.infer<typeof secretBody>): Uint8Array {
    const bytes = fromBase64(secret, 'secret')
    const plain = client_key === undefined ? bytes : clientKeys.open(bytes, fromBase64(client_key, 'client_key'))
    if (plain === undefined)
      throw badRequest('The secret was not sealed with a client key of ours, or the key is too old. Ask for a new one.')
    if (plain.length === 0 || plain.length > limits.secretBytes)
      throw new FastlyError(400, 'Bad request', `A secret has 1 to ${limits.secretBytes} bytes.`)
    return plain
  }

  const one = `${path}/:store/secrets/:name`
  routes.get(`${path}/:store/secrets`, (c) => {
    const page = pageOf(c, [...all(c).values()].sort(byKey), ({ key }) => key, pageItems)
    return c.json({ data: page.items.map(secretView), meta: { limit: page.limit, next_cursor: page.next ?? '' } })
  })
  routes.post(`${path}/:store/secrets`, write('create'))
  routes.put(`${path}/:store/secrets`, write('upsert'))
  routes.patch(`${path}/:store/secrets`, write('update'))
  routes.get(one, (c) => {
    const item = all(c).get(c.req.param('name'))
    if (item === undefined) throw notFound(`There is no secret '${c.req.param('name').slice(0, 100)}' in this store.`)
    return c.json(secretView(item))
  })
  routes.delete(one, async (c) => {
    const change = { op: 'delete', key: c.req.param('name'), value: '' } as const
    settled(await items.edit('secret', c.req.param('store'), [change]), label, limits)
    return c.body(null, 204)
  })
}

function fromBase64(text: string, field: string): Buffer {
  const bytes = Buffer.from(text, 'base64')
  // Buffer passes over what is no base64; the same length back proves that nothing was.
  if (bytes.toString('base64').replace(/=+$/, '') !== text.trim().replace(/=+$/, ''))
    throw badRequest(`${field} is not base64.`)
  return bytes
}

const byId = (one: ItemStore, other: ItemStore) => (one.id < other.id ? -1 : 1)

function storeView({ id, name, createdAt }: ItemStore): object {
  return { id, name, created_at: timeView(createdAt) }
}
