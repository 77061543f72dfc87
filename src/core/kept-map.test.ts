import assert from 'node:assert/strict'
import { test } from 'node:test'
import { alter } from './kept-map.ts'

interface Thing {
  readonly of: number
}

/** Numbers from 0 to 1 that are the same in each run. */
function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296
    return state / 4_294_967_296
  }
}

const sorted = (map: ReadonlyMap<string, Thing>) => [...map].map(([key, { of }]) => `${key} ${of}`).sort()

test('each map that came of another is what a copied one would be, also where two came of one', () => {
  const random = createRandom(7)
  const all: { kept: ReadonlyMap<string, Thing>; plain: Map<string, Thing> }[] = []
  const first = new Map(Array.from({ length: 150 }, (_, index) => [`key-${index}`, { of: index }]))
  all.push({ kept: first, plain: new Map(first) })
  for (let step = 0; step < 600; step++) {
    const { kept, plain } = all[Math.floor(all.length * (1 - random() ** 2 / 3))] ?? all[0]!
    const draft = alter(kept)
    const copy = new Map(plain)
    for (let count = Math.ceil(random() * 4); count > 0; count--) {
      const key = `key-${Math.floor(random() * 400)}`
      if (random() < 0.5) {
        draft.delete(key)
        copy.delete(key)
      } else {
        draft.set(key, { of: step })
        copy.set(key, { of: step })
      }
      assert.deepEqual(draft.get(key), copy.get(key))
    }
    all.push({ kept: draft.kept(), plain: copy })
  }
  for (const { kept, plain } of all) {
    assert.equal(kept.size, plain.size)
    assert.deepEqual(sorted(kept), sorted(plain))
    assert.deepEqual(new Set(kept.keys()), new Set(plain.keys()))
    assert.equal([...kept.values()].length, plain.size)
    for (let index = 0; index < 400; index++) {
      assert.deepEqual(kept.get(`key-${index}`), plain.get(`key-${index}`))
      assert.equal(kept.has(`key-${index}`), plain.has(`key-${index}`))
    }
    let visited = 0
    kept.forEach(() => {
      visited++
    })
    assert.equal(visited, plain.size)
  }
})

test('values stay in order of insertion; a change keeps its place', () => {
  let map: ReadonlyMap<string, Thing> = new Map()
  for (let index = 0; index < 200; index++) {
    const draft = alter(map)
    draft.set(`k${index}`, { of: index })
    map = draft.kept()
  }
  const draft = alter(map)
  draft.set('k77', { of: 1000 })
  draft.delete('k100')
  const changed = [...draft.kept().values()].map(({ of }) => of)
  const expected = Array.from({ length: 200 }, (_, index) => (index === 77 ? 1000 : index)).filter((of) => of !== 100)
  assert.deepEqual(changed, expected)
  assert.deepEqual(
    [...map.values()].map(({ of }) => of),
    Array.from({ length: 200 }, (_, index) => index),
  )
})

test('what a change costs does not grow with the map: all chunks but one are those of the map before', () => {
  let map: ReadonlyMap<string, Thing> = new Map(
    Array.from({ length: 100_000 }, (_, index) => [`k${index}`, { of: index }]),
  )
  const timeOf = (count: number) => {
    const began = performance.now()
    for (let index = 0; index < count; index++) {
      const draft = alter(map)
      draft.set(`k${index * 7}`, { of: -index })
      map = draft.kept()
    }
    return performance.now() - began
  }
  timeOf(10)
  const began = performance.now()
  for (let index = 0; index < 20; index++) new Map(map).set('k1', { of: 1 })
  const copied = performance.now() - began
  assert.ok(timeOf(20) < copied / 5, 'far less than copies of all')
})

test('keys that come and go leave nothing behind', () => {
  let map: ReadonlyMap<string, Thing> = new Map()
  for (let index = 0; index < 5_000; index++) {
    const draft = alter(map)
    draft.set(`k${index}`, { of: index })
    if (index >= 3) draft.delete(`k${index - 3}`)
    map = draft.kept()
  }
  assert.deepEqual([...map.keys()], ['k4997', 'k4998', 'k4999'])
  const { places } = map as unknown as { places: { keys: string[] } }
  assert.ok(places.keys.length < 200, `${places.keys.length} keys are remembered`)
})
