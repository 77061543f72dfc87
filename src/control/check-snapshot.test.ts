import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import type { Site, Snapshot } from '#/core/snapshot.ts'
import { checkSnapshot } from './check-snapshot.ts'

const site = (name: string, bytes = 0): Site => ({
  ...{ name, hostnames: ['x'.repeat(bytes)], routes: [], target: { kind: 'origin', url: 'http://o.test' } },
})
const snapshot = (sites: readonly Site[]): Snapshot => ({ revision: 1, sites, programs: new Map() })
const bytesOf = ({ sites }: Snapshot) =>
  [...sites].reduce((sum, one) => sum + Buffer.byteLength(JSON.stringify(one)), 0)

test('what is counted from the Snapshot before is what is counted anew', () => {
  const names = Array.from({ length: 20 }, (_, index) => `s${index}`)
  let before = snapshot(names.map((name) => site(name)))
  checkSnapshot(before, undefined, defaultLimits)
  for (let change = 1; change < 200; change++) {
    const sites = [...before.sites]
    const at = (change * 7) % sites.length
    if (change % 5 === 0) sites.splice(at, 0, site(`n${change}`, change))
    else if (change % 5 === 1) sites.splice(at, 1)
    else sites[at] = site(sites[at]!.name, change)
    const after = snapshot(sites)
    const exact = { ...defaultLimits, snapshotBytes: bytesOf(after) }
    if (bytesOf(after) > bytesOf(before))
      assert.throws(() => checkSnapshot(after, before, { ...exact, snapshotBytes: bytesOf(after) - 1 }), /bytes/)
    checkSnapshot(after, before, exact)
    before = after
  }
})

test('a second site of a name is found beside one that changed, and beside one that stays', () => {
  const before = snapshot(['a', 'b', 'c'].map((name) => site(name)))
  checkSnapshot(before, undefined, defaultLimits)
  const [a, b, c] = before.sites as [Site, Site, Site]
  for (const sites of [
    [a, b, c, site('a')],
    [a, site('c'), c],
    [a, site('b'), site('b'), c],
    [a, b, c, a],
  ])
    assert.throws(() => checkSnapshot(snapshot(sites), before, defaultLimits), /two sites of the name/)
  checkSnapshot(snapshot([c, site('b'), a]), before, defaultLimits)
})
