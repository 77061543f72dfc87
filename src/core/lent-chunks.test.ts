import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Readable, Writable } from 'node:stream'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type ChunkShelf, createChunkShelf, lendFrom, pour } from './lent-chunks.ts'

test('a chunk that was given back is taken again, one that is still read is not', () => {
  const shelf = createChunkShelf(8, 1)
  const [first, second] = [shelf.take(), shelf.take()]
  assert.notEqual(first, second)
  shelf.giveBack(first.subarray(2, 4))
  shelf.giveBack(first)
  assert.equal(shelf.take(), first)
  assert.notEqual(shelf.take(), first)
  shelf.giveBack(Buffer.from('of somebody else'))
  assert.equal(shelf.take().length, 8)
})

/** Chunks that wait on the shelf, by references that keep nothing. */
function usedOnce(shelf: ChunkShelf, count: number): WeakRef<Buffer>[] {
  const chunks = Array.from({ length: count }, () => shelf.take())
  for (const chunk of chunks) shelf.giveBack(chunk)
  return chunks.map((chunk) => new WeakRef(chunk))
}

test('chunks that wait go with the garbage, and others come in their place', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const shelf = createChunkShelf(8, 3)
  const waiting = usedOnce(shelf, 3)
  // A reference that was made or followed keeps its object until then.
  await new Promise((resolve) => setImmediate(resolve))
  collect()
  assert.deepEqual(
    waiting.map((chunk) => chunk.deref()),
    [undefined, undefined, undefined],
  )
  assert.equal(shelf.take().length, 8)
})

test('a piece keeps its chunk, which is used again as a whole', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const shelf = createChunkShelf(8, 3)
  const piece = shelf.take().subarray(0, 2)
  await new Promise((resolve) => setImmediate(resolve))
  collect()
  shelf.giveBack(piece)
  const again = shelf.take()
  assert.equal(again.buffer, piece.buffer)
  assert.equal(again.length, 8)
})

/** A body of `count` chunks of 4 bytes, each filled with its number. */
function lentBody(count: number) {
  const shelf = createChunkShelf(4, 2)
  const memory = new Set<ArrayBufferLike>()
  let number = 0
  const body = new Readable({
    highWaterMark: 8,
    read() {
      const chunk = number < count ? shelf.take() : null
      if (chunk !== null) memory.add(chunk.buffer)
      this.push(chunk?.fill(number++) ?? null)
    },
  })
  lendFrom(body, shelf)
  return { body, memory }
}

/** Keeps a chunk for a while before it looks at it, as a socket does. */
function slowTarget(seen: number[]) {
  return new Writable({
    highWaterMark: 8,
    write(chunk: Buffer, _, done) {
      setImmediate(() => {
        seen.push(...chunk)
        done()
      })
    },
  })
}

test('a body that lends arrives whole out of few chunks', async () => {
  const seen: number[] = []
  const { body, memory } = lentBody(200)
  body.unshift(Buffer.from([255]))
  const target = slowTarget(seen)
  pour(body, target)
  await once(target, 'finish')
  const wanted = Array.from({ length: 200 }, (_, number) => [number, number, number, number])
  assert.deepEqual(seen, [255, ...wanted.flat()])
  assert.ok(memory.size < 10, `${memory.size} chunks`)
})

test('whoever breaks off takes the other along', async () => {
  const left = lentBody(1e6)
  const target = slowTarget([])
  pour(left.body, target)
  setImmediate(() => target.destroy())
  await once(left.body, 'close')
  const broken = lentBody(1e6)
  const other = slowTarget([])
  pour(broken.body, other)
  setImmediate(() => broken.body.destroy(new Error('broken')))
  await once(other, 'close')
  assert.equal(other.writableFinished, false)
})
