import assert from 'node:assert/strict'
import { mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { bytes, fabricContract, type OpenedFabric } from '../fabric.contract.ts'
import { openSqliteFabric } from './fabric.ts'

export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-fabric-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

async function openForContract(t: TestContext): Promise<OpenedFabric> {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-fabric-'))
  let now = 1_800_000_000_000
  const fabric = await openSqliteFabric({ folder, clock: () => now, limits: defaultLimits, report: () => {} })
  t.after(async () => {
    await fabric.close()
    await rm(folder, { recursive: true })
  })
  return {
    fabric,
    now: () => now,
    advance(ms) {
      now += ms
    },
    damage: (hash, position) => flip(join(folder, 'blobs', hash.slice(0, 2), hash), position),
  }
}

async function flip(path: string, position: number): Promise<void> {
  const handle = await open(path, 'r+')
  const byte = Buffer.alloc(1)
  await handle.read(byte, 0, 1, position)
  byte[0]! ^= 1
  await handle.write(byte, 0, 1, position)
  await handle.close()
}

fabricContract('sqlite', openForContract)

const clock = () => 1_800_000_000_000
const limits = defaultLimits

test('a folder has one fabric at a time; a lock file left behind blocks nobody', async (t) => {
  const folder = await temporaryFolder(t)
  await writeFile(join(folder, 'lock'), '')
  const first = await openSqliteFabric({ folder, clock, limits })
  await assert.rejects(openSqliteFabric({ folder, clock, limits }), { code: 'folder_in_use' })
  await first.bucket('b').put('k', bytes('v'))
  await first.close()
  const second = await openSqliteFabric({ folder, clock, limits })
  assert.ok(await second.bucket('b').get('k'))
  await second.close()
})

test('leases of the process before are over, their epochs are not', async (t) => {
  const folder = await temporaryFolder(t)
  const first = await openSqliteFabric({ folder, clock, limits })
  const before = (await first.lease('l', 1_000_000))!
  await first.close()
  const second = await openSqliteFabric({ folder, clock, limits })
  assert.ok((await second.lease('l', 1000))!.epoch > before.epoch)
  await second.close()
})

test('a file that is no database, or of a later version, is refused and left alone', async (t) => {
  const folder = await temporaryFolder(t)
  await writeFile(join(folder, 'fabric.db'), 'this is no database, but somebody may want it'.repeat(100))
  await assert.rejects(openSqliteFabric({ folder, clock, limits }), /not a database/)
  await rm(join(folder, 'fabric.db'))
  const database = new DatabaseSync(join(folder, 'fabric.db'))
  database.exec('PRAGMA user_version = 99')
  database.close()
  await assert.rejects(openSqliteFabric({ folder, clock, limits }), /later version/)
})

test('blobs that were never finished are removed at the next start', async (t) => {
  const folder = await temporaryFolder(t)
  await (await openSqliteFabric({ folder, clock, limits })).close()
  await writeFile(join(folder, 'blobs', 'unfinished', 'left'), 'half')
  await (await openSqliteFabric({ folder, clock, limits })).close()
  assert.deepEqual(await readdir(join(folder, 'blobs', 'unfinished')), [])
})

test('a blob cut short is an error', async (t) => {
  const folder = await temporaryFolder(t)
  const fabric = await openSqliteFabric({ folder, clock, limits })
  const { hash } = await fabric.blobs.put(new Uint8Array(200_000).fill(1))
  for (const length of [200_000, 131_072, 65_540, 3, 0]) {
    const handle = await open(join(folder, 'blobs', hash.slice(0, 2), hash), 'r+')
    await handle.truncate(length)
    await handle.close()
    await assert.rejects(fabric.blobs.get(hash), /damaged/, `${length}`)
  }
  await fabric.close()
})

test('expired rows leave the file', async (t) => {
  const folder = await temporaryFolder(t)
  let now = 1000
  const fabric = await openSqliteFabric({ folder, clock: () => now, limits })
  const bucket = fabric.bucket('b')
  await Promise.all(Array.from({ length: 40 }, (_, i) => bucket.put(`k${i}`, bytes('v'), { expiresAt: 2000 })))
  now = 3000
  for (let i = 0; i < 20; i++) await bucket.put('other', bytes('v'))
  await fabric.close()
  const database = new DatabaseSync(join(folder, 'fabric.db'))
  assert.equal(database.prepare('SELECT count(*) AS n FROM entries').get()!.n, 1)
  database.close()
})

test('a full database refuses what does not fit, keeps the rest and goes on', async (t) => {
  const folder = await temporaryFolder(t)
  const fabric = await openSqliteFabric({ folder, clock, limits: { ...limits, fabricBytes: 1024 * 1024 } })
  const bucket = fabric.bucket('b')
  const results = await Promise.allSettled([
    bucket.put('before', bytes('v')),
    bucket.put('large', new Uint8Array(2_000_000)),
    bucket.put('after', bytes('v')),
  ])
  assert.deepEqual(
    results.map((result) => result.status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  assert.equal((results[1] as PromiseRejectedResult).reason.code, 'storage_full')
  assert.equal(await bucket.get('large'), undefined)
  assert.ok((await bucket.get('before')) && (await bucket.get('after')))
  await fabric.close()
})

test('more writes than may wait are refused as overloaded', async (t) => {
  const folder = await temporaryFolder(t)
  const fabric = await openSqliteFabric({ folder, clock, limits: { ...limits, fabricQueueBytes: 10_000 } })
  const results = await Promise.allSettled(
    Array.from({ length: 10 }, (_, i) => fabric.bucket('b').put(`k${i}`, new Uint8Array(2000))),
  )
  const refused = results.filter((result) => result.status === 'rejected')
  assert.equal(refused.length, 7)
  for (const { reason } of refused) assert.equal(reason.code, 'overloaded')
  assert.ok(await fabric.bucket('b').put('later', new Uint8Array(2000)))
  await fabric.close()
})

test('what was deleted and replaced is in no file once that is cleaned', async (t) => {
  const folder = await temporaryFolder(t)
  const fabric = await openSqliteFabric({ folder, clock, limits })
  t.after(() => fabric.close())
  const bucket = fabric.bucket('b')
  for (let n = 0; n < 50; n++) await bucket.put(`k${n}`, bytes(`marker ${'x'.repeat(n * 100)}`))
  await bucket.put('k1', bytes('other'))
  for (let n = 2; n < 50; n++) await bucket.delete(`k${n}`)
  const files = async () => {
    const names = (await readdir(folder)).filter((name) => name.startsWith('fabric.db'))
    return Promise.all(names.map((name) => readFile(join(folder, name), 'latin1')))
  }
  assert.ok((await files()).some((text) => text.includes('marker xxx')))
  await bucket.delete('k0')
  await fabric.clean!()
  assert.ok(!(await files()).some((text) => text.includes('marker')))
  assert.equal(Buffer.from((await bucket.get('k1'))!.value).toString(), 'other')
})
