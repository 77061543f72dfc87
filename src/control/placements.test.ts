import assert from 'node:assert/strict'
import { test } from 'node:test'
import { usualQueueSettings } from '#/core/queues.ts'
import type { Resource } from '#/core/resources.ts'
import type { Binding, Program, Site, Snapshot } from '#/core/snapshot.ts'
import { readChange, writeChange } from './change-log.ts'
import type { Held, State } from './fold.ts'
import { applyToPlacements, checkPlaced, findMisplaced, type PlacementRecord, parsePlacement } from './placements.ts'
import type { SiteRecord } from './records.ts'
import { createServedTables } from './served-tables.ts'
import { holdService } from './services/held-services.ts'
import type { ServiceRecord } from './services/service-records.ts'

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

/** A site `shop`, and a site for each of the programs. */
function stateOf(programs: readonly Program[], placements: State['placements'] = new Map()): State {
  const shop: Site = { name: 'shop', hostnames: [], routes: [], target: { kind: 'origin', url: 'http://a' } }
  const heldProgram = (program: Program): Held => {
    const { name } = program
    const site: Site = { name, hostnames: [], routes: [], target: { kind: 'program', program: name } }
    return { program, site, revision: 1, record: { name } as Held['record'], serving: new Map() }
  }
  return {
    programs: new Map(programs.map((one) => [one.name, heldProgram(one)])),
    sites: new Map([['shop', { record: { name: 'shop' } as SiteRecord, revision: 1, site: shop }]]),
    ...{ services: new Map(), domains: new Map(), resources: new Map(), placements },
  }
}

const serve = (state: State): Snapshot => ({ revision: 1, ...createServedTables()(state) })

test('a Snapshot follows its placements', () => {
  assert.equal(serve(stateOf([program('chat')])).placements, undefined)
  const records = [record('program', 'chat', 'DE'), record('site', 'shop', 'FR'), record('kv', 'a1', 'US')]
  const placed = serve(stateOf([program('chat')], held(...records, record('log', 'log', 'DE'))))
  assert.deepEqual(
    placed.sites.map(({ name, within }) => [name, within]),
    [
      ['chat', ['DE']],
      ['shop', ['FR']],
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
    const found = findMisplaced(serve(stateOf(bound, held(...records))))
    assert.equal(found && `${found.name} ${/'(.*)'/.exec(found.why)![1]}`, expected)
  }
})

test('a queue that is told of a bucket may be only where that stays', () => {
  const base = { createdAt: 1, modifiedAt: 1 }
  const rules = [{ ruleId: 'r', createdAt: '', actions: ['PutObject'] }]
  const bucket = { ...base, kind: 'bucket', id: 'b1', name: 'files', settings: { notices: [{ queue: 'q1', rules }] } }
  const queue = { ...base, kind: 'queue', id: 'q1', name: 'told', settings: { ...usualQueueSettings } }
  const resources = new Map(
    ([bucket, queue] as Resource[]).map((one) => [`${one.kind}/${one.id}`, { record: one, revision: 1 }]),
  )
  const cases: [readonly PlacementRecord[], boolean][] = [
    [[], true],
    [[record('bucket', 'b1', 'DE')], false],
    [[record('bucket', 'b1', 'DE'), record('queue', 'q1', 'DE', 'FR')], false],
    [[record('bucket', 'b1', 'DE', 'FR'), record('queue', 'q1', 'DE')], true],
  ]
  for (const [records, isFine] of cases) {
    const snapshot = serve({ ...stateOf([], held(...records)), resources })
    const check = () => checkPlaced(snapshot, { revision: 0, sites: [], programs: new Map() })
    if (isFine) check()
    else
      assert.throws(check, /Queue 'told' may be .* told of changes in the bucket 'files', .*residency queue:told DE"/)
  }
})

test('what is not placed, and what stays as it was, is the same object in the next Snapshot', () => {
  const tables = createServedTables()
  const before = stateOf([program('chat'), program('free')], held(record('program', 'chat', 'DE')))
  const sites = new Map([['shop', { ...before.sites.get('shop')!, revision: 2 }]])
  const [one, two] = [tables(before), tables({ ...before, sites })]
  assert.equal(one.programs.get('chat'), two.programs.get('chat'))
  assert.equal(one.programs.get('free'), before.programs.get('free')!.program)
  assert.equal([...one.sites][0], [...two.sites][0])
})

test('a placement that comes and goes makes of its site what a Snapshot made anew would, for a service too', () => {
  const tables = createServedTables()
  const service = holdService(
    { id: 's1', name: 'Chat', live: undefined, program: undefined } as unknown as ServiceRecord,
    1,
    new Map(),
    'localhost',
  )
  const site: Site = { name: 'chat', hostnames: [], routes: [], target: { kind: 'origin', url: 'http://b' } }
  const services = new Map([['s1', { ...service, site }]])
  for (const records of [
    [],
    [record('service', 's1', 'DE')],
    [record('site', 'shop', 'FR'), record('service', 's1', 'DE')],
    [record('site', 'shop', 'US'), record('kv', 'a1', 'US')],
    [],
    [record('site', 'chat', 'FR')],
  ]) {
    const state = { ...stateOf([program('front')], held(...records)), services }
    const [grown, anew] = [tables(state), createServedTables()(state)]
    const view = ({ sites, placements }: typeof grown) => [
      sites.map((one) => [one.name, one.within]),
      [...(placements ?? [])],
    ]
    const sorted = (made: typeof grown) => JSON.stringify(view(made))
    assert.equal(sorted(grown), sorted(anew))
  }
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
