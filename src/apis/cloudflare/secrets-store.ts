/**
 * Secrets Store: secrets that several Workers share (https://developers.cloudflare.com/api/resources/secrets_store/). A store
 * is the same thing as one of Fastly's secret stores: either vendor's programs may be given what is in it.
 */
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import type {
  ItemStore,
  ItemStoreOutcome,
  ItemStores,
  SecretFacts,
  SecretVault,
  StoreItem,
} from '#/core/item-stores.ts'
import type { Limits } from '#/core/limits.ts'
import { idOf } from './deps.ts'
import { ok, VendorError } from './envelope.ts'
import { readJson } from './read-json.ts'

export interface SecretsStoreParts {
  readonly items: ItemStores
  readonly secrets: SecretVault
  readonly limits: Limits
  readonly accountId: string
}

const path = '/accounts/:account/secrets_store/stores'
const one = `${path}/:store/secrets/:secret`

const facts = {
  comment: z.string().max(1024).optional(),
  scopes: z.array(z.string().max(64)).max(16).optional(),
}
const storeBody = z.strictObject({ name: z.string().regex(/^[A-Za-z0-9._-]{1,255}$/) })
const secretName = z.string().regex(/^[A-Za-z0-9._-]{1,255}$/)
const createBody = z.array(z.strictObject({ name: secretName, value: z.string().min(1), ...facts })).min(1)
const updateBody = z.strictObject({ value: z.string().min(1).optional(), ...facts })
const duplicateBody = z.strictObject({ name: secretName, ...facts })

export function secretsStoreRoutes(parts: SecretsStoreParts): Hono {
  const { items, limits, accountId } = parts
  const routes = new Hono()
  const storeView = ({ id, name, createdAt, modifiedAt }: ItemStore) => ({
    id,
    account_id: accountId,
    name,
    created: new Date(createdAt).toISOString(),
    modified: new Date(modifiedAt).toISOString(),
  })

  routes.get(path, (c) => paged(c, items.all('secret').map(storeView)))
  routes.post(path, async (c) => {
    const { name } = await readJson(c, storeBody, limits.fastlyApiBodyBytes)
    return ok(c, storeView(settled(await items.create('secret', name))))
  })
  routes.get(`${path}/:store`, (c) => ok(c, storeView(requireStore(c, items))))
  routes.delete(`${path}/:store`, async (c) => {
    const store = requireStore(c, items)
    await items.remove('secret', store.id)
    return ok(c, storeView(store))
  })
  addSecrets(routes, parts)
  return routes
}

function addSecrets(routes: Hono, { items, secrets, limits }: SecretsStoreParts): void {
  const view = (store: ItemStore, item: StoreItem) => {
    const { comment = '', scopes = [] } = secrets.facts(item)
    return {
      id: secretId(store.id, item.key),
      store_id: store.id,
      name: item.key,
      comment,
      scopes,
      status: 'active',
      created: new Date(item.createdAt).toISOString(),
      modified: new Date(item.modifiedAt).toISOString(),
    }
  }
  const itemsOf = (store: ItemStore) => [...(items.items('secret', store.id)?.values() ?? [])]
  function requireSecret(c: Context): { store: ItemStore; item: StoreItem } {
    const store = requireStore(c, items)
    const item = itemsOf(store).find(({ key }) => secretId(store.id, key) === c.req.param('secret'))
    if (item === undefined) throw new VendorError(404, 1001, 'Secret not found')
    return { store, item }
  }
  const bytesOf = (value: string) => {
    const bytes = Buffer.from(value)
    if (bytes.length > limits.secretBytes)
      throw new VendorError(400, 1003, `A secret has at most ${limits.secretBytes} bytes.`)
    return bytes
  }
  const readBody = <Schema extends z.ZodType>(c: Context, schema: Schema) =>
    readJson(c, schema, limits.fastlyApiBodyBytes)

  routes.get(`${path}/:store/secrets`, (c) => {
    const store = requireStore(c, items)
    const { search = '' } = c.req.query()
    return paged(
      c,
      itemsOf(store)
        .filter(({ key }) => key.includes(search))
        .map((item) => view(store, item)),
    )
  })
  routes.post(`${path}/:store/secrets`, async (c) => {
    const store = requireStore(c, items)
    const wishes = await readBody(c, createBody)
    for (const { value } of wishes) bytesOf(value)
    const taken = wishes.find(({ name }) => items.items('secret', store.id)?.has(name))
    if (taken !== undefined) throw new VendorError(409, 1002, `Secret '${taken.name}' already exists`)
    for (const { name, value, ...said } of wishes)
      settled(await secrets.put(store.id, name, bytesOf(value), 'create', kept(said)))
    const names = new Set(wishes.map(({ name }) => name))
    const made = itemsOf(store).filter(({ key }) => names.has(key))
    return ok(
      c,
      made.map((item) => view(store, item)),
    )
  })
  routes.get(one, (c) => {
    const { store, item } = requireSecret(c)
    return ok(c, view(store, item))
  })
  routes.patch(one, async (c) => {
    const { store, item } = requireSecret(c)
    const { value, ...said } = await readBody(c, updateBody)
    const next = { ...secrets.facts(item), ...kept(said) }
    settled(
      value === undefined
        ? await secrets.describe(store.id, item.key, next)
        : await secrets.put(store.id, item.key, bytesOf(value), 'update', next),
    )
    return ok(c, view(store, items.items('secret', store.id)!.get(item.key)!))
  })
  routes.delete(one, async (c) => {
    const { store, item } = requireSecret(c)
    settled(await items.edit('secret', store.id, [{ op: 'delete', key: item.key, value: '' }]))
    return ok(c, view(store, item))
  })
  routes.post(`${one}/duplicate`, async (c) => {
    const { store, item } = requireSecret(c)
    const { name, ...said } = await readBody(c, duplicateBody)
    const secret = await secrets.get(store.id, item.key)
    if (secret === undefined) throw new VendorError(404, 1001, 'Secret not found')
    settled(await secrets.put(store.id, name, secret, 'create', { ...secrets.facts(item), ...kept(said) }))
    return ok(c, view(store, items.items('secret', store.id)!.get(name)!))
  })
}

/** Stable, and as the vendor's ids look. */
const secretId = (store: string, name: string) => idOf(`secret ${store} ${name}`)

function kept({ comment, scopes }: { comment?: string | undefined; scopes?: string[] | undefined }): SecretFacts {
  return { ...(comment !== undefined && { comment }), ...(scopes !== undefined && { scopes }) }
}

function requireStore(c: Context, items: ItemStores): ItemStore {
  const store = items.find('secret', c.req.param('store') ?? '')
  if (store === undefined) throw new VendorError(404, 1001, 'Store not found')
  return store
}

/** By `page` and `per_page`, as wrangler asks. */
function paged(c: Context, all: readonly object[]): Response {
  const number = (name: string, otherwise: number) => Math.max(1, Math.trunc(Number(c.req.query(name))) || otherwise)
  const page = number('page', 1)
  const perPage = Math.min(100, number('per_page', 20))
  const shown = all.slice((page - 1) * perPage, page * perPage)
  const counts = { count: shown.length, total_count: all.length, total_pages: Math.ceil(all.length / perPage) }
  return ok(c, shown, { result_info: { page, per_page: perPage, ...counts } })
}

const refusals = {
  no_store: [404, 1001, 'Store not found'],
  no_item: [404, 1001, 'Secret not found'],
  name_taken: [409, 1002, 'A store of this name already exists'],
  item_taken: [409, 1002, 'A secret of this name already exists'],
  too_many: [400, 1003, 'There are as many as are allowed'],
  too_large: [400, 1003, 'The store would be too large'],
} as const

function settled(outcome: ItemStoreOutcome<ItemStore>): ItemStore {
  if (outcome.ok) return outcome.result
  const [status, code, message] = refusals[outcome.why]
  throw new VendorError(status, code, message)
}
