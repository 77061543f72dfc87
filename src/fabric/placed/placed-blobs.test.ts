import assert from 'node:assert/strict'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { EdgeError } from '#/core/errors.ts'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import type { Fabric } from '#/core/ports.ts'
import { createPlacedBlobs, withPlacedBlobs } from './placed-blobs.ts'

const seal = { seal: (text: string) => `sealed ${text}`, open: (sealed: string) => sealed.slice(7) }
const options = { seal, limits: { placedBlobWaitMs: 100 }, clock: () => 1000 }
const inGermany = { within: ['DE'] }

/** The same platform as a node in this country sees it. */
function from(country: string, shared: Fabric): Fabric {
  const bucket: Fabric['bucket'] = (name, placement) => {
    if (placement?.within?.includes(country) !== false) return shared.bucket(name)
    const refuse = async () => {
      throw new EdgeError('not_here', `${name} is not in ${country}.`)
    }
    return { get: refuse, put: refuse, delete: refuse, list: refuse, watch: () => () => {} }
  }
  return { ...shared, bucket }
}

async function everythingIn(fabric: Fabric, name: string): Promise<string> {
  const entries = await fabric.bucket(name).list({ limit: 1000 })
  return Buffer.concat(entries.map(({ value }) => value)).toString('latin1')
}

test('a blob that stays in countries is encrypted there, says so in its name, and is refused elsewhere', async () => {
  const shared = createMemoryFabric(() => 1000)
  const [fra, iad] = ['DE', 'US'].map((country) => createPlacedBlobs(from(country, shared), options))
  const stored = await fra!.put(Buffer.from('the code'), inGermany)
  assert.match(stored.hash, /^[0-9a-f]{64}@DE$/)
  assert.equal(stored.bytes, 8)
  assert.equal((await fra!.put(Buffer.from('the code'), inGermany)).hash, stored.hash)
  // The digest is keyed: without the key nobody can try what it may be.
  assert.notEqual(stored.hash.slice(0, 64), (await fra!.put(Buffer.from('the code'))).hash)
  assert.equal(Buffer.from((await fra!.get(stored.hash))!).toString(), 'the code')
  assert.ok(!(await everythingIn(shared, 'placed-blobs@DE')).includes('the code'))
  for (const refused of [iad!.get(stored.hash), iad!.put(Buffer.from('x'), inGermany), iad!.has(stored.hash)])
    await assert.rejects(refused, { code: 'not_here' })

  const [entry] = await shared.bucket('placed-blobs@DE').list({ limit: 10, prefix: `${stored.hash.slice(0, 64)}/` })
  const bytes = Buffer.from(entry!.value)
  bytes[15]! ^= 1
  await shared.bucket('placed-blobs@DE').put(entry!.key, bytes)
  await assert.rejects(fra!.get(stored.hash), /is damaged/)
})

test('large blobs lie in parts; ranges over them, listing and removal are whole', async () => {
  const shared = createMemoryFabric(() => 1000)
  let now = 1000
  const blobs = createPlacedBlobs(shared, { ...options, clock: () => now })
  const large = Buffer.alloc(1_300_000)
  for (let at = 0; at < large.length; at++) large[at] = at % 251
  const { hash } = await blobs.put(
    (async function* () {
      yield large.subarray(0, 700_000)
      yield large.subarray(700_000)
    })(),
    { within: ['FR', 'DE'] },
  )
  assert.match(hash, /@DE,FR$/)
  assert.deepEqual(Buffer.from((await blobs.get(hash))!), large)
  for (const [start, end] of [
    [0, 0],
    [524_287, 524_288],
    [600_000, 1_299_999],
    [1_299_999, 2_000_000],
  ] as const)
    assert.deepEqual(await buffer((await blobs.stream(hash, { start, end }))!), large.subarray(start, end + 1))
  const empty = await blobs.put(new Uint8Array(0), { within: ['DE', 'FR'] })
  assert.equal((await blobs.get(empty.hash))!.length, 0)

  const listed = async () => (await Array.fromAsync(blobs.list([['DE', 'FR']]))).map((one) => [one.hash, one.bytes])
  assert.deepEqual(
    (await listed()).toSorted(),
    [
      [hash, 1_300_000],
      [empty.hash, 0],
    ].toSorted(),
  )
  now += 100_000
  assert.ok(await blobs.has(hash))
  await blobs.delete(hash, { storedBefore: now })
  assert.ok(await blobs.has(hash), 'a question makes it young')
  await blobs.delete(hash)
  await blobs.delete(empty.hash)
  assert.deepEqual([await blobs.has(hash), await listed()], [false, []])
  assert.equal((await shared.bucket('placed-blobs@DE,FR').list({ limit: 10 })).length, 0)
})

test('who hears of a blob before it arrives waits for it, and not for ever', async () => {
  const shared = createMemoryFabric(() => 1000)
  const [one, other] = [createMemoryFabric(() => 1000), createMemoryFabric(() => 1000)]
  const writer = createPlacedBlobs(one, options)
  const { hash } = await writer.put(Buffer.from('late'), inGermany)
  for (const { key, value } of await one.bucket('placed-keys@DE').list({ limit: 10 }))
    await other.bucket('placed-keys@DE').put(key, value)
  const reader = withPlacedBlobs(
    { ...shared, bucket: other.bucket },
    { ...options, limits: { placedBlobWaitMs: 5000 } },
  )
  const reading = reader.blobs.get(hash)
  await pause(0)
  for (const { key, value } of await one.bucket('placed-blobs@DE').list({ limit: 10 }))
    await other.bucket('placed-blobs@DE').put(key, value)
  assert.equal(Buffer.from((await reading)!).toString(), 'late')
  assert.equal(reader.state, 'here')
  assert.equal(await writer.get(`${'0'.repeat(64)}@DE`), undefined)
})
