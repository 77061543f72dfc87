/** The store of buckets by itself: bodies that break off, what is left behind, what is read while it is replaced. */
import assert from 'node:assert/strict'
import { glob, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { bucketAt } from '#/core/bucket-calls.ts'
import { type FoundObject, isTroubled } from '#/core/buckets.ts'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import { openBuckets } from './open-buckets.ts'

async function open(t: TestContext, options: { folder?: string; limits?: Partial<Limits> } = {}) {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'rimward-buckets-')))
  const time = { now: 1_800_000_000_000 }
  const limits = { ...defaultLimits, bucketPartBytes: 1000, ...options.limits }
  const buckets = await openBuckets({ folder, limits, clock: () => time.now, log: () => {} })
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= buckets.close()
    return closing
  }
  t.after(async () => {
    await close()
    await rm(folder, { recursive: true, force: true })
  })
  const at = (id: string) => bucketAt({ call: (call) => buckets.handler(call) }, id)
  const files = () => Array.fromAsync(glob('*/bodies/*/*', { cwd: folder }))
  return { folder, time, buckets, close, at, files }
}

const large = (fill: string) => Buffer.alloc(200_000, fill)
const chunks = (...parts: readonly (string | Buffer | Error)[]) =>
  Readable.from(
    (function* () {
      for (const part of parts) {
        if (part instanceof Error) throw part
        yield Buffer.from(part)
      }
    })(),
  )

async function textOf(found: FoundObject | object): Promise<string> {
  assert.ok(!isTroubled(found), JSON.stringify(found))
  const { body } = found as FoundObject
  if (body === null) return ''
  if (body instanceof Uint8Array) return Buffer.from(body).toString()
  return Buffer.concat(await body.toArray()).toString()
}

test('a body that is shorter or longer than announced, or breaks off, leaves what was there', async (t) => {
  const { at, files } = await open(t)
  const bucket = at('b')
  for (const before of ['small', large('o')]) {
    await bucket.put({ key: 'k', bytes: before.length }, Buffer.from(before))
    const kept = await files()
    for (const bytes of [10, 150_000]) {
      const announced = { key: 'k', bytes }
      assert.deepEqual(await bucket.put(announced, chunks('short')), { trouble: 'short_body' })
      assert.deepEqual(await bucket.put(announced, chunks(large('x'))), { trouble: 'short_body' })
      await assert.rejects(bucket.put(announced, chunks('brok', new Error('cut'))), /cut/)
    }
    assert.deepEqual(await files(), kept)
    assert.equal(await textOf(await bucket.get('k')), before.toString())
  }
  const { uploadId } = (await bucket.createUpload({ key: 'k' })) as { uploadId: string }
  await assert.rejects(
    bucket.putPart({ key: 'k', uploadId, number: 1, bytes: 9 }, chunks('x', new Error('cut'))),
    /cut/,
  )
  assert.deepEqual(await bucket.listParts('k', uploadId), { parts: [] })
})

test('what is read goes on being read while it is replaced and deleted', async (t) => {
  const { at, files } = await open(t)
  const bucket = at('b')
  const { uploadId } = (await bucket.createUpload({ key: 'k' })) as { uploadId: string }
  const parts = []
  for (const number of [1, 2, 3]) {
    const answer = await bucket.putPart({ key: 'k', uploadId, number, bytes: 200_000 }, large(`${number}`))
    parts.push({ number, etag: (answer as { etag: string }).etag })
  }
  await bucket.completeUpload('k', uploadId, parts)
  const first = await bucket.get('k')
  await bucket.put({ key: 'k', bytes: 200_000 }, large('n'))
  const second = await bucket.get('k')
  await bucket.delete(['k'])
  assert.deepEqual(await bucket.get('k'), { trouble: 'no_object' })
  assert.equal(await textOf(first), `${large('1')}${large('2')}${large('3')}`)
  assert.equal(await textOf(second), large('n').toString())
  while ((await files()).length > 0) await new Promise((resolve) => setImmediate(resolve))
})

test('gets race with puts of the same key: each reads one whole object', async (t) => {
  const { at } = await open(t)
  const bucket = at('b')
  await bucket.put({ key: 'k', bytes: 200_000 }, large('0'))
  const put = async () => {
    for (let i = 1; i < 40; i++) await bucket.put({ key: 'k', bytes: 200_000 }, large(`${i % 10}`))
  }
  const get = async () => {
    for (let i = 0; i < 40; i++) assert.match(await textOf(await bucket.get('k')), /^(\d)\1{199999}$/)
  }
  await Promise.all([put(), get(), get()])
})

test('what a process that died left behind is removed at the next start, and unfinished uploads after their time', async (t) => {
  const { folder, close, at } = await open(t)
  await at('b').put({ key: 'k', bytes: 200_000 }, large('k'))
  await at('b').createUpload({ key: 'old' })
  await close()
  await mkdir(join(folder, 'b/bodies/00000007'), { recursive: true })
  for (const orphan of ['00000001/77', '00000007/0']) await writeFile(join(folder, 'b/bodies', orphan), 'left')
  const again = await open(t, { folder })
  await again.buckets.sweep()
  assert.deepEqual(await again.files(), ['b/bodies/00000001/0'])
  assert.equal(await textOf(await again.at('b').get('k')), large('k').toString())
  assert.equal(((await again.at('b').listUploads('')) as { uploads: object[] }).uploads.length, 1)
  again.time.now += defaultLimits.bucketUploadMs + 1
  await again.buckets.sweep()
  assert.deepEqual(await again.at('b').listUploads(''), { uploads: [] })
})

test('a bucket that is closed takes nothing; one that is erased leaves nothing', async (t) => {
  const { folder, buckets, at } = await open(t)
  const bucket = at('b')
  await bucket.put({ key: 'k', bytes: 1 }, Buffer.from('k'))
  assert.deepEqual(await bucket.close({ open: false }), { trouble: 'not_empty' })
  await bucket.delete(['k'])
  assert.deepEqual(await bucket.close({ open: false }), {})
  assert.deepEqual(await bucket.put({ key: 'k', bytes: 1 }, Buffer.from('k')), { trouble: 'no_bucket' })
  assert.deepEqual(await bucket.createUpload({ key: 'k' }), { trouble: 'no_bucket' })
  await bucket.close({ open: true })
  assert.ok('object' in (await bucket.put({ key: 'k', bytes: 200_000 }, large('k'))))
  await at('c').put({ key: 'k', bytes: 1 }, Buffer.from('c'))
  assert.deepEqual((await buckets.held()).toSorted(), ['b', 'c'])
  await buckets.erase('b')
  assert.deepEqual(await readdir(folder), ['c'])
  assert.deepEqual(await at('b').get('k'), { trouble: 'no_object' })
  assert.equal(await textOf(await at('c').get('k')), 'c')
})

test('more buckets than may be open at once', async (t) => {
  const { at } = await open(t, { limits: { bucketsOpen: 2 } })
  const ids = ['a', 'b', 'c', 'd', 'e']
  await Promise.all(ids.map((id) => at(id).put({ key: 'k', bytes: 1 }, Buffer.from(id))))
  for (const id of [...ids, ...ids]) assert.equal(await textOf(await at(id).get('k')), id)
})
