import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keepStoreInside } from './keep-inside.ts'
import type { CacheStore, StoredAnswer, StoredHead } from './store.ts'

const head = { key: 'k', variant: '', scope: 'shop' } as StoredHead

test('nothing of a scope that may not be here is taken, nor what was on its way', async () => {
  const kept: string[] = []
  const store: CacheStore = {
    find: () => [],
    peek: () => undefined,
    open: () => ({
      write: () => true,
      abort: () => void kept.push('aborted'),
      async finish() {
        kept.push('kept')
        return undefined
      },
    }),
    refresh: async () => void kept.push('refreshed') as undefined,
    remove() {},
    removeWhere: async () => 0,
    size: { memoryBytes: 0, diskBytes: 0, entries: 0 },
    close: async () => {},
  }
  let here = true
  const inside = keepStoreInside(store, (scope) => scope === 'shop' && here)
  await inside.open(head, undefined)!.finish()
  const begun = inside.open(head, undefined)!
  here = false
  assert.equal(await begun.finish(), undefined)
  assert.equal(inside.open(head, undefined), undefined)
  assert.equal(await inside.refresh({} as StoredAnswer, head), undefined)
  assert.deepEqual(kept, ['kept', 'aborted'])
})
