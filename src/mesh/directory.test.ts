import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EdgeError } from '#/core/errors.ts'
import { defaultLimits } from '#/core/limits.ts'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import type { Bucket, Fabric } from '#/core/ports.ts'
import { until } from './contract.fixture.ts'
import { type NodeEntry, nodesBucket, openDirectory } from './directory.ts'
import { createPlatform, fra, iad } from './nodes.fixture.ts'

/** The same fabric, with some of its buckets' calls replaced. */
const withBucket = (fabric: Fabric, replace: (bucket: Bucket) => Partial<Bucket>): Fabric => ({
  ...fabric,
  bucket: (name) => ({ ...fabric.bucket(name), ...replace(fabric.bucket(name)) }),
})

test('what changes while the directory is read counts, not what was read', async () => {
  const fabric = createMemoryFabric(Date.now)
  const bucket = nodesBucket(fabric)
  const put = (node: string) => {
    const address = { host: '127.0.0.1', port: 1 }
    const entry: NodeEntry = { ...fra, node, address, fingerprint: 'f', version: '1', startedAt: 1, instance: 'i' }
    return bucket.put(node, Buffer.from(JSON.stringify(entry)))
  }
  await put('stays')
  await put('leaves')
  const reading = Promise.withResolvers<void>()
  const going = Promise.withResolvers<void>()
  const slow = withBucket(fabric, ({ list }) => ({
    async list(options) {
      const page = await list(options)
      reading.resolve()
      await going.promise
      return page
    },
  }))
  const opening = openDirectory({ fabric: slow, limits: defaultLimits, clock: Date.now, log: () => {} })
  await reading.promise
  await put('comes')
  await bucket.delete('leaves')
  going.resolve()
  const directory = await opening
  assert.deepEqual([...directory.nodes().keys()].sort(), ['comes', 'stays'])
  await directory.close()
})

test('a fabric that fails once, and does not say that it was away, is asked again', async (t) => {
  const { open, fabric } = await createPlatform(t)
  const two = await open(iad)
  let failures = 2
  const failOnce = async () => {
    if (failures > 0) throw new EdgeError('fabric_away', `${failures--} more`)
  }
  const flaky = withBucket(fabric, (bucket) => ({
    list: (options) => failOnce().then(() => bucket.list(options)),
    put: (key, value, options) => failOnce().then(() => bucket.put(key, value, options)),
  }))
  const limits = { ...defaultLimits, meshHelloMs: 20 }
  const one = await open(fra, { limits, fabric: { ...flaky, bucket: (name) => pick(name, fabric, flaky) } })
  await until(() => one.peers()[0]?.reachable === true && two.peers()[0]?.reachable === true)
  assert.equal(failures, 0)
})

/** Only the directory fails; without the authority a node cannot start at all. */
const pick = (name: string, fabric: Fabric, flaky: Fabric) => (name === 'nodes' ? flaky : fabric).bucket(name)
