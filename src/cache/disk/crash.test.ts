import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { bodyOf, headOf, pattern, put } from '../store.contract.ts'
import { createDiskStore, type DiskStore } from './disk-store.ts'

const MiB = 1024 * 1024
const child = (name: string): string => join(import.meta.dirname, `${name}.child.ts`)

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-cache-crash-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

async function openStore(t: TestContext, folder: string, bytes = 64 * MiB): Promise<DiskStore> {
  const store = await createDiskStore({ folder, bytes, limits: defaultLimits, clock: Date.now, log: () => {} })
  t.after(() => store.close())
  return store
}

/** Everything below the folder, in bytes. */
async function bytesIn(folder: string): Promise<number> {
  let sum = 0
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) sum += (await stat(join(entry.parentPath, entry.name))).size
  return sum
}

test('after a restart everything is warm, and what was removed is not', async (t) => {
  const folder = await temporaryFolder(t)
  const first = await openStore(t, folder)
  for (let i = 0; i < 500; i++) await put(first, headOf(`k${i}`), pattern(i % 10 === 0 ? 100_000 : 1000, i))
  for (let i = 0; i < 500; i += 5) first.remove((await first.find(`k${i}`))[0]!)
  const [stored] = await first.find('k7')
  await first.refresh(stored!, headOf('k7', { receivedAt: 77 }))
  await first.close()
  const second = await openStore(t, folder)
  assert.equal(second.size.entries, 400)
  for (let i = 0; i < 500; i++) {
    const found = await second.find(`k${i}`)
    assert.equal(found.length, i % 5 === 0 ? 0 : 1)
    for (const answer of found) assert.ok(pattern(i % 10 === 0 ? 100_000 : 1000, i).equals(await bodyOf(answer)))
  }
  assert.equal((await second.find('k7'))[0]!.head.receivedAt, 77)
  assert.ok(Math.abs((await bytesIn(folder)) - second.size.diskBytes) < 2 * MiB)
  await second.close()
})

test('SIGKILL again and again: every answer is right or a miss, and most are there', async (t) => {
  const folder = await temporaryFolder(t)
  for (const [round, lines] of [4, 16, 8].entries()) {
    const args = [child('store-until-killed'), folder, `${24 * MiB}`, `${round}`]
    const writer = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let printed = ''
    writer.stdout.setEncoding('utf8').on('data', (text) => {
      printed += text
      if (printed.split('\n').length > lines) writer.kill('SIGKILL')
    })
    await once(writer, 'close')
    assert.equal(writer.signalCode, 'SIGKILL')
    const store = await openStore(t, folder, 24 * MiB)
    let found = 0
    for (let key = 0; key < 2000; key++)
      for (const answer of await store.find(`k${key}`)) {
        const stamp = answer.head.receivedAt
        const step = stamp % 1_000_000
        assert.equal(answer.head.key, `k${key}`)
        assert.equal((step * 7919) % 2000, key)
        assert.ok(pattern(step % 13 === 0 ? 150_000 : step % 3000, stamp).equals(await bodyOf(answer)))
        found++
      }
    assert.ok(found > 50, `${found} found after ${lines} lines`)
    assert.ok((await bytesIn(folder)) < 25 * MiB)
    await store.close()
  }
})

test('a full disk: it stops storing and goes on serving, and stores again when it may', async (t) => {
  const folder = await temporaryFolder(t)
  // 2 MiB a file (ulimit counts in 512 bytes, POSIX): the write fails as on a full disk, without a disk of our own.
  const command = ['-c', 'ulimit -f 4096; exec "$0" "$@"', process.execPath, child('fill-the-disk'), folder]
  const run = spawnSync('sh', command, { encoding: 'utf8' })
  assert.equal(run.status, 0, run.stderr)
  assert.deepEqual(JSON.parse(run.stdout), {
    kept: true,
    refused: true,
    servedWhileFull: true,
    large: false,
    again: true,
    servedAfter: true,
    said: true,
  })
})

async function flip(file: string, at: number): Promise<void> {
  const handle = await open(file, 'r+')
  const byte = Buffer.alloc(1)
  await handle.read(byte, 0, 1, at)
  byte[0] = byte[0]! ^ 16
  await handle.write(byte, 0, 1, at)
  await handle.close()
}

test('a flipped byte is a miss, and of a large body nothing behind it is handed out', async (t) => {
  const folder = await temporaryFolder(t)
  const store = await openStore(t, folder)
  await put(store, headOf('small'), pattern(1000))
  await put(store, headOf('next'), pattern(1000, 1))
  await put(store, headOf('large'), pattern(500_000))
  await flip(join(folder, 'segments', '1'), 700)
  assert.deepEqual(await store.find('small'), [])
  assert.equal(store.has('small'), false)
  assert.equal((await store.find('next')).length, 1)

  await flip(join(folder, 'bodies', '1'), 400_000)
  const [large] = await store.find('large')
  assert.ok(pattern(300_000).equals(await bodyOf(large!, { start: 0, end: 299_999 })), 'what is whole may be served')
  let received = 0
  await assert.rejects(async () => {
    for await (const chunk of large!.stream()) received += chunk.length
  }, /damaged/)
  assert.ok(received <= 393_216, `${received}`)
  assert.deepEqual(await store.find('large'), [])
})

test('files that are lost, cut, or from nowhere are no trouble', async (t) => {
  const folder = await temporaryFolder(t)
  const first = await openStore(t, folder)
  for (let i = 0; i < 100; i++) await put(first, headOf(`k${i}`), pattern(i % 2 === 0 ? 1000 : 100_000, i))
  await first.close()
  await writeFile(join(folder, 'segments', '999'), 'from nowhere')
  await writeFile(join(folder, 'bodies', '999'), 'from nowhere')
  await rm(join(folder, 'bodies', '3'))
  const segment = await open(join(folder, 'segments', '1'), 'r+')
  await segment.truncate(30_000)
  await segment.close()
  const second = await openStore(t, folder)
  let found = 0
  for (let i = 0; i < 100; i++)
    for (const answer of await second.find(`k${i}`)) {
      found++
      assert.ok(pattern(i % 2 === 0 ? 1000 : 100_000, i).equals(await bodyOf(answer)))
    }
  assert.ok(found > 20 && found < 60, `${found}`)
  assert.deepEqual((await readdir(join(folder, 'segments'))).includes('999'), false)
  await second.close()
})

test('a damaged index is a cold start', async (t) => {
  const folder = await temporaryFolder(t)
  const first = await openStore(t, folder)
  await put(first, headOf('k'), pattern(1000))
  await first.close()
  await writeFile(join(folder, 'index.db'), Buffer.alloc(50_000, 7))
  const second = await openStore(t, folder)
  assert.deepEqual(await second.find('k'), [])
  await put(second, headOf('k'), pattern(1000))
  await second.close()
  const third = await openStore(t, folder)
  assert.equal((await third.find('k')).length, 1)
  await third.close()
})

test('a folder that is in use is refused', async (t) => {
  const folder = await temporaryFolder(t)
  const store = await openStore(t, folder)
  await assert.rejects(openStore(t, folder), { code: 'folder_in_use' })
  await store.close()
})
