/** A store that takes nothing of scopes that may not be on this node, also what was on its way when that was said. */
import type { CacheStore } from './store.ts'

/** `mayKeep` is asked by a head's scope, when a body begins and when it is whole. */
export function keepStoreInside(store: CacheStore, mayKeep: (scope: string) => boolean): CacheStore {
  return {
    find: store.find,
    peek: store.peek,
    remove: store.remove,
    removeWhere: store.removeWhere,
    close: store.close,
    get size() {
      return store.size
    },
    open(head, expectedBytes) {
      const writer = mayKeep(head.scope) ? store.open(head, expectedBytes) : undefined
      if (writer === undefined) return undefined
      return {
        write: (chunk) => writer.write(chunk),
        abort: () => writer.abort(),
        async finish() {
          if (mayKeep(head.scope)) return writer.finish()
          writer.abort()
          return undefined
        },
      }
    },
    async refresh(stored, head) {
      return mayKeep(head.scope) ? store.refresh(stored, head) : undefined
    },
  }
}
