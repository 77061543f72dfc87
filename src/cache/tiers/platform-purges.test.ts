import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import type { PurgeWish } from '#/core/cache-policy.ts'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import { createMemoryMeshes } from '#/core/memory-mesh.ts'
import type { Place } from '#/core/pops.ts'
import { createPlatformPurges } from './platform-purges.ts'

const tag = (name: string): PurgeWish => ({ soft: false, what: { kind: 'tag', tag: name } })
const everything: PurgeWish = { soft: false, what: { kind: 'everything' } }
const places: Place[] = [
  { node: 'fra', pop: 'fra', country: 'DE' },
  { node: 'iad', pop: 'iad', country: 'US' },
  { node: 'nrt', pop: 'nrt', country: 'JP' },
]

/** Three nodes; `start` joins one, `node(i).tags()` says what was purged there. */
function platform(t: TestContext, changed: Partial<Limits> = {}) {
  const meshes = createMemoryMeshes()
  const limits = { ...defaultLimits, purgeFirstContactMs: 50, ...changed }
  let folder: Promise<string> | undefined
  const closes: (() => Promise<unknown>)[] = []
  t.after(async () => {
    for (const close of closes.reverse()) await close()
    if (folder !== undefined) await rm(await folder, { recursive: true, force: true })
  })
  async function start(index: number) {
    const place = places[index]!
    folder ??= mkdtemp(join(tmpdir(), 'rimward-purges-'))
    const mesh = meshes.join(place)
    const purged: PurgeWish[] = []
    const cache = { purge: async (wishes: readonly PurgeWish[]) => void purged.push(...wishes) }
    const options = { mesh, cache, folder: join(await folder, place.node), clock: Date.now, limits, log: () => {} }
    const purges = await createPlatformPurges(options)
    const tags = () => purged.map(({ what }) => (what.kind === 'tag' ? what.tag : what.kind))
    let closing: Promise<unknown> | undefined
    const close = () => {
      closing ??= mesh.close().then(() => purges.close())
      return closing
    }
    closes.push(close)
    purged.splice(0)
    return { mesh, purges, tags, purged, close }
  }
  return { meshes, start }
}

async function until(holds: () => boolean): Promise<void> {
  for (let attempt = 0; !holds(); attempt++) {
    assert.ok(attempt < 1_000, 'it does not come')
    await wait(5)
  }
}

test('a purge is acknowledged by every node; the receipt is told again, also by others', async (t) => {
  const { start } = platform(t)
  const [fra, iad, nrt] = [await start(0), await start(1), await start(2)]
  await Promise.all([fra, iad, nrt].map(({ purges }) => purges.ready))
  const receipt = await fra.purges.purge([tag('a')])
  for (const one of [fra, iad, nrt]) assert.deepEqual(one.tags(), ['a'])
  assert.deepEqual(receipt.acknowledged.map(({ node }) => node).toSorted(), ['fra', 'iad', 'nrt'])
  assert.deepEqual(receipt.away, [])
  assert.ok(receipt.acknowledged.every(({ ms }) => ms >= 0 && ms < 5_000))
  assert.deepEqual(await fra.purges.receipt(receipt.id), receipt)
  assert.deepEqual(await nrt.purges.receipt(receipt.id), receipt)
  assert.equal(await nrt.purges.receipt('fra-1-1'), undefined)
  assert.equal(iad.purges.standing().state, 'ready')
})

test('a node that was cut off is away in the receipt, and applies what it missed before it is ready', async (t) => {
  const { meshes, start } = platform(t)
  const [fra, iad, nrt] = [await start(0), await start(1), await start(2)]
  await Promise.all([fra, iad, nrt].map(({ purges }) => purges.ready))
  meshes.cut('fra', 'nrt')
  meshes.cut('iad', 'nrt')
  await until(() => nrt.purges.standing().away.length === 2)
  assert.equal(nrt.purges.standing().state, 'alone')
  const receipt = await fra.purges.purge([tag('a')])
  assert.deepEqual(
    receipt.away.map(({ node }) => node),
    ['nrt'],
  )
  await nrt.purges.purge([tag('b')])
  assert.deepEqual(nrt.tags(), ['b'])
  // Held back, so that the gate is seen.
  const held = Promise.withResolvers<void>()
  meshes.delay = () => held.promise
  meshes.heal('fra', 'nrt')
  await until(() => nrt.purges.standing().state === 'catching-up')
  const gate = nrt.purges.gate
  assert.ok(gate, 'requests wait')
  held.resolve()
  meshes.delay = async () => {}
  await gate
  assert.deepEqual(nrt.tags(), ['b', 'a'])
  await until(() => iad.tags().includes('b'))
  meshes.heal('iad', 'nrt')
  await until(() => nrt.purges.standing().state === 'ready')
  assert.deepEqual(fra.tags(), ['a', 'b'])
})

test('purges are learned from a third node: told at once by one that both can reach', async (t) => {
  const { meshes, start } = platform(t)
  const [fra, iad, nrt] = [await start(0), await start(1), await start(2)]
  await Promise.all([fra, iad, nrt].map(({ purges }) => purges.ready))
  meshes.cut('fra', 'nrt')
  const receipt = await fra.purges.purge([tag('a')])
  assert.deepEqual(
    receipt.away.map(({ node }) => node),
    ['nrt'],
  )
  await until(() => nrt.tags().includes('a'))
})

test('a node that starts again has missed nothing, and gives no number twice', async (t) => {
  const { start } = platform(t)
  const [fra, iad] = [await start(0), await start(1)]
  await Promise.all([fra.purges.ready, iad.purges.ready])
  await iad.purges.purge([tag('a')])
  await iad.close()
  await fra.purges.purge([tag('b')])
  const again = await start(1)
  await again.purges.ready
  assert.deepEqual(again.tags(), ['b'])
  await again.purges.purge([tag('c')])
  assert.deepEqual(fra.tags(), ['a', 'b', 'c'])
})

test('where the log was cut, the late node purges everything', async (t) => {
  const { meshes, start } = platform(t, { purgeLogEntries: 10 })
  const [fra, iad] = [await start(0), await start(1)]
  await Promise.all([fra.purges.ready, iad.purges.ready])
  meshes.cut('fra', 'iad')
  for (let count = 0; count < 30; count++) await fra.purges.purge([tag(`t${count}`)])
  meshes.heal('fra', 'iad')
  await until(() => iad.purges.standing().state === 'ready')
  assert.ok(iad.tags().includes(everything.what.kind))
  await fra.purges.purge([tag('after')])
  assert.equal(iad.tags().at(-1), 'after')
  assert.deepEqual(iad.purges.vector, fra.purges.vector)
})

test('a new node of a platform that purged before purges everything or all that is kept', async (t) => {
  const { start } = platform(t)
  const fra = await start(0)
  await fra.purges.purge([tag('a')])
  const iad = await start(1)
  await iad.purges.ready
  assert.deepEqual(iad.tags(), ['a'])
})

test('what a request bears: nothing once the other side has it; else the other side asks for it first', async (t) => {
  const { meshes, start } = platform(t)
  const [fra, iad, nrt] = [await start(0), await start(1), await start(2)]
  await Promise.all([fra, iad, nrt].map(({ purges }) => purges.ready))
  await fra.purges.purge([tag('a')])
  assert.equal(fra.purges.tag('iad'), undefined)
  meshes.cut('fra', 'iad')
  meshes.cut('iad', 'nrt')
  await fra.purges.purge([tag('b')])
  await until(() => nrt.tags().includes('b'))
  const borne = nrt.purges.tag('iad')!
  assert.deepEqual(Object.values(borne), [2])
  meshes.heal('iad', 'nrt')
  await iad.purges.reach(borne, 'nrt')
  assert.ok(iad.tags().includes('b'))
})

test('ten thousand purges at once arrive everywhere, in few messages', async (t) => {
  const { meshes, start } = platform(t)
  const [fra, iad] = [await start(0), await start(1)]
  await Promise.all([fra.purges.ready, iad.purges.ready])
  let messages = 0
  meshes.delay = async () => {
    messages++
    await wait(1 + Math.random() * 3)
  }
  const receipts = await Promise.all(Array.from({ length: 10_000 }, (_, index) => fra.purges.purge([tag(`t${index}`)])))
  assert.ok(receipts.every(({ away }) => away.length === 0))
  assert.equal(new Set(iad.tags()).size, 10_000)
  assert.ok(messages < 2_000, `${messages} messages`)
})
