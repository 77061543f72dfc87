import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { bodyOf, headOf, type OpenStore, pattern, put, storeContract } from '../store.contract.ts'
import { storeFuzz } from '../store-fuzz.contract.ts'
import { createMemoryStore } from './memory-store.ts'

const bytes = 8 * 1024 * 1024

const open: OpenStore = async (t) => {
  const store = createMemoryStore({ bytes, limits: defaultLimits })
  t.after(() => store.close())
  return { store, bytes }
}

storeContract('memory', open)
storeFuzz('memory', open, 2000)

test('find is at once, and bytes are at hand', async () => {
  const store = createMemoryStore({ bytes, limits: defaultLimits })
  await put(store, headOf('a'), pattern(1000))
  const [answer] = store.find('a')
  assert.ok(pattern(1000).equals(answer!.bytes()!))
})

test('what was found stays right while the store forgets and moves everything', async () => {
  const store = createMemoryStore({ bytes: 2 * 1024 * 1024, limits: { ...defaultLimits, cacheMemoryHeads: 4 } })
  const held = new Map<number, ReturnType<typeof store.find>[number]>()
  for (let i = 0; i < 20_000; i++) {
    store.put(headOf(`k${i}`), pattern(i % 900, i))
    if (i % 97 === 0) held.set(i, store.find(`k${i}`)[0]!)
    // Every second one is used, so that the slabs hold live ones and dead ones.
    if (i % 2 === 0) for (const answer of store.find(`k${i - 50}`)) answer.head
  }
  assert.ok(store.size.entries < 3000)
  for (const [i, answer] of held) {
    assert.equal(answer.head.key, `k${i}`)
    assert.ok(pattern(i % 900, i).equals(answer.bytes()!))
    assert.ok(pattern(i % 900, i).equals(await bodyOf(answer)))
  }
  for (let i = 0; i < 20_000; i++)
    for (const answer of store.find(`k${i}`)) {
      assert.deepEqual(answer.head, headOf(`k${i}`))
      assert.ok(pattern(i % 900, i).equals(answer.bytes()!))
    }
})

test('one scan of objects asked for once does not wash out those that are used', () => {
  const store = createMemoryStore({ bytes, limits: defaultLimits })
  const body = pattern(1000)
  for (let round = 0; round < 3; round++)
    for (let i = 0; i < 1000; i++) if (store.find(`hot${i}`).length === 0) store.put(headOf(`hot${i}`), body)
  for (let i = 0; i < 50_000; i++) store.put(headOf(`scan${i}`), body)
  let left = 0
  for (let i = 0; i < 1000; i++) left += store.find(`hot${i}`).length
  assert.ok(left > 950, `${left} of 1000 are left`)
})

test('too many variants of one key push out the oldest', () => {
  const store = createMemoryStore({ bytes, limits: { ...defaultLimits, cacheVariants: 3 } })
  for (let i = 0; i < 10; i++) store.put(headOf('k', { variant: `${i}` }), pattern(1))
  assert.deepEqual(
    store.find('k').map(({ head }) => head.variant),
    ['9', '8', '7'],
  )
})
