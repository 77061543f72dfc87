import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createKeptIndex } from './kept-index.ts'
import { alter, keep } from './kept-map.ts'

interface Owner {
  readonly name: string
  readonly hosts: readonly string[]
}

test('a table that is carried over two thousand changes finds what a search would, also where two have one key', () => {
  let state = 5
  const below = (most: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * most)
  }
  let asked = 0
  const index = createKeptIndex(({ hosts }: Owner) => {
    asked++
    return hosts
  })
  const ownerOf = (name: string): Owner => ({ name, hosts: Array.from({ length: below(3) }, () => `h${below(400)}`) })
  const names = Array.from({ length: 60 }, (_, number) => `o${number}`)
  let map: ReadonlyMap<string, Owner> = keep(new Map(names.map((name) => [name, ownerOf(name)])))
  for (let change = 0; change < 2_000; change++) {
    const draft = alter(map)
    const name = names[below(names.length)]!
    if (below(4) === 0) draft.delete(name)
    else draft.set(name, ownerOf(name))
    const next = draft.kept()
    index.carry(map, next)
    map = next
    const host = `h${below(400)}`
    const owners = [...map.values()].filter(({ hosts }) => hosts.includes(host))
    const found = index.find(map, host)
    assert.ok(owners.length === 0 ? found === undefined : owners.includes(found!), `${host} after change ${change}`)
  }
  const plain = keep(new Map(names.map((name) => [name, { name, hosts: [name] }])))
  index.find(plain, 'o1')
  const draft = alter(plain)
  draft.set('o1', { name: 'o1', hosts: ['other'] })
  const next = draft.kept()
  asked = 0
  index.carry(plain, next)
  assert.equal(index.find(next, 'other')?.name, 'o1')
  assert.equal(index.find(next, 'o1'), undefined)
  assert.equal(asked, 2, 'what went and what came')
})
