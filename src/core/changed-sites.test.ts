import assert from 'node:assert/strict'
import { test } from 'node:test'
import { changedSites } from './changed-sites.ts'
import type { Site } from './snapshot.ts'

const site = (name: string): Site => ({
  ...{ name, hostnames: [name], routes: [], target: { kind: 'origin', url: `http://${name}` } },
})
const [a, b, c, d] = [site('a'), site('b'), site('c'), site('d')]

const cases: readonly [string, Site[], Site[], gone: string, come: string][] = [
  ['nothing', [a, b], [a, b], '', ''],
  ['from nothing', [], [a, b], '', 'ab'],
  ['to nothing', [a], [], 'a', ''],
  ['one in its place', [a, b, c], [a, d, c], 'b', 'd'],
  ['one more in the middle', [a, c], [a, b, c], '', 'b'],
  ['one less at the end', [a, b], [a], 'b', ''],
  ['the same twice', [a, a], [a], 'a', ''],
  ['two, and what stands between', [a, b, c], [d, b, d], 'abc', 'dbd'],
  ['another order', [a, b, c], [b, a, c], 'ab', 'ba'],
]
for (const [what, before, after, gone, come] of cases)
  test(`changed sites: ${what}`, () => {
    const names = (sites: readonly Site[]) => sites.map(({ name }) => name).join('')
    const found = changedSites(before, after)
    assert.deepEqual([names(found.gone), names(found.come)], [gone, come])
  })
