/** Namespaces that lie on different nodes of one process, as one: each call goes to a node that may hold its namespace. */
import type { KvStores } from '#/core/ports.ts'

/** `of` throws where there is no such node. */
export function kvByPlace(of: (store: string) => KvStores): KvStores {
  return {
    get: async (store, key) => of(store).get(store, key),
    put: async (store, key, value, options) => of(store).put(store, key, value, options),
    delete: async (store, key, options) => of(store).delete(store, key, options),
    list: async (store, options) => of(store).list(store, options),
    clear: async (store) => of(store).clear(store),
  }
}
