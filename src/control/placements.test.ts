import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Binding, Program, Snapshot } from '#/core/snapshot.ts'
import { createMemoryFabric } from './memory-fabric.fixture.ts'
import {
  applyToPlacements,
  findMisplaced,
  loadPlacements,
  type PlacementRecord,
  placementBucket,
  withPlacements,
  writePlacements,
} from './placements.ts'

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
  assert.equal(withPlacements(plain, new Map(), new Map()), plain)
  const records = [record('program', 'chat', 'DE'), record('site', 'shop', 'FR'), record('kv', 'a1', 'US')]
  const placed = withPlacements(plain, held(...records, record('log', 'log', 'DE')), new Map())
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
    const found = findMisplaced(withPlacements(snapshot(...bound), held(...records), new Map()))
    assert.equal(found && `${found.program} ${found.binding}`, expected)
  }
})

test('placements last, and two who change one at the same time are told', async () => {
  const bucket = placementBucket(createMemoryFabric(() => 0))
  const none = new Map()
  const wished = record('site', 'shop', 'DE')
  const change = [{ kind: wished.kind, id: wished.id, record: wished }]
  const written = await writePlacements(bucket, none, applyToPlacements(none, change), change)
  const loaded = await loadPlacements(bucket)
  assert.deepEqual(loaded.get('site/shop')!.record, wished)
  assert.deepEqual(loaded, written)
  await assert.rejects(writePlacements(bucket, none, applyToPlacements(none, change), change), /somebody else/)
  const removal = [{ kind: wished.kind, id: wished.id, record: undefined }]
  await writePlacements(bucket, loaded, applyToPlacements(loaded, removal), removal)
  assert.equal((await loadPlacements(bucket)).size, 0)
})

test('a placement that cannot be read keeps the platform from starting', async () => {
  const bucket = placementBucket(createMemoryFabric(() => 0))
  await bucket.put('site/shop', Buffer.from('{"kind":"site","id":"shop"}'))
  await assert.rejects(loadPlacements(bucket), /'site\/shop' cannot be read/)
})
