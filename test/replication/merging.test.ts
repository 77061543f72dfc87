/** A property of the whole: whatever is cut, delayed or wrong with the clocks, the nodes end with one state. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { EdgeError } from '#/core/errors.ts'
import { createReplicaNodes, type ReplicaNode } from '../support/replica-nodes.ts'
import { createRandom } from '../support/seeded-random.ts'

interface Write {
  readonly node: number
  readonly key: string
  /** Absent: a delete. */
  readonly value: string | undefined
  /** What the node showed for the key right before. */
  readonly over: string | undefined
}

const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']

async function shown(node: ReplicaNode): Promise<string> {
  const entries = await node.replicas.bucket('b').list({ limit: 100 })
  return entries.map(({ key, value }) => `${key}=${Buffer.from(value)}`).join(' ')
}

/** Waits until all show the same and nobody lacks anything. */
async function converge(nodes: readonly ReplicaNode[]): Promise<string> {
  const end = performance.now() + 60_000
  for (;;) {
    const states = await Promise.all(nodes.map(shown))
    const lags = nodes.flatMap((node) =>
      node.replicas.status().peers.map(({ theyLack, weLack }) => theyLack.operations + weLack.operations),
    )
    if (
      new Set(states).size === 1 &&
      lags.every((lag) => lag === 0) &&
      nodes.every((node) => node.replicas.status().ready)
    )
      return states[0]!
    if (performance.now() > end)
      throw new Error(inspect([states, nodes.map(({ replicas }) => replicas.status())], { depth: 6 }))
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

async function story(t: Parameters<typeof createReplicaNodes>[0], seed: number): Promise<void> {
  const random = createRandom(seed)
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)]!
  const cluster = createReplicaNodes(t)
  let loss = 0.1
  cluster.meshes.delay = async () => {
    await new Promise((resolve) => setTimeout(resolve, random() * 6))
    if (random() < loss) throw new EdgeError('peer_away', 'Lost on its way.')
  }
  const names = ['fra', 'iad', 'nrt']
  const nodes = await Promise.all(names.map((name) => cluster.open(name, 'DE')))
  const writes: Write[] = []
  const links = [
    ['fra', 'iad'],
    ['iad', 'nrt'],
    ['fra', 'nrt'],
  ] as const
  /** Values that a node showed, in order, for each key. */
  const history = nodes.map(() => new Map<string, string[]>())
  let count = 0

  async function look(index: number, key: string): Promise<string | undefined> {
    const entry = await nodes[index]!.replicas.bucket('b').get(key)
    const value = entry && Buffer.from(entry.value).toString()
    const seen = history[index]!.get(key) ?? []
    if (value !== undefined && seen.at(-1) !== value) seen.push(value)
    history[index]!.set(key, seen)
    return value
  }

  /** Cut off from all when it starts, so that its clock, which may be an hour off, is corrected by nobody. */
  async function restart(index: number): Promise<void> {
    const { folder, stop } = nodes[index]!
    await stop()
    for (const [one, other] of links) if (one === names[index] || other === names[index]) cluster.meshes.cut(one, other)
    const off = pick([0, 3_600_000, -3_600_000])
    nodes[index] = await cluster.open(names[index]!, 'DE', { folder, clock: () => Date.now() + off })
  }

  async function write(index: number, key: string): Promise<void> {
    const bucket = nodes[index]!.replicas.bucket('b')
    const over = await look(index, key)
    const value = random() < 0.2 ? undefined : `${names[index]}-${count++}`
    if (value === undefined) {
      if (await bucket.delete(key)) writes.push({ node: index, key, value, over })
      return
    }
    await bucket.put(key, Buffer.from(value))
    writes.push({ node: index, key, value, over })
    const read = await look(index, key)
    // Read your writes, unless somebody's later one came in between; that may be a delete, and nothing was there before.
    if (over !== undefined) assert.notEqual(read, over, `${seed}: own write is read`)
  }

  /** Each key once a node: its writes of one key are in order. */
  async function burst(): Promise<void> {
    const chosen = nodes.flatMap((_, index) => keys.filter(() => random() < 0.2).map((key) => [index, key] as const))
    await Promise.all(chosen.map(([index, key]) => write(index, key)))
  }

  for (let step = 0; step < 120; step++) {
    const dice = random()
    const [one, other] = pick(links)
    if (dice < 0.1) cluster.meshes.cut(one, other)
    else if (dice < 0.3) cluster.meshes.heal(one, other)
    else if (dice < 0.33) await restart(Math.floor(random() * nodes.length))
    else if (dice < 0.37) pick(nodes).skew((random() - 0.5) * 2 * 3_600_000)
    else if (dice < 0.6) await new Promise((resolve) => setTimeout(resolve, random() * 12))
    else await burst()
  }
  for (const [one, other] of links) cluster.meshes.heal(one, other)
  loss = 0
  await converge(nodes)
  await judge(seed, nodes, writes, history)
  await Promise.all(nodes.map((node) => node.stop()))
}

async function judge(
  seed: number,
  nodes: readonly ReplicaNode[],
  writes: readonly Write[],
  history: readonly ReadonlyMap<string, readonly string[]>[],
): Promise<void> {
  for (const key of keys) {
    const of = writes.filter((write) => write.key === key)
    const entry = await nodes[0]!.replicas.bucket('b').get(key)
    const final = entry && Buffer.from(entry.value).toString()
    // The last acknowledged write of some node stands: a write that its own node replaced never comes back.
    const lasts = nodes
      .map((_, index) => of.findLast((write) => write.node === index))
      .filter((write) => write !== undefined)
    if (of.length > 0)
      assert.ok(
        lasts.some((write) => write.value === final),
        `${seed} ${key}: ${final} is nobody's last write`,
      )
    // A write never loses to what its node showed when it was made.
    assert.ok(
      !of.some((write) => write.over !== undefined && write.over === final),
      `${seed} ${key}: ${final} came back`,
    )
  }
  // Monotonic: no node shows a value again after it showed another.
  for (const [index, values] of history.entries())
    for (const [key, seen] of values)
      assert.equal(new Set(seen).size, seen.length, `${seed}: node ${index} went back on ${key}: ${seen}`)
}

for (let seed = 1; seed <= 8; seed++)
  test(`three nodes, random cuts, delays and clocks (seed ${seed})`, (t) => story(t, seed))
