/** KV stores on replicas: written at one point of presence, read at another. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { blobOf, createKvStores } from '#/stores/kv.ts'
import { createReplicaNodes } from '../support/replica-nodes.ts'

test('values small and of 25 MiB, with metadata and expiry, are read at another point of presence', async (t) => {
  const nodes = createReplicaNodes(t)
  const open = async (name: string, country: string) => {
    const { replicas } = await nodes.open(name, country, { blobOf })
    const kv = createKvStores({ fabric: replicas, sweepsItself: true, limits: defaultLimits, clock: Date.now })
    return { replicas, kv }
  }
  const [fra, iad] = [await open('fra', 'DE'), await open('iad', 'US')]
  await Promise.all([fra.replicas.caughtUp(), iad.replicas.caughtUp()])
  const found = async (key: string) => {
    for (;;) {
      const value = await iad.kv.get('s', key)
      if (value !== undefined) return value
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }
  const large = Buffer.alloc(25 * 1024 * 1024, 'x')
  const expiresAt = Date.now() + 3_600_000
  await fra.kv.put('s', 'large', { value: large, metadata: '{"a":1}', expiresAt })
  await fra.kv.put('s', 'small', { value: Buffer.from('v') })
  const got = await found('large')
  assert.ok(large.equals(got.value))
  assert.deepEqual([got.metadata, got.expiresAt], ['{"a":1}', expiresAt])
  assert.equal(Buffer.from((await found('small')).value).toString(), 'v')
  assert.deepEqual(
    (await iad.kv.list('s', { limit: 10 })).keys.map(({ name }) => name),
    ['large', 'small'],
  )

  // Deleted there, gone here; `expect` looks at what this node shows.
  const { revision } = await found('small')
  assert.equal(await iad.kv.delete('s', 'small', { expect: revision! }), true)
  while ((await fra.kv.get('s', 'small')) !== undefined) await new Promise((resolve) => setTimeout(resolve, 2))
  assert.deepEqual(await Array.fromAsync(fra.kv.blobsInUse()), [], 'the replicas sweep their blobs themselves')
})
