/** Stores in memory, for tests of what programs do with stores. */
import type { AccessLists, ConfigStores, KvStores, KvValue, SecretStores } from '#/core/ports.ts'
import type { Clock } from '#/core/units.ts'

export function memoryKv(clock: Clock): Pick<KvStores, 'get' | 'put' | 'delete' | 'list'> {
  const stores = new Map<string, Map<string, KvValue & { readonly revision: number }>>()
  let last = 0
  const keysOf = (store: string) => {
    const keys = stores.get(store) ?? new Map()
    stores.set(store, keys)
    for (const [key, { expiresAt }] of keys) if (expiresAt !== undefined && expiresAt <= clock()) keys.delete(key)
    return keys
  }
  return {
    get: async (store, key) => keysOf(store).get(key),
    async put(store, key, value, { expect } = {}) {
      const keys = keysOf(store)
      if (expect !== undefined && (keys.get(key)?.revision ?? 0) !== expect) return undefined
      const revision = ++last
      keys.set(key, { ...value, revision })
      return revision
    },
    delete: async (store, key) => keysOf(store).delete(key),
    async list(store, { prefix = '', cursor = '', limit }) {
      const names = [...keysOf(store).keys()].filter((name) => name.startsWith(prefix) && name > cursor).sort()
      const keys = names.slice(0, limit).map((name) => ({ name }))
      return names.length > limit ? { keys, cursor: keys.at(-1)!.name } : { keys }
    },
  }
}

export function memoryStores(content: {
  readonly config?: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly secret?: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly lists?: Readonly<Record<string, Readonly<Record<string, { prefix: string; action: 'ALLOW' | 'BLOCK' }>>>>
}): { configs: ConfigStores; secrets: SecretStores; accessLists: AccessLists } {
  return {
    configs: { get: async (store, key) => content.config?.[store]?.[key] },
    secrets: {
      async get(store, name) {
        const secret = content.secret?.[store]?.[name]
        return secret === undefined ? undefined : Buffer.from(secret)
      },
    },
    accessLists: { lookup: async (store, address) => content.lists?.[store]?.[address] },
  }
}
