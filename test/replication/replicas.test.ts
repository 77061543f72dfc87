/** What replicas do when nodes are away, new, wiped, abroad, or have a wrong clock. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { createReplicaNodes, type ReplicaNode, temporaryFolder } from '../support/replica-nodes.ts'

const day = 86_400_000
const text = (value: Uint8Array | undefined) => value && Buffer.from(value).toString()
const read = async (node: ReplicaNode, key: string, bucket = 'b') =>
  text((await node.replicas.bucket(bucket).get(key))?.value)
const write = (node: ReplicaNode, key: string, value: string, bucket = 'b') =>
  node.replicas.bucket(bucket).put(key, Buffer.from(value))
const count = async (node: ReplicaNode, bucket = 'b') =>
  (await node.replicas.bucket(bucket).list({ limit: 100_000, keysOnly: true })).length

/** Fails by the runner's time limit. */
async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 2))
}
const even = (...nodes: ReplicaNode[]) =>
  until(() =>
    nodes.every(({ replicas }) => {
      const { ready, peers } = replicas.status()
      return ready && peers.every((peer) => !peer.reachable || peer.theyLack.operations + peer.weLack.operations === 0)
    }),
  )

/** Days that pass at once; what is measured between two moments goes on meanwhile, or no missed push would be repaired. */
const jumping = (now: () => number) => ({ clock: now, monotonic: () => now() + performance.now() })

test('a node that was cut off shows its lag, then has what it missed', async (t) => {
  const nodes = createReplicaNodes(t)
  const [fra, iad] = [await nodes.open('fra', 'DE'), await nodes.open('iad', 'US')]
  await even(fra, iad)
  nodes.meshes.cut('fra', 'iad')
  for (let i = 0; i < 50; i++) await write(fra, `k${i}`, 'v')
  await write(iad, 'mine', 'written while cut off')
  assert.equal(await count(iad), 1)
  const [peer] = fra.replicas.status().peers
  assert.equal(peer!.reachable, false)
  assert.equal(peer!.theyLack.operations, 50)
  nodes.meshes.heal('fra', 'iad')
  await iad.replicas.caughtUp()
  assert.equal(await count(iad), 51)
  await even(fra, iad)
  assert.equal(await read(fra, 'mine'), 'written while cut off')
})

test('writes are seen elsewhere one way later: none waits for an answer to those before', async (t) => {
  const nodes = createReplicaNodes(t)
  const [fra, iad] = [await nodes.open('fra', 'DE'), await nodes.open('iad', 'US')]
  await even(fra, iad)
  const { promise: back, resolve: letBack } = Promise.withResolvers<void>()
  nodes.meshes.delay = (from) => (from === 'iad' ? back : Promise.resolve())
  for (let i = 0; i < 50; i++) await write(fra, `k${i}`, 'v')
  await until(async () => (await count(iad)) === 50)
  letBack()
  await even(fra, iad)
})

test('what a dead node wrote is passed on by those who have it', async (t) => {
  const nodes = createReplicaNodes(t)
  const [fra, iad] = [await nodes.open('fra', 'DE'), await nodes.open('iad', 'US')]
  await write(fra, 'k', 'last words')
  await until(async () => (await read(iad, 'k')) !== undefined)
  await fra.stop()
  const nrt = await nodes.open('nrt', 'JP')
  await nrt.replicas.caughtUp()
  assert.equal(await read(nrt, 'k'), 'last words')
})

test('a fresh node copies everything in pages while writes go on', async (t) => {
  const nodes = createReplicaNodes(t)
  const limits = { replicationPageBytes: 20_000 }
  const fra = await nodes.open('fra', 'DE', { limits })
  await Promise.all(Array.from({ length: 5000 }, (_, i) => write(fra, `old${i}`, 'v')))
  let writing = true
  const writes = (async () => {
    let i = 0
    while (writing) await write(fra, `new${i++}`, 'v')
    return i
  })()
  const iad = await nodes.open('iad', 'US', { limits })
  await iad.replicas.caughtUp()
  assert.ok((await count(iad)) >= 5000)
  writing = false
  const written = await writes
  await even(fra, iad)
  assert.equal(await count(iad), 5000 + written)
})

test('a node that lost its disk gets all back, and its new writes count', async (t) => {
  const nodes = createReplicaNodes(t)
  const [fra, iad] = [await nodes.open('fra', 'DE'), await nodes.open('iad', 'US')]
  for (let i = 0; i < 20; i++) await write(fra, `k${i}`, 'before')
  await even(fra, iad)
  await fra.stop()
  const again = await nodes.open('fra', 'DE')
  await write(again, 'k0', 'after')
  await again.replicas.caughtUp()
  await even(again, iad)
  assert.equal(await count(again), 20)
  assert.equal(await read(iad, 'k0'), 'after')
})

test('deletes stay deleted, also for a node that was away when their tombstones went', async (t) => {
  const nodes = createReplicaNodes(t)
  let now = 1_800_000_000_000
  const clock = jumping(() => now)
  const folder = await temporaryFolder(t)
  const fra = await nodes.open('fra', 'DE', clock)
  const iad = await nodes.open('iad', 'US', { ...clock, folder })
  for (const key of ['a', 'b', 'c', 'd']) await write(fra, key, 'v')
  await write(iad, 'd2', 'v')
  await even(fra, iad)
  await iad.stop()
  for (const key of ['a', 'c', 'd2']) await fra.replicas.bucket('b').delete(key)
  now += 8 * day
  nodes.meshes.cut('fra', 'iad')
  const said: string[] = []
  const lone = await nodes.open('iad', 'US', { ...clock, folder, log: (message) => void said.push(message) })
  await write(lone, 'own', 'unseen')
  for (let i = 0; i < 5; i++) await write(fra, 'b', `later ${i}`)
  const held = async (node: ReplicaNode) => (await Array.fromAsync(node.replicas.held()))[0]!
  assert.equal((await held(fra)).tombstones, 0)
  nodes.meshes.heal('fra', 'iad')
  await lone.replicas.caughtUp()
  await even(fra, lone)
  assert.ok(said.includes('takes the whole state of a peer'))
  for (const node of [fra, lone]) {
    const keys = (await node.replicas.bucket('b').list({ limit: 10 })).map(({ key }) => key)
    assert.deepEqual(keys, ['b', 'd', 'own'], node.place.node)
  }
})

test('what expires needs no operation, and older writes of the key do not come back', async (t) => {
  const nodes = createReplicaNodes(t)
  let now = 1_800_000_000_000
  const clock = jumping(() => now)
  const [fra, iad] = [await nodes.open('fra', 'DE', clock), await nodes.open('iad', 'US', clock)]
  await even(fra, iad)
  nodes.meshes.cut('fra', 'iad')
  await write(iad, 'k', 'older')
  now += 10
  await fra.replicas.bucket('b').put('k', Buffer.from('expires'), { expiresAt: now + 1000 })
  now += 1000
  for (let i = 0; i < 5; i++) await write(fra, 'other', `${i}`)
  nodes.meshes.heal('fra', 'iad')
  now += 1000
  await fra.replicas.caughtUp()
  await iad.replicas.caughtUp()
  await even(fra, iad)
  assert.equal(await read(fra, 'k'), undefined)
  assert.equal(await read(iad, 'k'), undefined)
})

test('a value that names a blob is seen once the blob is here, at 25 MiB too', async (t) => {
  const nodes = createReplicaNodes(t)
  const [fra, iad] = [await nodes.open('fra', 'DE'), await nodes.open('iad', 'US')]
  await even(fra, iad)
  const large = Buffer.alloc(25 * 1024 * 1024, 'large')
  const { hash } = await fra.replicas.blobs.put(large)
  await write(fra, 'large', `blob:${hash}`)
  await write(fra, 'small', 'v')
  await until(async () => (await read(iad, 'large')) !== undefined)
  assert.ok(large.equals((await iad.blobs.get(hash))!))
  assert.equal(await iad.replicas.sweepBlobs(), 0)
})

test('a value whose blob is nowhere stays unseen and is seen when the blob appears', async (t) => {
  const nodes = createReplicaNodes(t)
  const [fra, iad] = [await nodes.open('fra', 'DE'), await nodes.open('iad', 'US')]
  await even(fra, iad)
  const body = Buffer.from('late')
  const { hash } = await fra.blobs.put(body)
  await fra.blobs.delete(hash)
  await write(fra, 'late', `blob:${hash}`)
  await write(fra, 'plain', 'v')
  await until(async () => (await read(iad, 'plain')) !== undefined)
  assert.equal(await read(iad, 'late'), undefined)
  await until(async () => iad.replicas.status().peers[0]!.weLack.operations > 0)
  await fra.blobs.put(body)
  await until(async () => (await read(iad, 'late')) !== undefined)
  await even(fra, iad)
})

test('a node that starts cut off with a clock an hour ahead: its writes count as made when it is met', async (t) => {
  const nodes = createReplicaNodes(t)
  const said: string[] = []
  const [iad, nrt] = [await nodes.open('iad', 'US'), await nodes.open('nrt', 'JP')]
  nodes.meshes.cut('fra', 'iad')
  nodes.meshes.cut('fra', 'nrt')
  const fra = await nodes.open('fra', 'DE', {
    clock: () => Date.now() + 3_600_000,
    log: (message) => void said.push(message),
  })
  await write(fra, 'k', 'from an hour ahead')
  nodes.meshes.heal('fra', 'iad')
  nodes.meshes.heal('fra', 'nrt')
  await fra.replicas.caughtUp()
  await even(fra, iad, nrt)
  assert.ok(Math.abs(fra.replicas.status().clockCorrectionMs + 3_600_000) < 1000)
  assert.ok(Math.abs(iad.replicas.status().peers.find(({ node }) => node === 'fra')!.skewMs! - 3_600_000) < 1000)
  assert.ok(said.some((one) => one.includes('put back')))
  // Later writes win, of nodes that saw it and, a moment after it was met, of a node that did not.
  await new Promise((resolve) => setTimeout(resolve, 20))
  nodes.meshes.cut('fra', 'iad')
  nodes.meshes.cut('iad', 'nrt')
  await write(iad, 'k', 'later')
  nodes.meshes.heal('fra', 'iad')
  nodes.meshes.heal('iad', 'nrt')
  await until(async () => (await read(fra, 'k')) === 'later' && (await read(nrt, 'k')) === 'later')
})

test('a write in the very moment in which somebody is met is told with the stamp that it keeps', async (t) => {
  const nodes = createReplicaNodes(t)
  // The second write still waits to be sent while the first greeting puts it back.
  const limits = { replicationPushMs: 300 }
  const [iad, nrt] = [await nodes.open('iad', 'US'), await nodes.open('nrt', 'JP')]
  nodes.meshes.cut('fra', 'iad')
  nodes.meshes.cut('fra', 'nrt')
  const fra = await nodes.open('fra', 'DE', { limits, clock: () => Date.now() + 3_600_000 })
  await write(fra, 'first', 'v')
  await new Promise((resolve) => setTimeout(resolve, 20))
  await write(fra, 'k', 'from an hour ahead')
  nodes.meshes.cut('iad', 'nrt')
  nodes.meshes.heal('fra', 'iad')
  await until(async () => (await read(iad, 'k')) !== undefined)
  await new Promise((resolve) => setTimeout(resolve, 400))
  await write(nrt, 'k', 'later')
  nodes.meshes.heal('iad', 'nrt')
  nodes.meshes.heal('fra', 'nrt')
  await until(async () => (await read(fra, 'k')) === 'later' && (await read(iad, 'k')) === 'later')
})

test('SIGKILL in the middle of writes: all that was acknowledged is there', async (t) => {
  const folder = await temporaryFolder(t)
  const script = join(import.meta.dirname, 'write-until-killed.child.ts')
  const acknowledged: string[] = []
  for (const [round, lines] of [40, 900, 300].entries()) {
    const child = spawn(process.execPath, [script, folder, `${round}`], { stdio: ['ignore', 'pipe', 'inherit'] })
    let printed = ''
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      printed += chunk
      if (printed.split('\n').length > lines) child.kill('SIGKILL')
    })
    await once(child, 'close')
    assert.equal(child.signalCode, 'SIGKILL')
    acknowledged.push(...printed.split('\n').slice(0, -1))
    const node = await createReplicaNodes(t).open('fra', 'DE', { folder })
    for (const key of acknowledged) assert.equal(await read(node, key), key)
    await node.stop()
    const database = new DatabaseSync(join(folder, 'replicas', 'replicas.db'))
    assert.equal(Object.values(database.prepare('PRAGMA integrity_check').get()!)[0], 'ok')
    database.close()
  }
})

test('what has countries never reaches a node elsewhere; a change of them moves it', async (t) => {
  const nodes = createReplicaNodes(t)
  const within = new Map<string, readonly string[]>([['secret', ['DE', 'FR']]])
  const withinOf = (bucket: string) => within.get(bucket)
  const fra = await nodes.open('fra', 'DE', { withinOf })
  const par = await nodes.open('par', 'FR', { withinOf })
  const iad = await nodes.open('iad', 'US', { withinOf })
  const bytesOf = async (node: ReplicaNode) => {
    const file = join(node.folder, 'replicas', 'replicas.db')
    return Buffer.concat([await readFile(file), await readFile(`${file}-wal`)]).toString('latin1')
  }
  assert.throws(() => iad.replicas.bucket('secret'), { code: 'not_here' })
  const body = Buffer.from('a blob of the secret')
  const { hash } = await fra.replicas.blobs.put(body)
  await write(fra, 'blob-key', `blob:${hash}`, 'secret')
  await write(fra, 'secret-key', 'secret-value', 'secret')
  await write(fra, 'open-key', 'open-value', 'open')
  await even(fra, par, iad)
  assert.equal(await read(par, 'secret-key', 'secret'), 'secret-value')
  assert.equal(await read(iad, 'open-key', 'open'), 'open-value')
  assert.doesNotMatch(await bytesOf(iad), /secret/)
  assert.equal(await iad.replicas.blobs.get(hash), undefined, 'nobody gives it away')
  assert.ok(body.equals((await par.blobs.get(hash))!))

  // Fewer: gone from the disk of whoever may not hold it any more, kept by the rest.
  within.set('secret', ['DE'])
  assert.deepEqual(await par.replicas.recheck(), { moved: [], removed: ['secret'], kept: [] })
  assert.deepEqual(await fra.replicas.recheck(), { moved: ['secret'], removed: [], kept: [] })
  await iad.replicas.recheck()
  assert.doesNotMatch(await bytesOf(par), /secret/)
  assert.equal(await par.blobs.has(hash), false)
  await assert.rejects(async () => par.replicas.bucket('secret'), { code: 'not_here' })
  await write(fra, 'secret-later', 'v', 'secret')
  await even(fra, par, iad)
  assert.doesNotMatch(await bytesOf(par), /secret/)
  assert.deepEqual(
    (await Array.fromAsync(fra.replicas.held())).map(({ bucket, within: countries, keys }) => [
      bucket,
      countries,
      keys,
    ]),
    [
      ['open', undefined, 1],
      ['secret', ['DE'], 3],
    ],
  )

  // More: everybody gets it, whoever hears of the change first.
  within.delete('secret')
  for (const node of [iad, fra, par]) await node.replicas.recheck()
  await until(async () => (await read(iad, 'secret-key', 'secret')) === 'secret-value')
  await until(async () => (await count(par, 'secret')) === 3 && (await count(iad, 'secret')) === 3)
  await even(fra, par, iad)
})
