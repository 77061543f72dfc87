/** What a bucket's owner asks of it, in the store: locks, age, and queues that are told. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { bucketAt } from '#/core/bucket-calls.ts'
import { type BucketNotice, bucketSettingsOf } from '#/core/bucket-settings.ts'
import { isTroubled } from '#/core/buckets.ts'
import { EdgeError } from '#/core/errors.ts'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import { openBuckets } from './open-buckets.ts'

const day = 86_400

async function open(t: TestContext, given: object, options: { folder?: string; limits?: Partial<Limits> } = {}) {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'rimward-settings-')))
  const time = { now: Date.parse('2026-11-01T00:00:00Z') }
  const state = { settings: bucketSettingsOf({ settings: given as never }), away: false }
  const told: [string, BucketNotice['action'], string][] = []
  const whole: BucketNotice[] = []
  const buckets = await openBuckets({
    ...{ folder, clock: () => time.now, log: () => {}, settings: () => state.settings },
    limits: { ...defaultLimits, bucketPartBytes: 1, bucketNoticeRetryMs: 5, ...options.limits },
    async notify(_bucket, queue, notices) {
      if (queue === 'gone') throw new EdgeError('store_unknown', 'There is no such queue.')
      if (state.away) throw new EdgeError('peer_away', 'The queue is away.')
      whole.push(...notices)
      for (const { action, object } of notices) told.push([queue, action, object.key])
    },
  })
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= buckets.close()
    return closing
  }
  t.after(async () => {
    await close()
    await rm(folder, { recursive: true, force: true })
  })
  const bucket = bucketAt({ call: (call) => buckets.handler(call) }, 'b')
  const put = async (key: string) => bucket.put({ key, bytes: key.length }, Buffer.from(key))
  const keys = async () => {
    const page = await bucket.list({})
    assert.ok(!isTroubled(page))
    return page.objects.map(({ key }) => key)
  }
  return { folder, time, state, told, whole, buckets, bucket, put, keys, close }
}

test('what a rule locks is neither overwritten nor deleted until its time', async (t) => {
  const lock = [
    { id: 'age', enabled: true, prefix: 'logs/', condition: { type: 'Age', maxAgeSeconds: day } },
    { id: 'date', enabled: true, prefix: 'until/', condition: { type: 'Date', date: '2026-11-05' } },
    { id: 'ever', enabled: true, prefix: 'ever/', condition: { type: 'Indefinite' } },
    { id: 'off', enabled: false, condition: { type: 'Indefinite' } },
  ]
  const { time, bucket, put, keys } = await open(t, { lock })
  const all = ['ever/a', 'free', 'logs/a', 'until/a']
  for (const key of all) assert.ok(!isTroubled(await put(key)), key)
  const locked = async () => {
    const found: string[] = []
    for (const key of all) {
      const again = await put(key)
      if (isTroubled(again)) found.push(`${key} ${again.trouble}`)
    }
    return found
  }
  assert.deepEqual(await locked(), ['ever/a locked', 'logs/a locked', 'until/a locked'])
  const upload = await bucket.createUpload({ key: 'logs/a' })
  assert.ok(!isTroubled(upload))
  const part = await bucket.putPart(
    { key: 'logs/a', uploadId: upload.uploadId, number: 1, bytes: 3 },
    Buffer.from('new'),
  )
  assert.ok(!isTroubled(part))
  const complete = () => bucket.completeUpload('logs/a', upload.uploadId, [{ number: 1, etag: part.etag }])
  assert.deepEqual(await complete(), { trouble: 'locked' })
  assert.deepEqual(await bucket.delete(all), { locked: ['ever/a', 'logs/a', 'until/a'] })
  time.now += day * 1000
  assert.ok(!isTroubled(await complete()), 'an upload waits for the lock')
  time.now += 4 * day * 1000
  assert.deepEqual(await bucket.delete(all), { locked: ['ever/a'] })
  assert.deepEqual(await keys(), ['ever/a'])
})

test('objects and uploads go when they reach their age, locked ones stay', async (t) => {
  const lifecycle = [
    {
      id: 'old',
      enabled: true,
      conditions: { prefix: 'logs/' },
      deleteObjectsTransition: { condition: { type: 'Age', maxAge: day } },
      abortMultipartUploadsTransition: { condition: { type: 'Age', maxAge: day } },
    },
    {
      id: 'date',
      enabled: true,
      conditions: { prefix: 'until/' },
      deleteObjectsTransition: { condition: { type: 'Date', date: '2026-11-03T00:00:00Z' } },
      storageClassTransitions: [{ condition: { type: 'Age', maxAge: day }, storageClass: 'InfrequentAccess' }],
    },
  ]
  const lock = [{ id: 'l', enabled: true, prefix: 'logs/kept', condition: { type: 'Indefinite' } }]
  const { time, buckets, bucket, put, keys } = await open(t, { lifecycle, lock })
  for (const key of ['free', 'logs/kept', 'logs/old', 'until/a']) await put(key)
  for (let index = 0; index < 30; index++) await put(`logs/${index}`)
  const begun = [await bucket.createUpload({ key: 'logs/up' }), await bucket.createUpload({ key: 'other' })]
  assert.ok(begun.every((one) => !isTroubled(one)))
  await buckets.sweep()
  assert.equal((await keys()).length, 34)
  time.now += day * 1000
  await put('logs/new')
  await buckets.sweep()
  assert.deepEqual(await keys(), ['free', 'logs/kept', 'logs/new', 'until/a'])
  const head = await bucket.head('until/a')
  assert.equal(!isTroubled(head) && head.object.storageClass, 'InfrequentAccess')
  const left = await bucket.listUploads('')
  assert.deepEqual(!isTroubled(left) && left.uploads.map(({ key }) => key), ['other'])
  time.now += day * 1000
  await buckets.sweep()
  assert.deepEqual(await keys(), ['free', 'logs/kept'])
})

const rule = (actions: string[], more: object = {}) => ({ ruleId: 'r', createdAt: '', actions, ...more })
async function settled(told: readonly unknown[], count: number): Promise<void> {
  while (told.length < count) await new Promise((resolve) => setTimeout(resolve, 2))
}

test('queues are told of what their rules name, whenever they can be reached again', async (t) => {
  const notices = [
    { queue: 'made', rules: [rule(['PutObject', 'CopyObject', 'CompleteMultipartUpload'], { suffix: '.jpg' })] },
    { queue: 'gone', rules: [rule(['PutObject'])] },
    { queue: 'less', rules: [rule(['DeleteObject', 'LifecycleDeletion'], { prefix: 'a' })] },
  ]
  const first = await open(t, { notices })
  await first.put('a.jpg')
  await first.put('b.txt')
  await first.bucket.delete(['a.jpg', 'b.txt', 'absent'])
  const copyOf = { bucket: 'other', object: 'it' }
  await first.bucket.put({ key: 'c.jpg', bytes: 2, copyOf }, Buffer.from('cc'))
  await settled(first.told, 3)
  assert.deepEqual(first.told.toSorted(), [
    ['less', 'DeleteObject', 'a.jpg'],
    ['made', 'CopyObject', 'c.jpg'],
    ['made', 'PutObject', 'a.jpg'],
  ])
  assert.deepEqual(
    first.whole.find(({ action }) => action === 'CopyObject'),
    {
      action: 'CopyObject',
      object: { key: 'c.jpg', size: 2, eTag: 'e0323a9039add2978bf5b49550572c7c' },
      eventTime: '2026-11-01T00:00:00.000Z',
      copySource: copyOf,
    },
  )
  first.state.away = true
  for (let index = 0; index < 120; index++) await first.put(`${index}.jpg`)
  await first.close()
  // What was not told lies on disk; who comes next tells it.
  const { told } = await open(t, { notices }, { folder: first.folder })
  await settled(told, 120)
  assert.equal(new Set(told.map(([, , key]) => key)).size, 120)
})

test('what a queue that takes nothing leaves behind is bounded', async (t) => {
  const notices = [{ queue: 'made', rules: [rule(['PutObject'])] }]
  const { state, told, put } = await open(t, { notices }, { limits: { bucketNotices: 10 } })
  state.away = true
  for (let index = 0; index < 30; index++) await put(`${index}`)
  state.away = false
  await settled(told, 10)
  assert.ok(told.length <= 10)
})
