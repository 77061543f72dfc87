/** Stores that `fastly.toml` names, made where they are missing, filled, and linked to the version. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { Complaint } from '../complaint.ts'
import type { FastlyClient } from './fastly-client.ts'
import type { LocalEntries, LocalTexts, Manifest } from './fastly-manifest.ts'

interface Store {
  readonly id: string
  readonly name: string
}

export interface StoreWish {
  readonly client: FastlyClient
  readonly manifest: Manifest
  readonly env: Readonly<Record<string, string | undefined>>
  /** Path of the version. */
  readonly version: string
}

const kinds = { config: 'stores/config', kv: 'stores/kv', secret: 'stores/secret', acl: 'acls' } as const
type Kind = keyof typeof kinds

/** What `[setup]` gives is written once, when a store is new; what `[local_server]` gives, each time. Returns their names. */
export async function provideStores(wish: StoreWish): Promise<readonly string[]> {
  const { setup, local } = wish.manifest
  const kvSetup = { ...setup.object_stores, ...setup.kv_stores }
  const kvLocal = { ...local.object_stores, ...local.kv_stores }
  const names: string[] = []
  const provide = async (kind: Kind, name: string): Promise<Store & { readonly isNew: boolean }> => {
    names.push(name)
    return provideStore(wish, kind, name)
  }

  for (const name of union(setup.config_stores, local.config_stores)) {
    const { id, isNew } = await provide('config', name)
    const items = isNew ? await setupItems(wish, setup.config_stores[name]?.items) : new Map<string, Uint8Array>()
    for (const [key, value] of textsOf(wish, local.config_stores[name])) items.set(key, Buffer.from(value))
    await putTexts(wish.client, `/resources/stores/config/${id}/items`, items)
  }
  for (const name of union(kvSetup, kvLocal)) {
    const { id, isNew } = await provide('kv', name)
    const given = entriesOf(wish, kvLocal[name])
    if (isNew) for (const [key, value] of await setupItems(wish, kvSetup[name]?.items)) given.unshift({ key, value })
    for (const { key, value, metadata } of given)
      await wish.client.call('PUT', `/resources/stores/kv/${id}/keys/${encodeURIComponent(key)}`, {
        bytes: value,
        ...(metadata !== undefined && { headers: { metadata: Buffer.from(metadata).toString('latin1') } }),
      })
  }
  for (const name of union(setup.secret_stores, local.secret_stores)) {
    const { id } = await provide('secret', name)
    for (const { key, value } of entriesOf(wish, local.secret_stores[name]))
      await wish.client.call('PUT', `/resources/stores/secret/${id}/secrets`, {
        json: { name: key, secret: Buffer.from(value).toString('base64') },
      })
  }
  for (const [name, given] of Object.entries(local.acls)) {
    const { id } = await provide('acl', name)
    await putNetworks(wish, id, typeof given === 'string' ? given : given.file)
  }
  return names
}

/** Secrets that `[setup]` names and nothing gives: they are for a person to set. */
export function missingSecrets({ setup, local }: Manifest): readonly string[] {
  return Object.entries(setup.secret_stores).flatMap(([store, { entries }]) => {
    const given = local.secret_stores[store]
    const known = Array.isArray(given) ? given.map(({ key }) => key) : []
    return Object.keys(entries)
      .filter((key) => given === undefined || (Array.isArray(given) && !known.includes(key)))
      .map((key) => `${store}/${key}`)
  })
}

const union = (...records: object[]): string[] => [...new Set(records.flatMap(Object.keys))]

async function provideStore(
  { client, version }: StoreWish,
  kind: Kind,
  name: string,
): Promise<Store & { readonly isNew: boolean }> {
  const path = `/resources/${kinds[kind]}`
  const query = kind === 'acl' ? '' : `?name=${encodeURIComponent(name)}`
  const listed = await client.call<readonly Store[] | { readonly data: readonly Store[] }>('GET', `${path}${query}`)
  const found = ('data' in listed ? listed.data : listed).find((one) => one.name === name)
  const body = kind === 'config' ? { form: { name } } : { json: { name } }
  const store = found ?? (await client.call<Store>('POST', path, body))
  const links = await client.call<readonly { readonly name: string; readonly resource_id: string }[]>(
    'GET',
    `${version}/resource`,
  )
  if (!links.some((link) => link.name === name && link.resource_id === store.id))
    await client.call('POST', `${version}/resource`, { form: { name, resource_id: store.id } })
  return { ...store, isNew: found === undefined }
}

/** Config stores and dictionaries take their items in the same batch. */
export async function putTexts(
  client: FastlyClient,
  path: string,
  items: ReadonlyMap<string, Uint8Array | string>,
): Promise<void> {
  if (items.size === 0) return
  const batch = [...items].map(([item_key, value]) => ({
    op: 'upsert',
    item_key,
    item_value: typeof value === 'string' ? value : Buffer.from(value).toString('utf8'),
  }))
  await client.call('PATCH', path, { json: { items: batch } })
}

async function setupItems(
  wish: StoreWish,
  items: Readonly<Record<string, { value?: string | undefined; file?: string | undefined }>> = {},
): Promise<Map<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>()
  for (const [key, { value, file }] of Object.entries(items)) {
    if (value !== undefined) found.set(key, Buffer.from(value))
    else if (file !== undefined) found.set(key, readFor(wish, file))
  }
  return found
}

export function textsOf(wish: Pick<StoreWish, 'manifest'>, given: LocalTexts | undefined): Map<string, string> {
  if (given === undefined) return new Map()
  return new Map(Object.entries(given.format === 'inline-toml' ? given.contents : readTexts(wish, given.file)))
}

interface Entry {
  readonly key: string
  readonly value: Uint8Array
  readonly metadata?: string
}

function entriesOf(wish: StoreWish, given: LocalEntries | undefined): Entry[] {
  if (given === undefined) return []
  if (!Array.isArray(given))
    return Object.entries(readTexts(wish, given.file)).map(([key, value]) => ({ key, value: Buffer.from(value) }))
  return given.map(({ key, data, file, path, env, metadata }) => {
    const named = file ?? path
    const value = data ?? (env === undefined ? undefined : wish.env[env])
    if (value === undefined && named === undefined)
      throw new Complaint(
        `${wish.manifest.path}: the entry "${key}" has neither "data" nor "file", or its "env" is not set.`,
      )
    return {
      key,
      value: value === undefined ? readFor(wish, named!) : Buffer.from(value),
      ...(metadata !== undefined && { metadata }),
    }
  })
}

/** A JSON object of texts. */
function readTexts(wish: Pick<StoreWish, 'manifest'>, file: string): Record<string, string> {
  const read = readJson(wish, file)
  const isTexts =
    typeof read === 'object' &&
    read !== null &&
    !Array.isArray(read) &&
    Object.values(read).every((value) => typeof value === 'string')
  if (!isTexts) throw new Complaint(`${file} is no JSON object of texts.`)
  return read as Record<string, string>
}

async function putNetworks(wish: StoreWish, id: string, file: string): Promise<void> {
  const given = readJson(wish, file) as { entries?: readonly { prefix: string; action: string }[] }
  if (!Array.isArray(given?.entries)) throw new Complaint(`${file} is no JSON object with "entries".`)
  const path = `/resources/acls/${id}/entries`
  const { entries: known } = await wish.client.call<{ entries: readonly { prefix: string }[] }>(
    'GET',
    `${path}?limit=1000`,
  )
  const entries = [
    ...known.map(({ prefix }) => ({ op: 'delete', prefix })),
    ...given.entries.map(({ prefix, action }) => ({ op: 'create', prefix, action })),
  ]
  if (entries.length > 0) await wish.client.call('PATCH', path, { json: { entries } })
}

function readJson(wish: Pick<StoreWish, 'manifest'>, file: string): unknown {
  try {
    return JSON.parse(readFor(wish, file).toString('utf8'))
  } catch (error) {
    if (error instanceof Complaint) throw error
    throw new Complaint(`${file} is not JSON.`)
  }
}

function readFor({ manifest }: Pick<StoreWish, 'manifest'>, file: string): Buffer {
  try {
    return readFileSync(resolve(manifest.folder, file))
  } catch (error) {
    throw new Complaint(`${manifest.path}: ${file} cannot be read: ${(error as NodeJS.ErrnoException).code}.`)
  }
}
