/**
 * One measurement of the cache's store in a process of its own, printed as JSON:
 *
 *   node --expose-gc bench/store-process.ts memory|zipf|disk|tiers COUNT_OR_ALPHA
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDiskStore } from '../src/cache/disk/disk-store.ts'
import { createMemoryStore } from '../src/cache/memory/memory-store.ts'
import type { StoredHead } from '../src/cache/store.ts'
import { createCacheStore } from '../src/cache/two-tiers.ts'
import { createBoundedCache } from '../src/core/bounded-cache.ts'
import { defaultLimits } from '../src/core/limits.ts'

const MiB = 1024 * 1024

/** The head of an ordinary page: eleven fields, two tags. */
function headOf(i: number): StoredHead {
  const url = `https://www.shop.example/products/category/item-${i}?page=2`
  return {
    key: `https www.shop.example /products/category/item-${i}?page=2`,
    variant: 'gzip',
    vary: ['accept-encoding'],
    url,
    status: 200,
    headers: [
      ...['content-type', 'text/html; charset=utf-8', 'content-length', '1024', 'content-encoding', 'gzip'],
      ...['cache-control', 'public, max-age=3600, stale-while-revalidate=60', 'vary', 'Accept-Encoding'],
      ...['etag', `"5f3e${i.toString(16).padStart(12, '0')}"`, 'last-modified', 'Mon, 02 Nov 2026 10:11:12 GMT'],
      ...['date', 'Mon, 23 Nov 2026 06:28:04 GMT', 'server', 'nginx', 'x-request-id', `r-${i}-8d7f6a5b4c3d`],
      ...['strict-transport-security', 'max-age=31536000'],
    ],
    tags: [`item-${i}`, 'products'],
    scope: 'shop',
    requestedAt: 1_795_415_284_000 + i,
    receivedAt: 1_795_415_284_020 + i,
    sequence: 17,
    policy: { fresh: 3600, swr: 60, why: 'max-age' },
  }
}

/** CPU time of this thread for each call in µs: whoever shares the machine does not count. */
function measure(count: number, run: (i: number) => unknown): number {
  const before = process.threadCpuUsage()
  for (let i = 0; i < count; i++) run(i)
  const { user, system } = process.threadCpuUsage(before)
  return (user + system) / count
}

/** Bytes of the process for each of so many objects of 1 KiB, and what finding one costs in µs. */
function memory(count: number): object {
  const body = Buffer.alloc(1024, 7)
  const warm = createMemoryStore({ bytes: 16 * MiB, limits: defaultLimits })
  for (let i = 0; i < 20_000; i++) warm.put(headOf(i), body)
  for (let i = 0; i < 20_000; i++) warm.find(headOf(i).key)[0]?.head
  globalThis.gc!()
  const before = process.memoryUsage()
  const store = createMemoryStore({ bytes: 1024 * MiB, limits: defaultLimits })
  const put = measure(count, (i) => store.put(headOf(i), body))
  globalThis.gc!()
  globalThis.gc!()
  const after = process.memoryUsage()
  // Keys as they come from requests: made anew, but hashed once only, as V8 keeps the hash with the string.
  const keys = Array.from({ length: 10_000 }, (_, i) => headOf(i * 7).key)
  const found = (key: string): unknown => {
    const answer = store.find(key)[0]!
    return answer.head.status + answer.bytes()!.length
  }
  const cold = measure(keys.length, (i) => found(keys[i]!))
  const hot = measure(1_000_000, (i) => found(keys[i % keys.length]!))
  const heap = after.heapUsed - before.heapUsed
  const buffers = after.arrayBuffers - before.arrayBuffers
  return {
    heapPerObject: heap / count,
    buffersPerObject: buffers / count,
    perObject: (heap + buffers) / count,
    residentPerObject: (after.rss - before.rss) / count,
    saidPerObject: store.size.memoryBytes / count,
    entries: store.size.entries,
    putMicroseconds: put,
    findParsedAnewMicroseconds: cold,
    findMicroseconds: hot,
  }
}

/** Ranks by Zipf's law, from a fixed seed. */
function createZipf(objects: number, alpha: number): () => number {
  const sums = new Float64Array(objects)
  let sum = 0
  for (let rank = 0; rank < objects; rank++) {
    sum += 1 / (rank + 1) ** alpha
    sums[rank] = sum
  }
  let state = 42
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    const wanted = (state / 2 ** 32) * sum
    let low = 0
    let high = objects - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (sums[middle]! < wanted) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** Hit ratios of the store and of LRU with as many bytes, one in ten of all objects fitting. */
function zipf(alpha: number): object {
  const objects = 50_000
  const requests = 1_000_000
  const mixed = Number(process.argv[4] ?? 0) === 1
  const sizeOf = (i: number): number => (mixed ? 200 + ((i * 7919) % 4000) : 1024)
  const heads = createMemoryStore({ bytes: 512 * MiB, limits: defaultLimits })
  const sample = 20_000
  const empty = heads.size.memoryBytes
  for (let i = 0; i < sample; i++) heads.put(headOf(i), Buffer.alloc(sizeOf(i)))
  const each = (heads.size.memoryBytes - empty) / sample
  const bytes = Math.round((objects / 10) * each)
  const store = createMemoryStore({ bytes, limits: defaultLimits })
  const average = mixed ? 2200 : 1024
  const lru = createBoundedCache<true>(bytes)
  const next = createZipf(objects, alpha)
  let hits = 0
  let lruHits = 0
  for (let i = 0; i < requests; i++) {
    const object = next()
    const head = headOf(object)
    const counts = i >= requests / 5
    if (store.find(head.key).length > 0) hits += counts ? 1 : 0
    else store.put(head, Buffer.alloc(sizeOf(object)))
    if (lru.get(head.key) === true) lruHits += counts ? 1 : 0
    else lru.put(head.key, true, each - average + sizeOf(object))
  }
  const counted = (requests * 4) / 5
  return { alpha, mixed, hitRatio: hits / counted, lruHitRatio: lruHits / counted, entries: store.size.entries }
}

/** Objects a second to disk and back, and how long a restart takes. */
async function disk(count: number): Promise<object> {
  const folder = mkdtempSync(join(tmpdir(), 'rimward-store-'))
  const body = Buffer.alloc(1024, 7)
  const open = () =>
    createDiskStore({ folder, bytes: 8 * 1024 * MiB, limits: defaultLimits, clock: Date.now, log: console.error })
  try {
    const first = await open()
    const putStart = performance.now()
    const cpu = process.cpuUsage()
    for (let i = 0; i < count; i++) {
      while (!first.put(headOf(i), body)) await new Promise(setImmediate)
    }
    await first.settled()
    const putSeconds = (performance.now() - putStart) / 1000
    const putCpu = process.cpuUsage(cpu)
    await first.close()
    const startedAt = performance.now()
    const second = await open()
    const startMs = performance.now() - startedAt
    const finds = Math.min(count, 50_000)
    const findStart = performance.now()
    let found = 0
    for (let i = 0; i < finds; i += 16)
      for (const all of await Promise.all(
        Array.from({ length: 16 }, (_, n) => second.find(headOf(((i + n) * 7919) % count).key)),
      ))
        found += all.length
    const findSeconds = (performance.now() - findStart) / 1000
    const absent = measure(200_000, (i) => second.find(`absent ${i}`))
    const sweepStart = performance.now()
    const removed = await second.removeWhere(({ tags }) => tags.includes('item-5'))
    const sweepMs = performance.now() - sweepStart
    const result = {
      count,
      entries: second.size.entries,
      diskPerObject: second.size.diskBytes / count,
      putsPerSecond: count / putSeconds,
      putCpuMicroseconds: (putCpu.user + putCpu.system) / count,
      startMs,
      indexPerObject: second.size.memoryBytes / second.size.entries,
      findsPerSecond: finds / findSeconds,
      found: found / finds,
      absentMicroseconds: absent,
      sweepMs,
      removed,
    }
    await second.close()
    return result
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What a hit in memory costs in µs when a disk stands below. */
async function tiers(count: number): Promise<object> {
  const folder = mkdtempSync(join(tmpdir(), 'rimward-store-'))
  try {
    const sizes = { memoryBytes: 256 * MiB, diskBytes: 1024 * MiB }
    const store = await createCacheStore({
      folder,
      ...sizes,
      limits: defaultLimits,
      clock: Date.now,
      log: console.error,
    })
    const putStart = performance.now()
    for (let i = 0; i < count; i++) {
      const writer = store.open(headOf(i), 1024)!
      writer.write(Buffer.alloc(1024, 7))
      await writer.finish()
    }
    const putMicroseconds = ((performance.now() - putStart) * 1000) / count
    const keys = Array.from({ length: Math.min(count, 10_000) }, (_, i) => headOf(i).key)
    let there = 0
    const findMicroseconds = measure(1_000_000, (i) => {
      const found = store.find(keys[i % keys.length]!)
      if (Array.isArray(found)) there += found[0]!.head.status === 200 ? 1 : 0
    })
    await store.close()
    return { putMicroseconds, findMicroseconds, there }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const [mode, argument] = process.argv.slice(2)
const run = { memory, zipf, disk, tiers }[mode as 'memory' | 'zipf' | 'disk' | 'tiers']
console.log(JSON.stringify(await run(Number(argument))))
