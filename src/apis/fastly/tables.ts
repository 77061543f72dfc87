/**
 * Items of dictionaries and entries of ACLs: they change without a new version, and serve when the call is answered.
 * https://www.fastly.com/documentation/reference/api/dictionaries/ https://www.fastly.com/documentation/reference/api/acls/
 */
import { type Context, Hono } from 'hono'
import ipaddr from 'ipaddr.js'
import { z } from 'zod'
import { newId } from '#/control/services/new-id.ts'
import type { NetworkTable, TextTable } from '#/control/services/service-records.ts'
import type { FastlyApiDeps } from './deps.ts'
import { badRequest, FastlyError, notFound } from './errors.ts'
import { readForm, readJson } from './read-form.ts'
import { timeView } from './views.ts'

type Item = TextTable['entries'][number]
type Entry = NetworkTable['entries'][number]

const itemBatch = z.object({
  items: z.array(
    z.object({
      op: z.enum(['create', 'update', 'upsert', 'delete']),
      item_key: z.string(),
      item_value: z.string().optional(),
    }),
  ),
})

const anything = z.union([z.string(), z.number(), z.boolean(), z.null()]).optional()
const entryBatch = z.object({
  entries: z.array(
    z.object({
      op: z.enum(['create', 'update', 'delete']),
      id: z.string().optional(),
      ip: z.string().optional(),
      subnet: anything,
      negated: anything,
      comment: z.string().nullish(),
    }),
  ),
})

export function tableRoutes(deps: FastlyApiDeps): Hono {
  return new Hono().route('/', itemRoutes(deps)).route('/', entryRoutes(deps))
}

function itemRoutes({ control: { services }, limits, clock }: FastlyApiDeps): Hono {
  const routes = new Hono()
  const one = '/service/:service/dictionary/:table/item/:key'
  const all = '/service/:service/dictionary/:table/items'
  const view = (c: Context, item: Item) => ({
    dictionary_id: at(c).table,
    service_id: at(c).service,
    item_key: item.key,
    item_value: item.value,
    created_at: timeView(item.createdAt),
    updated_at: timeView(item.modifiedAt),
    deleted_at: null,
  })
  const edit = (c: Context, change: (items: Item[]) => Item[]) => services.editTexts(at(c).service, at(c).table, change)
  const find = (c: Context, key: string) => {
    const item = services.texts(at(c).service, at(c).table).entries.find((entry) => entry.key === key)
    if (item === undefined) throw notFound(`There is no item '${key.slice(0, 100)}' in this dictionary.`)
    return item
  }

  const apply = (items: Item[], op: 'create' | 'update' | 'upsert' | 'delete', key: string, value?: string): Item[] => {
    const before = items.find((item) => item.key === key)
    if (op === 'create' && before !== undefined)
      throw new FastlyError(409, 'Duplicate record', `Duplicate dictionary item: '${key}'.`)
    if ((op === 'update' || op === 'delete') && before === undefined)
      throw notFound(`There is no item '${key.slice(0, 100)}' in this dictionary.`)
    if (op === 'delete') return items.filter((item) => item !== before)
    if (value === undefined) throw badRequest(`Item '${key.slice(0, 100)}' has no item_value.`)
    const now = clock()
    const item = { key, value, createdAt: before?.createdAt ?? now, modifiedAt: now }
    return before === undefined ? [...items, item] : items.map((other) => (other === before ? item : other))
  }

  const put = (op: 'update' | 'upsert') => async (c: Context) => {
    const { item_value } = await readForm(c, limits.fastlyApiBodyBytes)
    await edit(c, (items) => apply(items, op, at(c).key, item_value))
    return c.json(view(c, find(c, at(c).key)))
  }

  routes.get(all, (c) => {
    const { entries } = services.texts(at(c).service, at(c).table)
    return c.json(entries.map((item) => view(c, item)))
  })
  routes.post('/service/:service/dictionary/:table/item', async (c) => {
    const { item_key, item_value = '' } = await readForm(c, limits.fastlyApiBodyBytes)
    if (item_key === undefined) throw badRequest('item_key is missing.')
    await edit(c, (items) => apply(items, 'create', item_key, item_value))
    return c.json(view(c, find(c, item_key)))
  })
  routes.get(one, (c) => c.json(view(c, find(c, at(c).key))))
  routes.put(one, put('upsert'))
  routes.patch(one, put('update'))
  routes.delete(one, async (c) => {
    await edit(c, (items) => apply(items, 'delete', at(c).key))
    return c.json({ status: 'ok' })
  })
  routes.patch(all, async (c) => {
    const read = itemBatch.safeParse(await readJson(c, limits.tableBytes))
    if (!read.success) throw badRequest(`The batch does not fit: ${read.error.issues[0]!.message}.`)
    await edit(c, (before) =>
      read.data.items.reduce((items, { op, item_key, item_value }) => apply(items, op, item_key, item_value), before),
    )
    return c.json({ status: 'ok' })
  })
  routes.get('/service/:service/version/:version/dictionary/:table/info', (c) => {
    const { entries } = services.texts(at(c).service, at(c).table)
    const last = Math.max(0, ...entries.map(({ modifiedAt }) => modifiedAt))
    return c.json({ item_count: entries.length, last_updated: last === 0 ? null : timeView(last), digest: '' })
  })
  return routes
}

function entryRoutes({ control: { services }, limits, clock }: FastlyApiDeps): Hono {
  const routes = new Hono()
  const one = '/service/:service/acl/:table/entry/:key'
  const all = '/service/:service/acl/:table/entries'
  const view = (c: Context, entry: Entry) => ({
    id: entry.id,
    acl_id: at(c).table,
    service_id: at(c).service,
    ip: entry.address,
    subnet: entry.prefix ?? null,
    negated: entry.negated ? '1' : '0',
    comment: entry.comment,
    created_at: timeView(entry.createdAt),
    updated_at: timeView(entry.modifiedAt),
    deleted_at: null,
  })
  const edit = (c: Context, change: (entries: Entry[]) => Entry[]) =>
    services.editNetworks(at(c).service, at(c).table, change)
  const find = (entries: readonly Entry[], id: string) => {
    const entry = entries.find((other) => other.id === id)
    if (entry === undefined) throw notFound(`There is no entry '${id.slice(0, 60)}' in this ACL.`)
    return entry
  }
  const make = (given: Given, before?: Entry) => readEntry(given, clock(), before)

  routes.get(all, (c) => {
    const { entries } = services.networks(at(c).service, at(c).table)
    return c.json(entries.map((entry) => view(c, entry)))
  })
  routes.post('/service/:service/acl/:table/entry', async (c) => {
    const entry = make(await readForm(c, limits.fastlyApiBodyBytes))
    await edit(c, (entries) => [...entries, entry])
    return c.json(view(c, entry))
  })
  routes.get(one, (c) => c.json(view(c, find(services.networks(at(c).service, at(c).table).entries, at(c).key))))
  routes.patch(one, async (c) => {
    const form = await readForm(c, limits.fastlyApiBodyBytes)
    let changed: Entry | undefined
    await edit(c, (entries) => {
      const before = find(entries, at(c).key)
      const after = make(form, before)
      changed = after
      return entries.map((entry) => (entry === before ? after : entry))
    })
    return c.json(view(c, changed!))
  })
  routes.delete(one, async (c) => {
    await edit(c, (entries) => {
      const before = find(entries, at(c).key)
      return entries.filter((entry) => entry !== before)
    })
    return c.json({ status: 'ok' })
  })
  routes.patch(all, async (c) => {
    const read = entryBatch.safeParse(await readJson(c, limits.tableBytes))
    if (!read.success) throw badRequest(`The batch does not fit: ${read.error.issues[0]!.message}.`)
    await edit(c, (before) => {
      let entries = [...before]
      for (const { op, id, ...given } of read.data.entries) {
        const found = op === 'create' ? undefined : find(entries, id ?? '')
        if (found === undefined) entries.push(make(given))
        else if (op === 'delete') entries = entries.filter((entry) => entry !== found)
        else entries[entries.indexOf(found)] = make(given, found)
      }
      return entries
    })
    return c.json({ status: 'ok' })
  })
  return routes
}

/** What path parameters say; `key` also stands for the id of an entry. */
function at(c: Context): { readonly service: string; readonly table: string; readonly key: string } {
  const { service = '', table = '', key = '' } = c.req.param() as Record<string, string | undefined>
  return { service, table, key }
}

interface Given {
  readonly ip?: string | undefined
  readonly subnet?: string | number | boolean | null | undefined
  readonly negated?: string | number | boolean | null | undefined
  readonly comment?: string | null | undefined
}

function readEntry({ ip, subnet, negated, comment }: Given, now: number, before?: Entry): Entry {
  const address = ip ?? before?.address ?? ''
  if (!ipaddr.isValid(address)) throw badRequest(`'${address.slice(0, 60)}' is not an IP address.`)
  const most = ipaddr.parse(address).kind() === 'ipv4' ? 32 : 128
  const prefix = subnet === undefined ? before?.prefix : subnet === null || subnet === '' ? undefined : Number(subnet)
  if (prefix !== undefined && !(Number.isInteger(prefix) && prefix >= 0 && prefix <= most))
    throw badRequest(`A subnet of ${address} is a number of 0 to ${most} bits.`)
  return {
    id: before?.id ?? newId(),
    address,
    ...(prefix !== undefined && { prefix }),
    negated: negated === undefined ? (before?.negated ?? false) : ['1', 'true'].includes(String(negated)),
    comment: comment ?? before?.comment ?? '',
    createdAt: before?.createdAt ?? now,
    modifiedAt: now,
  }
}
