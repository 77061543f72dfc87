import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bucketsContract, bytes, until } from '#/fabric/fabric.contract.ts'
import { createReplicaNodes } from '../support/replica-nodes.ts'

/** Both clocks of a node go by hand. */
function createTime() {
  let now = 1_800_000_000_000
  const advance = (ms: number) => {
    now += ms
  }
  return { clock: () => now, monotonic: () => now, advance }
}

bucketsContract('replicas, alone', async (t) => {
  const time = createTime()
  const { replicas } = await createReplicaNodes(t).open('fra', 'DE', time)
  return { fabric: replicas, now: time.clock, advance: time.advance }
})

bucketsContract('replicas, with two peers that write too', async (t) => {
  const time = createTime()
  const nodes = createReplicaNodes(t)
  const [first, ...others] = [
    await nodes.open('fra', 'DE', time),
    await nodes.open('iad', 'US', time),
    await nodes.open('nrt', 'JP', time),
  ] as const
  for (const { replicas } of others) {
    await replicas.caughtUp()
    await replicas.bucket('noise').put('k', bytes('from elsewhere'))
  }
  await first.replicas.caughtUp()
  return { fabric: first.replicas, now: time.clock, advance: time.advance }
})

test('two replicas converge', async (t) => {
  const nodes = createReplicaNodes(t)
  const fra = await nodes.open('fra', 'DE')
  const iad = await nodes.open('iad', 'US')
  await fra.replicas.bucket('b').put('k', bytes('from fra'))
  await iad.replicas.bucket('b').put('other', bytes('from iad'))
  const read = async (node: typeof fra, key: string) =>
    Buffer.from((await node.replicas.bucket('b').get(key))?.value ?? []).toString()
  const shown = async () => [await read(fra, 'other'), await read(iad, 'k')]
  while ((await shown()).join() !== 'from iad,from fra') await new Promise((resolve) => setImmediate(resolve))
  await until(() =>
    fra.replicas.status().peers.every(({ theyLack, weLack }) => theyLack.operations + weLack.operations === 0),
  )
  assert.equal(fra.replicas.status().ready, true)
})
