import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { defaultLimits } from '#/core/limits.ts'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import type { Site, Snapshot } from '#/core/snapshot.ts'
import { isWorse } from './canary.ts'
import { createFollower, type FollowerOptions } from './follower.ts'
import { openServedStore } from './served-store.ts'

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-follower-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const site = (name: string): Site => ({
  name,
  hostnames: [`${name}.localhost`],
  routes: [],
  target: { kind: 'redirect', location: 'https://elsewhere.test/', status: 302 },
})

const snapshotOf = (revision: number, sites: readonly Site[]): Snapshot => ({ revision, sites, programs: new Map() })

function open(folder: string, more: Partial<FollowerOptions> = {}) {
  const served: number[] = []
  const follower = createFollower({
    country: 'DE',
    folder,
    fabric: createMemoryFabric(Date.now),
    serve: async ({ revision }) => void served.push(revision),
    release: '1',
    limits: defaultLimits,
    clock: Date.now,
    log: () => {},
    ...more,
  })
  return { follower, served }
}

test('a revision that cannot be adopted leaves the last good one, is reported, and the next is tried', async (t) => {
  const folder = await folderOf(t)
  const { follower, served } = open(folder, {
    serve: async ({ revision }) => {
      if (revision === 2) throw new Error('no cell')
      served.push(revision)
    },
  })
  assert.equal(await follower.start(), false)
  await follower.follow(snapshotOf(1, [site('a')]))
  await follower.follow(snapshotOf(2, [site('a'), site('b')]))
  const { revision, wanted, failure } = follower.status()
  assert.deepEqual({ revision, wanted, reason: failure?.reason }, { revision: 1, wanted: 2, reason: 'no cell' })
  // Wrong as a whole, though each part is right.
  await follower.follow(snapshotOf(3, [site('a'), site('a')]))
  assert.match(follower.status().failure!.reason, /two sites of the name 'a'/)
  await follower.follow(snapshotOf(4, [site('c')]))
  assert.equal(follower.status().failure, undefined)
  assert.deepEqual(served, [1, 4])
  await follower.close()

  const again = open(folder)
  assert.equal(await again.follower.start(), true)
  assert.deepEqual(again.served, [4])
  await again.follower.close()
})

test('a revision that lacks a blob is tried again until the blob is there, less and less often', async (t) => {
  const fabric = createMemoryFabric(Date.now)
  const bytes = Buffer.from('export default {}')
  const lacking = createHash('sha256').update(bytes).digest('hex')
  const said: string[] = []
  const { follower, served } = open(await folderOf(t), {
    limits: { ...defaultLimits, adoptRetryMs: 5, adoptRetryMaxMs: 20 },
    async serve({ revision }) {
      if (revision === 2 && (await fabric.blobs.get(lacking)) === undefined) throw new Error('its blob is missing')
      served.push(revision)
    },
    log: (message) => said.push(message),
  })
  await follower.follow(snapshotOf(1, [site('a')]))
  await follower.follow(snapshotOf(2, [site('b')]))
  await until(() => follower.status().failure!.tries >= 4)
  const { failure, revision } = follower.status()
  assert.deepEqual([revision, failure!.reason], [1, 'its blob is missing'])
  assert.ok(failure!.nextAt > failure!.at && failure!.nextAt <= failure!.at + 25)
  await fabric.blobs.put(bytes)
  await until(() => follower.status().failure === undefined)
  assert.deepEqual([follower.status().revision, served], [2, [1, 2]])
  // The log tells of the first try and of the last.
  assert.deepEqual(said, [
    'a revision was not adopted; the last good one is served',
    'a revision was adopted after all',
  ])
  await follower.close()
})

test('a newer revision ends the tries of the one before, also while it is only tried out', async (t) => {
  const tried: number[] = []
  const { follower } = open(await folderOf(t), {
    limits: { ...defaultLimits, adoptRetryMs: 1, adoptRetryMaxMs: 1 },
    async serve({ revision }) {
      tried.push(revision)
      if (revision === 2) throw new Error('no cell')
    },
  })
  await follower.follow(snapshotOf(1, [site('a')]))
  await follower.follow(snapshotOf(2, [site('b')]))
  await until(() => tried.length >= 4)
  await follower.adopt(snapshotOf(3, [site('c')]))
  const before = tried.length
  await follower.follow(snapshotOf(3, [site('c')]))
  await follower.close()
  assert.deepEqual(new Set(tried.slice(before)), new Set([3]))
})

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await pause(2)
}

test('what is served is kept in full and read back; a change writes only what it changes', async (t) => {
  const folder = await folderOf(t)
  const store = openServedStore(folder, '1')
  const sites = Array.from({ length: 3000 }, (_, index) => site(`site-${index}`))
  await store.keep(snapshotOf(1, sites))
  const reader = new DatabaseSync(join(folder, 'served.db'))
  reader.exec(`
    CREATE TABLE written (name TEXT);
    CREATE TRIGGER seen AFTER INSERT ON parts WHEN new.kind <> 'head' BEGIN INSERT INTO written VALUES (new.name); END;
    CREATE TRIGGER seen_again AFTER UPDATE ON parts WHEN new.kind <> 'head' BEGIN INSERT INTO written VALUES (new.name); END;
  `)
  const changed = [...sites.slice(1, 2999), { ...sites[2999]!, hostnames: ['new.test'] }, site('added')]
  await store.keep(snapshotOf(2, changed))
  const names = reader.prepare('SELECT name FROM written ORDER BY name').all()
  assert.deepEqual(
    names.map(({ name }) => name),
    ['added', 'site-2999'],
  )
  reader.close()
  store.close()
  const again = openServedStore(folder, '1')
  const read = again.read()!
  assert.equal(read.revision, 2)
  assert.deepEqual(
    new Set(read.sites.map((one) => JSON.stringify(one))),
    new Set(changed.map((one) => JSON.stringify(one))),
  )
  again.close()
})

test('a node that starts while it is cut off says since when what it serves may be out of date', async (t) => {
  const folder = await folderOf(t)
  let now = 1_000_000
  const clock = () => now
  const fabricThat = (state: 'here' | 'away') => {
    const listeners = new Set<(state: 'here' | 'away') => void>()
    return {
      state,
      onState: (listener: (state: 'here' | 'away') => void) => {
        listeners.add(listener)
        return () => {}
      },
      listeners,
    }
  }
  const reachable = fabricThat('here')
  const first = open(folder, { fabric: reachable, clock })
  await first.follower.follow(snapshotOf(1, [site('a')]))
  now += 50_000
  for (const listener of reachable.listeners) listener('away')
  now += 50_000
  // Killed: nobody closes it.
  const second = open(folder, { fabric: fabricThat('away'), clock })
  await second.follower.start()
  assert.deepEqual([second.follower.status().awaySince, second.follower.status().ageMs], [1_050_000, 50_000])
  await second.follower.close()
  await first.follower.close()
  now += 1_000_000
  const third = open(folder, { fabric: fabricThat('away'), clock })
  assert.equal(third.follower.status().ageMs, 1_050_000)
  await third.follower.close()
  // A clock that was set back is no reason for an age below zero.
  now = 5
  const fourth = open(folder, { fabric: fabricThat('away'), clock })
  assert.equal(fourth.follower.status().ageMs, 0)
  await fourth.follower.close()
})

test('what cannot be read is no start, and is written anew', async (t) => {
  const folder = await folderOf(t)
  const store = openServedStore(folder, '1')
  await store.keep(snapshotOf(7, [site('a')]))
  store.close()
  const database = new DatabaseSync(join(folder, 'served.db'))
  database.exec(`UPDATE parts SET value = '{' WHERE kind = 'site'`)
  database.close()
  const { follower, served } = open(folder)
  assert.equal(await follower.start(), false)
  await follower.follow(snapshotOf(8, [site('b')]))
  await follower.close()
  assert.deepEqual(served, [8])
  const again = openServedStore(folder, '1')
  assert.equal([...again.read()!.sites][0]!.name, 'b')
  again.close()
})

test('a canary fails by more errors than the share of before explains', () => {
  const cases: [before: [number, number], during: [number, number], worse: boolean][] = [
    [[0, 0], [0, 0], false],
    [[0, 0], [100, 0], false],
    [[0, 0], [100, 1], true],
    [[1000, 0], [10, 1], true],
    [[1000, 100], [100, 12], false],
    [[1000, 100], [100, 19], false],
    [[1000, 100], [100, 20], true],
    [[1000, 1000], [50, 50], false],
  ]
  for (const [[requests, errors], [more, failed], worse] of cases)
    assert.equal(
      isWorse({ requests, errors }, { requests: more, errors: failed }),
      worse,
      `${requests} ${errors} ${more} ${failed}`,
    )
})

test('a node that starts again knows what stays where', async (t) => {
  const folder = await folderOf(t)
  const snapshot: Snapshot = { ...snapshotOf(1, []), placements: new Map([['s1', ['DE']]]), logWithin: ['DE', 'FR'] }
  const first = openServedStore(folder, '1')
  await first.keep(snapshot)
  first.close()
  const second = openServedStore(folder, '1')
  t.after(() => second.close())
  const read = second.read()!
  assert.deepEqual([...read.placements!], [...snapshot.placements!])
  assert.deepEqual([read.revision, read.logWithin], [1, ['DE', 'FR']])
})
