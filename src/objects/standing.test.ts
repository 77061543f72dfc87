import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { createCutFabric } from './cut-fabric.fixture.ts'
import { createStanding, type RunningStanding } from './standing.ts'

const limits = { ...defaultLimits, nodeLeaseMs: 1000, nodeLeaseMarginMs: 200, nodeLeaseRenewMs: 250 }

/** A world with a clock of its own: nothing happens but by `run`. */
function openWorld() {
  let now = 0
  const turns: { at: number; run: () => void; node: string }[] = []
  /** Until when a node's process is stopped; what it should have done meanwhile it does when it wakes. */
  const asleep = new Map<string, number>()
  const fabric = createCutFabric(() => now)
  const settle = async () => {
    for (let index = 0; index < 10; index++) await new Promise(setImmediate)
  }
  const world = {
    fabric,
    get now() {
      return now
    },
    asleep,
    later: (node: string) => (run: () => void, delay: number) => {
      const turn = { at: now + delay, run, node }
      turns.push(turn)
      return () => {
        const index = turns.indexOf(turn)
        if (index >= 0) turns.splice(index, 1)
      }
    },
    wait: (node: string, delay: number) => new Promise<void>((resolve) => world.later(node)(resolve, delay)),
    open: (node: string, process = node): RunningStanding =>
      createStanding({
        fabric: fabric.view(process),
        node,
        limits,
        monotonic: () => now,
        later: world.later(process),
        log: () => {},
      }),
    /** Goes on by so many ms, and calls `look` after each thing that happened. */
    async run(forMs: number, look = () => {}) {
      const end = now + forMs
      await settle()
      look()
      for (;;) {
        const due = (turn: (typeof turns)[number]) => Math.max(turn.at, asleep.get(turn.node) ?? 0)
        const [next] = turns.toSorted((one, other) => due(one) - due(other))
        if (next === undefined || due(next) > end) break
        now = Math.max(now, due(next))
        turns.splice(turns.indexOf(next), 1)
        next.run()
        await settle()
        look()
      }
      now = end
      await settle()
      look()
    },
  }
  return world
}

test('it stands while it is renewed, ends a margin early when it cannot be, and comes back', async () => {
  const world = openWorld()
  const standing = world.open('fra')
  const told: (number | undefined)[] = []
  standing.onChange((epoch) => told.push(epoch))
  await world.run(5000)
  assert.equal(standing.epoch(), 1)
  world.fabric.cut('fra')
  await world.run(540)
  assert.equal(standing.epoch(), 1)
  await world.run(261)
  assert.equal(standing.epoch(), undefined)
  assert.deepEqual(told, [1, undefined])
  world.fabric.heal('fra')
  await world.run(10)
  assert.equal(standing.epoch(), 1, 'nobody had it in between')
  world.fabric.cut('fra')
  await world.run(5000)
  world.fabric.heal('fra')
  await world.run(1300)
  assert.equal(standing.epoch(), 2, 'it had run out')
  await standing.close()
  assert.deepEqual(told, [1, undefined, 1, undefined, 2, undefined])
})

test('a process that wakes after its lease knows so before any timer rings', async () => {
  const world = openWorld()
  const standing = world.open('fra')
  await world.run(400)
  world.asleep.set('fra', 60_000)
  await world.run(30_000)
  assert.equal(standing.epoch(), undefined)
  await world.run(31_000)
  assert.equal(standing.epoch(), 2)
  await standing.close()
})

test('an answer that took long says nothing of the time it took', async () => {
  const world = openWorld()
  world.fabric.delay = (process) => world.wait(process, 600)
  const standing = world.open('fra')
  await world.run(1300)
  assert.equal(
    standing.epoch(),
    undefined,
    'granted at 600, it may be over at 1600; asked for at 0, it was over at 800',
  )
  world.fabric.delay = async () => {}
  await world.run(3000)
  assert.notEqual(standing.epoch(), undefined)
  await standing.close()
})

test('closing gives the lease to the next at once', async () => {
  const world = openWorld()
  const first = world.open('fra', 'one')
  await world.run(100)
  const second = world.open('fra', 'two')
  await world.run(100)
  assert.deepEqual([first.epoch(), second.epoch()], [1, undefined])
  await first.close()
  assert.equal(first.epoch(), undefined)
  await world.run(300)
  assert.equal(second.epoch(), 2)
  await second.close()
})

/** Park and Miller's minimal standard generator. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 48271) % 2147483647
    return state / 2147483647
  }
}

for (const seed of [1, 2, 3, 4, 5])
  test(`two processes that take themselves for one node never stand together (${seed})`, async () => {
    const world = openWorld()
    const random = randomFrom(seed * 7919)
    // Answers that take long make a lease look younger than it is to who counts from the answer.
    world.fabric.delay = (process) => world.wait(process, random() < 0.1 ? random() * 1500 : random() * 20)
    const processes = ['one', 'two', 'three']
    const standings = processes.map((process) => world.open('fra', process))
    const holders = new Set<number>()
    let stood = 0
    const look = () => {
      const standing = standings.flatMap((one, index) => (one.epoch() === undefined ? [] : [index]))
      assert.ok(standing.length <= 1, `${standing.map((index) => processes[index])} stand at ${world.now}`)
      if (standing[0] !== undefined) holders.add(standing[0])
      stood += standing.length
    }
    for (let round = 0; round < 300; round++) {
      const process = processes[Math.floor(random() * 3)]!
      const chance = random()
      if (chance < 0.3) world.fabric.cut(process)
      else if (chance < 0.7) world.fabric.heal(process)
      else if (chance < 0.85) world.asleep.set(process, world.now + random() * 3000)
      await world.run(random() * 600, look)
    }
    assert.ok(holders.size > 1 && stood > 300, `${holders.size} holders, stood ${stood} times`)
    for (const process of processes) world.fabric.heal(process)
    world.asleep.clear()
    world.fabric.delay = async () => {}
    for (const one of standings) await one.close()
  })
