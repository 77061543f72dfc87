import assert from 'node:assert/strict'
import { test } from 'node:test'
import { alter, differences, keep, type Made, mapped, summaryOf } from './kept-map.ts'

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

const numbered = (count: number): ReadonlyMap<string, Thing> =>
  keep(new Map(Array.from({ length: count }, (_, index) => [`k${index}`, { of: index }])))

function changed(map: ReadonlyMap<string, Thing>, changes: Readonly<Record<string, Thing | undefined>>) {
  const draft = alter(map)
  for (const [key, thing] of Object.entries(changes))
    if (thing === undefined) draft.delete(key)
    else draft.set(key, thing)
  return draft.kept()
}

test('what differs is what two plain maps differ in, in both directions, also where they came of others', () => {
  const random = createRandom(11)
  const maps: ReadonlyMap<string, Thing>[] = [numbered(90), new Map(), new Map(numbered(40))]
  for (let step = 0; step < 300; step++) {
    const from = maps[Math.floor(random() * maps.length)]!
    const key = () => `k${Math.floor(random() * 2_000)}`
    maps.push(changed(from, { [key()]: { of: step }, [key()]: undefined, [key()]: { of: -step } }))
    const [one, other] = [maps[Math.floor(random() * maps.length)]!, maps.at(-1)!]
    const keys = new Set([...one.keys(), ...other.keys()])
    const expected = [...keys].filter((name) => one.get(name) !== other.get(name)).sort()
    for (const [before, after] of [
      [one, other],
      [other, one],
    ] as const) {
      const found = differences(before, after)
      assert.deepEqual(found.map((difference) => difference.key).sort(), expected)
      for (const difference of found) {
        assert.equal(difference.before, before.get(difference.key))
        assert.equal(difference.after, after.get(difference.key))
      }
    }
  }
})

test('of a hundred thousand values a change asks about those of one leaf, and the others are the same objects', () => {
  const map = numbered(100_000)
  let asked = 0
  const made: Made = new WeakMap()
  const odd = (thing: Thing) => {
    asked++
    return thing.of % 2 === 1 ? thing : undefined
  }
  const count = ({ of }: Thing) => {
    asked++
    return of
  }
  const sums = new WeakMap<object, { readonly sum: number }>()
  const adding = { of: count, join: (one: number, other: number) => one + other, none: 0 }
  const [oddBefore, sumBefore] = [mapped(map, odd, made), summaryOf(map, adding, sums)]
  assert.equal(oddBefore.size, 50_000)
  const next = changed(map, { k70000: { of: 1 }, k5: undefined, new: { of: 3 } })
  asked = 0
  const oddAfter = mapped(next, odd, made)
  assert.ok(asked <= 3 * 32, `${asked} values were asked about`)
  assert.deepEqual(
    differences(oddBefore, oddAfter).map(({ key }) => key),
    ['k5', 'k70000', 'new'],
  )
  asked = 0
  assert.equal(summaryOf(next, adding, sums), sumBefore - 70_000 + 1 - 5 + 3)
  assert.ok(asked <= 3 * 32, `${asked} values were asked about`)
  assert.equal(
    mapped(next, (thing) => thing, new WeakMap()),
    next,
  )
})

test('a change that changes nothing is the same map', () => {
  const map = numbered(10)
  assert.equal(changed(map, { k3: map.get('k3'), other: undefined }), map)
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
