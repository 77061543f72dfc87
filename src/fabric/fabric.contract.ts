/**
 * What every fabric must do: an implementation is done when it passes. Blobs have their own half in
 * `blobs.contract.ts`.
 */
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import type { Change, Fabric, Lease } from '#/core/ports.ts'
import { blobsContract } from './blobs.contract.ts'

export interface OpenedFabric {
  readonly fabric: Fabric
  /** Moves the clock that was handed to the fabric. */
  advance(ms: number): void
  now(): number
  /** Flips one bit of a stored blob, behind the fabric's back. */
  damage(hash: string, position: number): Promise<void>
}

/** `open` gives an empty fabric and cleans up with `t.after`; the suite closes the fabric itself only in its close test. */
export type OpenFabric = (t: TestContext) => Promise<OpenedFabric>

export type OpenBuckets = (
  t: TestContext,
) => Promise<Pick<OpenedFabric, 'advance' | 'now'> & { readonly fabric: Pick<Fabric, 'bucket'> }>

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (value: Uint8Array): string => new TextDecoder().decode(value)

/** Resolves when `condition` holds; fails by the runner's time limit, never by luck. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

export function fabricContract(name: string, open: OpenFabric): void {
  describe(`${name}: a fabric`, () => {
    bucketContract(open)
    expiryContract(open)
    listContract(open)
    watchContract(open)
    blobsContract(open)
    messagesContract(open)
    leaseContract(open)

    test('close finishes what was asked for; later writes are refused', async (t) => {
      const { fabric } = await open(t)
      const writes = Array.from({ length: 50 }, (_, i) => fabric.bucket('b').put(`k${i}`, bytes('v')))
      await Promise.all([fabric.close(), fabric.close()])
      for (const write of writes) assert.ok((await write)! > 0)
      await assert.rejects(fabric.bucket('b').put('late', bytes('v')))
    })
  })
}

/** The half about buckets, for what keeps buckets without being a fabric. */
export function bucketsContract(name: string, open: OpenBuckets): void {
  describe(`${name}: buckets`, () => {
    bucketContract(open)
    expiryContract(open)
    listContract(open)
    watchContract(open)
  })
}

function bucketContract(open: OpenBuckets): void {
  test('a bucket gives back what was put, byte for byte', async (t) => {
    const { fabric } = await open(t)
    const bucket = fabric.bucket('b')
    const all = Uint8Array.from({ length: 256 }, (_, i) => i)
    const cases: [string, Uint8Array][] = [
      ['k', bytes('v')],
      ['empty', new Uint8Array()],
      ['every byte', all],
      ['a view', all.subarray(10, 20)],
      ['pooled', Buffer.from('small')],
      ['ключ/鍵/🔑 %2F\n\0', bytes('v')],
      ['large', new Uint8Array(1_000_000).fill(7)],
    ]
    assert.equal(await bucket.get('k'), undefined)
    for (const [key, value] of cases) await bucket.put(key, value)
    for (const [key, value] of cases) {
      const entry = await bucket.get(key)
      assert.equal(entry?.key, key)
      assert.deepEqual(Buffer.from(entry.value), Buffer.from(value), key)
      assert.equal('expiresAt' in entry, false)
    }
    assert.equal(await fabric.bucket('other').get('k'), undefined)
  })

  test('the value is what it was when put was called', async (t) => {
    const { fabric } = await open(t)
    const value = bytes('before')
    const put = fabric.bucket('b').put('k', value)
    value.fill(0)
    await put
    assert.equal(text((await fabric.bucket('b').get('k'))!.value), 'before')
  })

  test('keys and values beyond their limits are refused', async (t) => {
    const { fabric } = await open(t)
    for (const key of ['', 'k'.repeat(1153), 'é'.repeat(577), '\ud800'])
      await assert.rejects(fabric.bucket('b').put(key, bytes('v')), { name: 'EdgeError' }, key.slice(0, 9))
    await assert.rejects(fabric.bucket('b').put('k', new Uint8Array(8 * 1024 * 1024 + 1)), { code: 'body_too_large' })
  })

  test('revisions grow, across deletes and across keys', async (t) => {
    const { fabric } = await open(t)
    const bucket = fabric.bucket('b')
    const first = (await bucket.put('a', bytes('1')))!
    const second = (await bucket.put('b', bytes('1')))!
    assert.ok(first > 0 && second > first)
    assert.equal(await bucket.delete('a'), true)
    const third = (await bucket.put('a', bytes('2')))!
    assert.ok(third > second)
    assert.equal((await bucket.get('a'))!.revision, third)
  })

  test('`expect` writes only on that revision', async (t) => {
    const { fabric } = await open(t)
    const bucket = fabric.bucket('b')
    assert.equal(await bucket.put('k', bytes('x'), { expect: 7 }), undefined)
    const first = (await bucket.put('k', bytes('1'), { expect: 0 }))!
    assert.equal(await bucket.put('k', bytes('x'), { expect: 0 }), undefined)
    const second = (await bucket.put('k', bytes('2'), { expect: first }))!
    assert.equal(await bucket.put('k', bytes('x'), { expect: first }), undefined)
    assert.equal(await bucket.delete('k', { expect: first }), false)
    assert.equal(text((await bucket.get('k'))!.value), '2')
    assert.equal(await bucket.delete('k', { expect: second }), true)
    assert.equal(await bucket.delete('k'), false)
    assert.equal(await bucket.get('k'), undefined)
  })

  test('of many who expect the same, one wins', async (t) => {
    const { fabric } = await open(t)
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, i) => fabric.bucket('b').put('k', bytes(`${i}`), { expect: 0 })),
    )
    assert.equal(results.filter((revision) => revision !== undefined).length, 1)
  })

  test('writes to one key keep their order', async (t) => {
    const { fabric } = await open(t)
    await Promise.all(Array.from({ length: 100 }, (_, i) => fabric.bucket('b').put('k', bytes(`${i}`))))
    assert.equal(text((await fabric.bucket('b').get('k'))!.value), '99')
  })
}

function expiryContract(open: OpenBuckets): void {
  test('an expired entry is not there: for get, list, expect and delete', async (t) => {
    const { fabric, advance, now } = await open(t)
    const bucket = fabric.bucket('b')
    const expiresAt = now() + 1000
    const revision = (await bucket.put('k', bytes('v'), { expiresAt }))!
    await bucket.put('stays', bytes('v'))
    assert.equal((await bucket.get('k'))!.expiresAt, expiresAt)
    advance(999)
    assert.equal((await bucket.list({ limit: 10 })).length, 2)
    advance(1)
    assert.equal(await bucket.get('k'), undefined)
    assert.deepEqual(
      (await bucket.list({ limit: 10 })).map((entry) => entry.key),
      ['stays'],
    )
    assert.equal(await bucket.delete('k', { expect: revision }), false)
    assert.equal(await bucket.delete('k'), false)
    assert.equal(await bucket.put('k', bytes('x'), { expect: revision }), undefined)
    assert.ok((await bucket.put('k', bytes('new'), { expect: 0 }))! > revision)
    assert.equal('expiresAt' in (await bucket.get('k'))!, false)
  })
}

function listContract(open: OpenBuckets): void {
  test('a list is in the order of UTF-8 bytes, by prefix, after a key, up to a limit', async (t) => {
    const { fabric } = await open(t)
    const bucket = fabric.bucket('b')
    // U+FF5E sorts before U+1F511 by bytes, behind it by UTF-16 units.
    const keys = ['', 'a', 'a/', 'a/1', 'a/10', 'a/2', 'a0', 'b', 'z', 'é', '～', '🔑', '🔑a'].slice(1)
    for (const key of keys.toReversed()) await bucket.put(key, bytes(`value of ${key}`))
    await fabric.bucket('bb').put('a/elsewhere', bytes('v'))
    const names = async (options: Parameters<typeof bucket.list>[0]) =>
      (await bucket.list(options)).map((entry) => entry.key)

    assert.deepEqual(await names({ limit: 100 }), keys)
    assert.deepEqual(await names({ limit: 2 }), ['a', 'a/'])
    assert.deepEqual(await names({ limit: 100, prefix: 'a/' }), ['a/', 'a/1', 'a/10', 'a/2'])
    assert.deepEqual(await names({ limit: 2, prefix: 'a/', after: 'a/1' }), ['a/10', 'a/2'])
    assert.deepEqual(await names({ limit: 9, prefix: 'a/', after: 'b' }), [])
    assert.deepEqual(await names({ limit: 9, prefix: 'a/', after: 'A' }), ['a/', 'a/1', 'a/10', 'a/2'])
    assert.deepEqual(await names({ limit: 9, prefix: '🔑' }), ['🔑', '🔑a'])
    assert.deepEqual(await names({ limit: 9, after: 'é' }), ['～', '🔑', '🔑a'])
    assert.deepEqual(await names({ limit: 9, prefix: 'nothing' }), [])
  })

  test('a list gives values whole, cut or left out', async (t) => {
    const { fabric } = await open(t)
    const bucket = fabric.bucket('b')
    const revision = await bucket.put('k', bytes('a longer value'))
    const value = async (options: object) => text((await bucket.list({ limit: 1, ...options }))[0]!.value)
    assert.equal(await value({}), 'a longer value')
    assert.equal(await value({ valueBytes: 8 }), 'a longer')
    assert.equal(await value({ valueBytes: 99 }), 'a longer value')
    assert.equal(await value({ keysOnly: true }), '')
    assert.equal((await bucket.list({ limit: 1, keysOnly: true }))[0]!.revision, revision)
  })

  test('all of a bucket in one go is what its pages say: nothing deleted, nothing expired, large values whole', async (t) => {
    const { fabric, now, advance } = await open(t)
    const bucket = fabric.bucket('b')
    if (bucket.all === undefined) return t.skip('pages of a list cost no more')
    for (let index = 0; index < 150; index++) await bucket.put(`k ${index}`, bytes(`v${index}`))
    await bucket.put('k 3', bytes('again'))
    await bucket.put('large', Buffer.alloc(300_000, 'x'))
    await bucket.put('gone', bytes('v'))
    await bucket.delete('gone')
    await bucket.put('short', bytes('v'), { expiresAt: now() + 10 })
    await fabric.bucket('bb').put('elsewhere', bytes('v'))
    advance(11)
    type Entries = Awaited<ReturnType<typeof bucket.list>>
    const byKey = (entries: Entries) => new Map(entries.map((one) => [one.key, [one.revision, text(one.value)]]))
    for (const keysOnly of [false, true]) {
      const listed = byKey(await bucket.list({ limit: 1_000, keysOnly }))
      assert.equal(listed.size, 151)
      // A server that follows may not have the last write yet.
      let all = byKey([])
      for (let attempt = 0; attempt < 100 && !isDeepStrictEqual(all, listed); attempt++)
        all = byKey(await Array.fromAsync(bucket.all({ keysOnly })))
      assert.deepEqual(all, listed)
    }
  })
}

function watchContract(open: OpenBuckets): void {
  test('a watch hears later changes under its prefix, in order, until it is ended', async (t) => {
    const { fabric } = await open(t)
    const bucket = fabric.bucket('b')
    await bucket.put('a/0', bytes('before'))
    const heard: Change[] = []
    const end = bucket.watch('a/', (change) => heard.push(change))
    const revision = await bucket.put('a/1', bytes('v'))
    await bucket.put('b/1', bytes('elsewhere'))
    await fabric.bucket('bb').put('a/1', bytes('elsewhere'))
    await bucket.put('a/1', bytes('refused'), { expect: 0 })
    await bucket.delete('a/1')
    await bucket.delete('a/1')
    await bucket.put('a/2', bytes('w'))
    await until(() => heard.length === 3)
    assert.deepEqual(
      heard.map((change) => (change.kind === 'put' ? `${change.entry.key}=${text(change.entry.value)}` : change.key)),
      ['a/1=v', 'a/1', 'a/2=w'],
    )
    const [first] = heard
    assert.equal(first?.kind === 'put' && first.entry.revision, revision)
    end()
    await bucket.put('a/3', bytes('unheard'))
    let later = 0
    bucket.watch('', () => later++)
    await bucket.put('a/4', bytes('marker'))
    await until(() => later === 1)
    assert.equal(heard.length, 3)
  })

  test('a throwing or rejecting listener harms nobody', async (t) => {
    const { fabric } = await open(t)
    const bucket = fabric.bucket('b')
    let heard = 0
    bucket.watch('', () => {
      throw new Error('listener')
    })
    bucket.watch('', async () => {
      throw new Error('async listener')
    })
    bucket.watch('', () => heard++)
    await bucket.put('k', bytes('1'))
    await bucket.put('k', bytes('2'))
    await until(() => heard === 2)
  })
}

function messagesContract(open: OpenFabric): void {
  test('a message reaches those who subscribed to its topic, and nobody else', async (t) => {
    const { fabric } = await open(t)
    const heard: string[] = []
    const end = fabric.subscribe('a', (message) => heard.push(`1:${text(message)}`))
    fabric.subscribe('a', () => {
      throw new Error('listener')
    })
    fabric.subscribe('a', (message) => heard.push(`2:${text(message)}`))
    fabric.subscribe('b', (message) => heard.push(`b:${text(message)}`))
    const message = bytes('x')
    fabric.publish('a', message)
    message.fill(0)
    await until(() => heard.length === 2)
    end()
    fabric.publish('a', bytes('y'))
    fabric.publish('nobody', bytes('z'))
    await until(() => heard.length === 3)
    assert.deepEqual(heard, ['1:x', '2:x', '2:y'])
  })
}

function leaseContract(open: OpenFabric): void {
  test('a lease has one holder; epochs grow with each', async (t) => {
    const { fabric, advance } = await open(t)
    const first = (await fabric.lease('l', 1000))!
    assert.equal(await fabric.lease('l', 1000), undefined)
    assert.ok(await fabric.lease('another', 1000))
    advance(900)
    assert.equal(await first.renew(), true)
    advance(900)
    assert.equal(await fabric.lease('l', 1000), undefined)
    advance(100)
    const second = (await fabric.lease('l', 1000))!
    assert.ok(second.epoch > first.epoch)
    assert.equal(await first.renew(), false)
    await first.release()
    assert.equal(await second.renew(), true)
    await second.release()
    assert.equal(await second.renew(), false)
    const third = (await fabric.lease('l', 1000))!
    assert.ok(third.epoch > second.epoch)
    advance(1000)
    assert.equal(await third.renew(), false)
  })

  test('of many who ask at once, one holds it', async (t) => {
    const { fabric } = await open(t)
    const leases = await Promise.all(Array.from({ length: 10 }, () => fabric.lease('l', 1000)))
    assert.equal(leases.filter((lease): lease is Lease => lease !== undefined).length, 1)
  })
}
