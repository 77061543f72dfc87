/** The KV stores on the real fabric. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import {
  createKvNamespace,
  finishKvRemovals,
  type KvRegisterParts,
  listKvNamespaces,
  removeKvNamespace,
  renameKvNamespace,
} from '#/control/kv-namespaces.ts'
import { defaultLimits } from '#/core/limits.ts'
import { openSqliteFabric } from '#/fabric/sqlite/fabric.ts'
import { createKvStores } from '#/stores/kv.ts'

async function openStores(t: TestContext, limits = defaultLimits) {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-kv-'))
  const time = { now: 1_800_000_000_000 }
  const clock = () => time.now
  const fabric = await openSqliteFabric({ folder, clock, limits })
  t.after(async () => {
    await fabric.close()
    await rm(folder, { recursive: true })
  })
  return { fabric, time, clock, limits, kv: createKvStores({ fabric, limits, clock }) }
}

const value = (text: string) => ({ value: Buffer.from(text) })
const large = (fill: number, length = 100_000) => ({ value: Buffer.alloc(length, fill) })

test('values small and large come back, with metadata, until they expire', async (t) => {
  const { kv, time, limits } = await openStores(t)
  const expiresAt = time.now + 60_000
  const sizes = [0, 1, limits.kvInlineBytes, limits.kvInlineBytes + 1, 1_000_000]
  for (const size of sizes) {
    await kv.put('s', `${size}`, { ...large(size % 251, size), metadata: '{"a":1}', expiresAt })
    const found = (await kv.get('s', `${size}`))!
    assert.ok(Buffer.alloc(size, size % 251).equals(found.value))
    const { revision } = found
    assert.deepEqual({ ...found, value: null }, { value: null, metadata: '{"a":1}', expiresAt, revision })
  }
  const written = await kv.put('s', 'stays', value('v'))
  assert.deepEqual(Object.keys((await kv.get('s', 'stays'))!), ['value', 'revision'])
  assert.equal(await kv.put('s', 'stays', value('never'), { expect: 0 }), undefined)
  assert.equal((await kv.get('s', 'stays'))!.revision, written)
  assert.equal(await kv.get('another', 'stays'), undefined)
  time.now += 60_000
  for (const size of sizes) assert.equal(await kv.get('s', `${size}`), undefined)
  assert.equal(await kv.delete('s', 'stays'), true)
  assert.equal(await kv.delete('s', 'stays'), false)
  assert.equal(await kv.get('s', 'stays'), undefined)
})

test('what no door may store is refused, and nothing is written', async (t) => {
  const { kv, limits } = await openStores(t)
  await assert.rejects(kv.put('s', '..', value('v')), { code: 'bad_request' })
  await assert.rejects(kv.get('s', ''), { code: 'bad_request' })
  await assert.rejects(kv.put('s', 'k'.repeat(limits.kvKeyBytes + 1), value('v')), { code: 'url_too_long' })
  await assert.rejects(kv.list('s', { prefix: 'k'.repeat(limits.kvKeyBytes + 1), limit: 1 }), { code: 'url_too_long' })
  await assert.rejects(kv.put('s', 'k', large(0, limits.kvValueBytes + 1)), { code: 'body_too_large' })
  await assert.rejects(kv.put('s', 'k', { ...value('v'), metadata: `"${'m'.repeat(limits.kvMetadataBytes - 1)}"` }), {
    code: 'body_too_large',
  })
  for (const limit of [0, 1.5, 1001, Number.NaN]) await assert.rejects(kv.list('s', { limit }), { code: 'bad_request' })
  for (const cursor of ['', '!', 'a', '////']) await assert.rejects(kv.list('s', { limit: 1, cursor }), /cursor/)
  assert.deepEqual(await kv.list('s', { limit: 10 }), { keys: [] })
})

test('a listing goes page by page, by prefix, whatever is written meanwhile', async (t) => {
  const { kv } = await openStores(t)
  const names = Array.from({ length: 25 }, (_, i) => `a/${String(i).padStart(2, '0')}`)
  const metadata = JSON.stringify('m'.repeat(4094))
  for (const name of names) await kv.put('s', name, { ...large(1, 70_000), metadata })
  await kv.put('s', 'b', value('v'))
  const found: string[] = []
  let cursor: string | undefined
  do {
    const page = await kv.list('s', { prefix: 'a/', limit: 10, ...(cursor && { cursor }) })
    assert.ok(page.keys.length <= 10)
    for (const key of page.keys) assert.equal(key.metadata, metadata)
    found.push(...page.keys.map((key) => key.name))
    cursor = page.cursor
    await kv.delete('s', found.at(-1)!)
    await kv.put('s', 'a/000', value('before'))
  } while (cursor !== undefined)
  assert.deepEqual(found, names)
  assert.equal((await kv.list('s', { limit: 1 })).cursor !== undefined, true)
  await kv.clear('s')
  assert.deepEqual(await kv.list('s', { limit: 10 }), { keys: [] })
})

test('a blob is in use while any record names it, and for a while before', async (t) => {
  const { kv, fabric, time, limits } = await openStores(t)
  const inUse = async () => (await Array.fromAsync(kv.blobsInUse())).length
  await kv.put('s', 'one', large(1))
  await kv.put('s', 'two/with/slashes', large(1))
  await kv.put('s', 'three', large(3))
  assert.equal((await Array.fromAsync(fabric.blobs.list())).length, 2)
  assert.deepEqual(new Set(await Array.fromAsync(kv.blobsInUse())).size, 2)
  await kv.put('s', 'one', value('small now'))
  await kv.put('s', 'three', large(4))
  assert.equal(await inUse(), 4, 'marks of old values stay while they are young')
  time.now += limits.blobGraceMs + 1
  assert.equal(await inUse(), 2)
  assert.equal(await inUse(), 2)
  await kv.clear('s')
  assert.equal(await inUse(), 0)
  assert.deepEqual(await fabric.bucket('kv-blobs').list({ limit: 10 }), [])
})

test('a value whose key is overwritten while it is read is read anew', async (t) => {
  const { kv, fabric } = await openStores(t)
  await kv.put('s', 'k', large(1))
  const [blob] = await Array.fromAsync(fabric.blobs.list())
  const original = fabric.blobs.get
  const racing = {
    ...fabric,
    blobs: {
      ...fabric.blobs,
      async get(hash: string) {
        if (hash === blob!.hash) {
          await kv.put('s', 'k', large(2))
          await fabric.blobs.delete(hash)
        }
        return original(hash)
      },
    },
  }
  const reader = createKvStores({ fabric: racing, limits: defaultLimits, clock: Date.now })
  assert.ok(large(2).value.equals((await reader.get('s', 'k'))!.value))
  await fabric.blobs.delete((await Array.fromAsync(fabric.blobs.list()))[0]!.hash)
  await assert.rejects(kv.get('s', 'k'), { code: 'internal' })
})

test('namespaces: a title is taken once, however many ask', async (t) => {
  const { kv, fabric, clock } = await openStores(t)
  const parts: KvRegisterParts = { fabric, kv, clock, limits: { kvNamespaces: 3, kvTitleBytes: 10 } }
  const made = await Promise.all(Array.from({ length: 8 }, () => createKvNamespace(parts, 'same')))
  const [first] = made.filter((outcome) => outcome.ok)
  assert.deepEqual(
    made.filter((outcome) => !outcome.ok).map((outcome) => outcome.why),
    Array(7).fill('title_taken'),
  )
  const { id } = first!.namespace
  assert.match(id, /^[0-9a-f]{32}$/)
  await Promise.all([createKvNamespace(parts, 'b'), createKvNamespace(parts, 'c')])
  const refused: [Promise<unknown>, string][] = [
    [createKvNamespace(parts, 'd'), 'too_many'],
    [createKvNamespace(parts, ' '), 'title_missing'],
    [createKvNamespace(parts, 'x'.repeat(11)), 'title_too_long'],
    [renameKvNamespace(parts, id, 'b'), 'title_taken'],
    [renameKvNamespace(parts, 'nobody', 'e'), 'not_found'],
  ]
  for (const [outcome, why] of refused) assert.deepEqual(await outcome, { ok: false, why })
  assert.ok((await renameKvNamespace(parts, id, 'same')).ok)
  assert.ok((await renameKvNamespace(parts, id, 'new')).ok)
  assert.deepEqual((await listKvNamespaces(fabric)).map((one) => one.title).sort(), ['b', 'c', 'new'])
})

test('namespaces: a removal that was cut short is invisible, and ended at the next start', async (t) => {
  const { kv, fabric, clock, limits } = await openStores(t)
  const parts: KvRegisterParts = { fabric, kv, clock, limits }
  const made = await createKvNamespace(parts, 'n')
  assert.ok(made.ok)
  const { id } = made.namespace
  await kv.put(id, 'k', value('v'))
  const crashing = {
    ...parts,
    kv: {
      clear: async () => {
        throw new Error('crash')
      },
    },
  }
  await assert.rejects(removeKvNamespace(crashing, id), /crash/)
  assert.deepEqual(await listKvNamespaces(fabric), [])
  assert.ok((await createKvNamespace(parts, 'n')).ok)
  assert.equal(await removeKvNamespace(parts, id), false)
  await finishKvRemovals(parts)
  assert.equal(await kv.get(id, 'k'), undefined)
  assert.equal((await listKvNamespaces(fabric)).length, 1)
})
