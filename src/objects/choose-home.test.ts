import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Peer } from '#/core/pops.ts'
import { chooseHome } from './choose-home.ts'

const peer = (node: string, country: string, more: Partial<Peer> = {}): Peer => ({
  node,
  pop: node,
  country,
  version: '1',
  startedAt: 0,
  since: 0,
  reachable: true,
  ...more,
})
const self = { node: 'fra', pop: 'fra', country: 'DE' }
const others = [
  peer('nrt', 'JP', { rttMs: 160 }),
  peer('iad', 'US', { rttMs: 80 }),
  peer('cdg', 'FR', { rttMs: 9 }),
  peer('gru', 'BR', { rttMs: 200, reachable: false }),
]

test('the first home of an object', () => {
  const cases: [Parameters<typeof chooseHome>[2], string | undefined, string][] = [
    [{}, 'fra', 'first-caller'],
    [{ within: ['DE', 'FR'] }, 'fra', 'first-caller'],
    [{ within: ['JP', 'US'] }, 'iad', 'nearest-allowed'],
    [{ within: ['FR'] }, 'cdg', 'nearest-allowed'],
    [{ within: ['BR'] }, undefined, 'away'],
    [{ within: ['AU'] }, undefined, 'nowhere'],
    [{ within: [] }, undefined, 'nowhere'],
    [{ hint: 'weur' }, 'fra', 'hint'],
    [{ hint: 'enam' }, 'iad', 'hint'],
    [{ hint: 'wnam' }, 'iad', 'hint'],
    [{ hint: 'apac' }, 'nrt', 'hint'],
    // Its PoP is out of reach, so the next region is taken.
    [{ hint: 'sam' }, 'iad', 'hint'],
    [{ hint: 'afr' }, 'fra', 'hint'],
    [{ hint: 'moon' }, 'fra', 'first-caller'],
    [{ hint: 'constructor' }, 'fra', 'first-caller'],
    [{ hint: 'apac', within: ['DE', 'FR'] }, 'fra', 'first-caller'],
    [{ hint: 'weur', within: ['US', 'FR'] }, 'cdg', 'hint'],
  ]
  for (const [wish, node, why] of cases) {
    const choice = chooseHome(self, others, wish)
    assert.deepEqual([choice.node, choice.why], [node, why], JSON.stringify(wish))
  }
})
