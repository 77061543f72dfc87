import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changedSites } from './changed-sites.ts'
import type { Site } from './snapshot.ts'

const site = (name: string): Site => ({
  ...{ name, hostnames: [name], routes: [], target: { kind: 'origin', url: `http://${name}` } },
})
const [a, b, c, d] = [site('a'), site('b'), site('c'), site('d')]

const cases: readonly [string, Site[], Site[], gone: string, come: string, at: number][] = [
  ['nothing', [a, b], [a, b], '', '', 2],
  ['from nothing', [], [a, b], '', 'ab', 0],
  ['to nothing', [a], [], 'a', '', 0],
  ['one in its place', [a, b, c], [a, d, c], 'b', 'd', 1],
  ['one more in the middle', [a, c], [a, b, c], '', 'b', 1],
  ['one less at the end', [a, b], [a], 'b', '', 1],
  ['the same twice', [a, a], [a], 'a', '', 1],
  ['two, and what stands between', [a, b, c], [d, b, d], 'abc', 'dbd', 0],
  ['another order', [a, b, c], [b, a, c], 'ab', 'ba', 0],
]
for (const [what, before, after, gone, come, at] of cases)
  test(`changed sites: ${what}`, () => {
    const names = (sites: readonly Site[]) => sites.map(({ name }) => name).join('')
    const found = changedSites(before, after)
    assert.deepEqual([names(found.gone), names(found.come), found.at], [gone, come, at])
  })
