import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Binding, Program, Snapshot } from '#/core/snapshot.ts'
import { readChange, writeChange } from './change-log.ts'
import { applyToPlacements, createPlaced, findMisplaced, type PlacementRecord, parsePlacement } from './placements.ts'

const record = (kind: PlacementRecord['kind'], id: string, ...within: string[]): PlacementRecord => ({
  kind,
  id,
  within,
  modifiedAt: 1,
})

function held(...records: PlacementRecord[]) {
  return applyToPlacements(
    new Map(),
    records.map((one) => ({ kind: one.kind, id: one.id, record: one })),
    1,
  )
}

function program(name: string, bindings: readonly Binding[] = []): Program {
  const deployment = { id: name, program: name, number: 1, createdAt: 0, bindings, limits: {} }
  const objects = [{ className: 'Room', key: `key-of-${name}`, storage: 'sqlite' as const }]
  return { name, rollout: [{ deployment, percent: 100 }], objects }
}

function snapshot(...programs: Program[]): Snapshot {
  return {
    revision: 1,
    sites: [
      { name: 'shop', hostnames: [], routes: [], target: { kind: 'origin', url: 'http://a' } },
      ...programs.map(({ name }) => ({
        name,
        hostnames: [],
        routes: [],
        target: { kind: 'program' as const, program: name },
      })),
    ],
    programs: new Map(programs.map((one) => [one.name, one])),
  }
}

test('a Snapshot follows its placements; without any it stays the same object', () => {
  const plain = snapshot(program('chat'))
  assert.equal(createPlaced()(plain, new Map(), new Map()), plain)
  const records = [record('program', 'chat', 'DE'), record('site', 'shop', 'FR'), record('kv', 'a1', 'US')]
  const placed = createPlaced()(plain, held(...records, record('log', 'log', 'DE')), new Map())
  assert.deepEqual(
    placed.sites.map(({ name, within }) => [name, within]),
    [
      ['shop', ['FR']],
      ['chat', ['DE']],
    ],
  )
  assert.deepEqual(placed.programs.get('chat')!.within, ['DE'])
  assert.deepEqual(placed.programs.get('chat')!.objects[0]!.within, ['DE'])
  assert.deepEqual([...placed.placements!], [['a1', ['US']]])
  assert.deepEqual(placed.logWithin, ['DE'])
})

test('a program may be bound only to what may be wherever it runs', () => {
  const bound = [
    program('chat', [{ kind: 'kv', name: 'STORE', store: 'a1' }]),
    program('front', [{ kind: 'program', name: 'CHAT', program: 'chat' }]),
    program('lobby', [{ kind: 'objects', name: 'ROOMS', className: 'Room', program: 'chat' }]),
  ]
  const cases: [readonly PlacementRecord[], string | undefined][] = [
    [[], undefined],
    [[record('kv', 'a1', 'DE')], 'chat STORE'],
    [[record('kv', 'a1', 'DE', 'FR'), record('program', 'chat', 'DE')], 'front CHAT'],
    [[record('kv', 'a1', 'DE'), record('program', 'chat', 'DE', 'FR')], 'chat STORE'],
    [[record('program', 'chat', 'DE'), record('program', 'front', 'DE')], undefined],
    [[record('program', 'front', 'DE')], undefined],
  ]
  for (const [records, expected] of cases) {
    const found = findMisplaced(createPlaced()(snapshot(...bound), held(...records), new Map()))
    assert.equal(found && `${found.program} ${found.binding}`, expected)
  }
})

test('what is not placed, and what stays as it was, is the same object in the next Snapshot', () => {
  const withOne = createPlaced()
  const plain = snapshot(program('chat'), program('free'))
  const placements = held(record('program', 'chat', 'DE'))
  const [one, two] = [withOne(plain, placements, new Map()), withOne({ ...plain }, placements, new Map())]
  assert.equal(one.programs.get('chat'), two.programs.get('chat'))
  assert.equal(one.programs.get('free'), plain.programs.get('free'))
  assert.equal(one.sites[1], two.sites[1])
})

test('a placement goes through the log of changes as it is, and a damaged one is refused', () => {
  const change = {
    placements: [
      { kind: 'site', id: 'shop', record: record('site', 'shop', 'DE') },
      { kind: 'kv', id: 'a1', record: undefined },
    ],
  } as const
  assert.deepEqual(readChange(JSON.parse(JSON.stringify(writeChange(change)))), change)
  assert.throws(() => parsePlacement({ kind: 'site', id: 'shop' }), /A placement cannot be read/)
})
