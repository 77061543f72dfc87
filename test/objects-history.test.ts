/**
 * One Durable Object asked from three nodes while links are cut, the fabric is away, clocks jump as after a pause, and cells
 * are stopped and killed: the history of what was acknowledged is that of one counter.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { bodyText } from '#/engines/workerd/engine-stage.ts'
import { until } from '#/engines/workerd/own-cells-for-tests.ts'
import { faultOf, type Increment } from './support/counter-history.ts'
import { openPopsStage, type PopsStage } from './support/pops-stage.ts'
import { createRandom } from './support/seeded-random.ts'

const op = (invoked: number, completed: number, value?: number): Increment => ({
  invoked,
  completed,
  by: 'a',
  ...(value !== undefined && { value }),
})

test('the checker knows histories of one counter from others', () => {
  const good: Increment[][] = [
    [],
    [op(0, 1, 1), op(2, 3, 2)],
    [op(0, 5, 2), op(1, 4, 1)],
    [op(0, 1), op(2, 3, 2)],
    [op(0, 1, 1), op(2, 9), op(3, 4, 3), op(5, 6, 4)],
    [op(0, 1), op(2, 3)],
  ]
  for (const history of good) assert.equal(faultOf(history), undefined, JSON.stringify(history))
  const bad: [Increment[], RegExp][] = [
    [[op(0, 1, 1), op(2, 3, 1)], /1 was acknowledged twice/],
    [[op(0, 1, 2), op(2, 3, 1), op(0, 9)], /1 .*|2 .* was answered before 1/],
    [[op(0, 1, 1), op(2, 3, 3)], /nobody can have made it 2/],
    [[op(0, 1, 1), op(2, 3, 3), op(4, 5)], /nobody can have made it 2/],
    [[op(0, 1, 3), op(0, 9)], /nobody can have made it 2/],
    [[op(0, 1, 5), op(2, 3, 1), op(0, 9), op(0, 9), op(0, 9)], /5 .*|1 /],
  ]
  for (const [history, why] of bad) assert.match(faultOf(history) ?? 'none', why, JSON.stringify(history))
})

const program = {
  name: 'tally',
  modules: {
    'main.js': `
import { DurableObject } from 'cloudflare:workers'
export class Counter extends DurableObject {
  async add() { const n = ((await this.ctx.storage.get('n')) ?? 0) + 1; await this.ctx.storage.put('n', n); return n }
}
export default { async fetch(request, env) {
  return new Response(String(await env.COUNTER.getByName(new URL(request.url).pathname).add()))
} }`,
  },
  bindings: [{ kind: 'objects', name: 'COUNTER', className: 'Counter' }],
  objects: [{ className: 'Counter', key: 'k1', storage: 'sqlite' }],
} as const

/** Asks until `over`, one after the other. */
async function client(
  pops: PopsStage,
  node: string,
  path: string,
  over: AbortSignal,
  count: { acknowledged: number },
): Promise<Increment[]> {
  const history: Increment[] = []
  while (!over.aborted) {
    const invoked = performance.now()
    const answer = await pops.nodes[node]!.stage.fetch('tally', path, { method: 'POST' }).then(bodyText, () => '')
    const value = /^\d+$/.test(answer) ? { value: Number(answer) } : {}
    history.push({ invoked, completed: performance.now(), by: node, ...value })
    if (value.value === undefined) await pause(5)
    else count.acknowledged++
  }
  return history
}

type Fault = (pops: PopsStage, random: () => number) => Promise<void>

const names = ['fra', 'iad', 'nrt']
const pick = <Value>(list: readonly Value[], random: () => number): Value => list[Math.floor(random() * list.length)]!

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    // It ended in between.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

const faults: readonly Fault[] = [
  async function linkCut({ meshes }, random) {
    const one = pick(names, random)
    const other = pick(
      names.filter((name) => name !== one),
      random,
    )
    meshes.cut(one, other)
    await pause(80)
    meshes.heal(one, other)
  },
  async function fabricAway({ fabric }, random) {
    const node = pick(names, random)
    fabric.cut(node)
    await pause(100)
    fabric.heal(node)
  },
  async function pausedNode({ nodes, fabric }, random) {
    const node = pick(names, random)
    fabric.cut(node)
    // It wakes, and its lease has been over for a minute; no timer has rung yet.
    nodes[node]!.ahead += 60_000
    await pause(60)
    fabric.heal(node)
  },
  async function stoppedCell({ nodes }, random) {
    const [pid] = nodes[pick(names, random)]!.stage.ownPids()
    if (pid === undefined) return
    signal(pid, 'SIGSTOP')
    await pause(120)
    signal(pid, 'SIGCONT')
  },
  async function killedCell({ nodes }, random) {
    const [pid] = nodes[pick(names, random)]!.stage.ownPids()
    if (pid !== undefined) signal(pid, 'SIGKILL')
  },
]

test('never two that acknowledge', { timeout: 60_000 }, async () => {
  const pops = await openPopsStage(['fra:DE', 'iad:US', 'nrt:JP'], { nodeLeaseRenewMs: 50 })
  const over = new AbortController()
  try {
    await pops.add(program)
    const count = { acknowledged: 0 }
    const clients = ['/one', '/two'].flatMap((path) =>
      names.flatMap((node) => [1, 2].map(() => client(pops, node, path, over.signal, count))),
    )
    const random = createRandom(20_261_123)
    const schedule = [...faults, ...Array.from({ length: 15 }, () => pick(faults, random))]
    for (const fault of schedule) {
      await fault(pops, random)
      // Each fault is over, and they go on.
      const before = count.acknowledged
      await until(() => count.acknowledged > before + 30, 20_000).catch((error) => {
        throw new Error(`after ${fault.name}`, { cause: error })
      })
    }
    over.abort()
    const histories = await Promise.all(clients)
    for (const half of [histories.slice(0, 6).flat(), histories.slice(6).flat()]) {
      assert.equal(faultOf(half), undefined)
      const acknowledged = half.filter(({ value }) => value !== undefined)
      assert.ok(acknowledged.length < half.length, 'no fault was felt')
      for (const node of names) assert.ok(acknowledged.some(({ by }) => by === node))
    }
  } finally {
    over.abort()
    await pops.close()
  }
})
