import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withinOfNames } from './host-places.ts'
import type { Within } from './pops.ts'
import type { Site, Snapshot } from './snapshot.ts'

const site = (name: string, hostnames: string[], within?: Within, routes: string[] = []): Site => ({
  ...{ name, hostnames, routes, target: { kind: 'redirect', location: 'https://a.test/', status: 302 } },
  ...(within !== undefined && { within }),
})

const snapshot: Snapshot = {
  revision: 1,
  sites: [
    site('free', ['free.test', 'open.wide.test']),
    site('shop', ['shop.test', 'www.shop.test'], ['DE', 'FR']),
    site('bank', ['bank.shop.test'], ['FR']),
    site('wide', ['*.wide.test'], ['JP']),
    site('routed', [], ['DE'], ['routed.test/*', 'free.test/eu/*', 'https://api.routed.test/*']),
  ],
  programs: new Map(),
  placements: new Map(),
}

test('a key may lie where all sites may be that answer at its names', () => {
  const cases: [names: string[], within: Within | undefined][] = [
    [['free.test'], undefined],
    [['nobody.test', '*.nobody.test'], undefined],
    [['shop.test'], ['DE', 'FR']],
    [
      ['shop.test', 'free.test'],
      ['DE', 'FR'],
    ],
    [['bank.shop.test'], ['FR']],
    [['*.shop.test'], ['FR']],
    [['shop.test', '*.shop.test'], ['FR']],
    [['a.wide.test'], ['JP']],
    [['a.b.wide.test'], ['JP']],
    [['*.b.wide.test'], ['JP']],
    [['*.wide.test'], ['JP']],
    // Another site has just this host, and may be anywhere.
    [['open.wide.test'], undefined],
    [['*.test'], ['DE']],
    [['routed.test'], ['DE']],
    [['api.routed.test'], ['DE']],
    [['bank.shop.test', 'a.wide.test'], []],
  ]
  for (const [names, within] of cases) assert.deepEqual(withinOfNames(snapshot, names), within, names.join())
})

test('where nothing stays anywhere nothing is looked up', () => {
  const { placements: _placements, ...anywhere } = snapshot
  assert.equal(withinOfNames(anywhere, ['shop.test']), undefined)
})
