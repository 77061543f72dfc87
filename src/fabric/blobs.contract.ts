/** The half of the fabric's contract that is about blobs; run by `fabricContract`. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import type { Blobs } from '#/core/ports.ts'
import { bytes, type OpenFabric } from './fabric.contract.ts'

const sha256 = (value: Uint8Array): string => createHash('sha256').update(value).digest('hex')
const unknown = 'f'.repeat(64)

/** Bytes that differ everywhere, so that a shifted block shows. */
function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 17) & 255)
}

async function* inChunks(value: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < value.length; at += size) yield value.subarray(at, at + size)
}

async function collect(blobs: Blobs, hash: string, range?: { start: number; end: number }): Promise<Buffer> {
  return Buffer.concat(await (await blobs.stream(hash, range))!.toArray())
}

export function blobsContract(open: OpenFabric): void {
  test('a blob comes back whole, from bytes and from a stream', async (t) => {
    const { fabric } = await open(t)
    for (const length of [0, 1, 65_535, 65_536, 65_537, 300_000, 1_000_003]) {
      const value = pattern(length)
      const stored = await fabric.blobs.put(value)
      assert.deepEqual(stored, { hash: sha256(value), bytes: length })
      assert.deepEqual(await fabric.blobs.put(inChunks(value, 9_973)), stored)
      assert.ok(Buffer.from(value).equals((await fabric.blobs.get(stored.hash))!), `get ${length}`)
      assert.ok((await collect(fabric.blobs, stored.hash)).equals(value), `stream ${length}`)
    }
  })

  test('an unknown blob is undefined, whatever its name', async (t) => {
    const { fabric } = await open(t)
    for (const hash of [unknown, '', '../../fabric.db', 'ff', unknown.toUpperCase()]) {
      assert.equal(await fabric.blobs.get(hash), undefined)
      assert.equal(await fabric.blobs.stream(hash), undefined)
      assert.equal(await fabric.blobs.has(hash), false)
      await fabric.blobs.delete(hash)
    }
  })

  test('a range is inclusive and cut to what there is', async (t) => {
    const { fabric } = await open(t)
    const value = Buffer.from(pattern(400_000))
    const { hash } = await fabric.blobs.put(value)
    const cases: [number, number][] = [
      [0, 0],
      [0, 65_535],
      [65_535, 65_536],
      [65_536, 131_071],
      [100_000, 399_999],
      [399_999, 399_999],
      [399_990, 999_999],
      [400_000, 400_001],
    ]
    for (const [start, end] of cases)
      assert.ok((await collect(fabric.blobs, hash, { start, end })).equals(value.subarray(start, end + 1)), `${start}`)
  })

  test('a stream that was left early is no trouble', async (t) => {
    const { fabric } = await open(t)
    const { hash } = await fabric.blobs.put(pattern(2_000_000))
    const unread = (await fabric.blobs.stream(hash))!
    unread.destroy()
    for await (const chunk of (await fabric.blobs.stream(hash))!) {
      assert.ok(chunk.length > 0)
      break
    }
  })

  test('a source that fails leaves nothing', async (t) => {
    const { fabric } = await open(t)
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield pattern(100_000)
      throw new Error('client went away')
    }
    await assert.rejects(fabric.blobs.put(broken()), /client went away/)
    for await (const blob of fabric.blobs.list()) assert.fail(`found ${blob.hash}`)
  })

  test('a flipped bit is an error, never served; storing again repairs', async (t) => {
    const { fabric, damage } = await open(t)
    const value = Buffer.from(pattern(200_000))
    const { hash } = await fabric.blobs.put(value)
    await damage(hash, 150_000)
    await assert.rejects(fabric.blobs.get(hash), /damaged/)
    await assert.rejects(collect(fabric.blobs, hash), /damaged/)
    await assert.rejects(collect(fabric.blobs, hash, { start: 140_000, end: 140_001 }), /damaged/)
    // What is whole may still be served.
    assert.ok((await collect(fabric.blobs, hash, { start: 0, end: 9 })).equals(value.subarray(0, 10)))
    await fabric.blobs.put(value)
    assert.ok(value.equals((await fabric.blobs.get(hash))!))
  })

  test('has, list and delete', async (t) => {
    const { fabric, now } = await open(t)
    const first = await fabric.blobs.put(bytes('first'))
    const second = await fabric.blobs.put(bytes('second!'))
    const listed = await Array.fromAsync(fabric.blobs.list())
    assert.deepEqual(
      listed.map(({ hash, bytes }) => `${hash} ${bytes}`).sort(),
      [first, second].map(({ hash, bytes }) => `${hash} ${bytes}`).sort(),
    )
    for (const { storedAt } of listed) assert.ok(Math.abs(storedAt - now()) <= 1)
    await fabric.blobs.delete(first.hash)
    assert.equal(await fabric.blobs.has(first.hash), false)
    assert.equal(await fabric.blobs.has(second.hash), true)
    assert.equal((await Array.fromAsync(fabric.blobs.list())).length, 1)
  })

  test('a blob that was put or asked for again is young', async (t) => {
    const { fabric, advance, now } = await open(t)
    const blobs = await Promise.all(['put', 'asked', 'old'].map((name) => fabric.blobs.put(bytes(name))))
    const start = now()
    advance(86_400_000)
    await fabric.blobs.put(bytes('put'))
    assert.equal(await fabric.blobs.has(blobs[1]!.hash), true)
    for (const { hash } of blobs) await fabric.blobs.delete(hash, { storedBefore: start + 1000 })
    assert.deepEqual(await Promise.all(blobs.map(({ hash }) => fabric.blobs.has(hash))), [true, true, false])
  })

  test('many at once, the same and different ones', async (t) => {
    const { fabric } = await open(t)
    const values = Array.from({ length: 24 }, (_, i) => pattern(50_000 + (i % 6)))
    const stored = await Promise.all(values.map((value) => fabric.blobs.put(value)))
    for (const [i, { hash }] of stored.entries()) assert.equal(hash, sha256(values[i]!))
    assert.equal((await Array.fromAsync(fabric.blobs.list())).length, 6)
  })
}
