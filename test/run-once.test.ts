/** One of several nodes runs a task, through pauses and a fabric out of reach; a checker reads what was done when. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Run, type RunOnceParts, runOnce } from '#/control/run-once.ts'
import { EdgeError } from '#/core/errors.ts'
import { defaultLimits } from '#/core/limits.ts'
import type { Fabric } from '#/core/ports.ts'
import { openSqliteFabric } from '#/fabric/sqlite/fabric.ts'
import { createRandom } from './support/seeded-random.ts'

const ttl = 1000

interface Effect {
  readonly node: number
  readonly epoch: number
  readonly at: number
}

/** Time by hand: waits of a paused node end when it goes on, late. */
function createTime() {
  let now = 1_800_000_000_000
  const waiting = new Set<{ readonly node: number; readonly due: number; readonly end: () => void }>()
  const paused = new Set<number>()
  let open = 0
  return {
    now: () => now,
    paused,
    /** Time stands still until it has answered. */
    async asking<Result>(work: () => Promise<Result>): Promise<Result> {
      open += 1
      try {
        return await work()
      } finally {
        open -= 1
      }
    },
    wait: (node: number) => (ms: number, signal: AbortSignal) =>
      new Promise<void>((resolve) => {
        const one = { node, due: now + ms, end: done }
        function done() {
          waiting.delete(one)
          signal.removeEventListener('abort', done)
          resolve()
        }
        waiting.add(one)
        signal.addEventListener('abort', done)
        if (signal.aborted) done()
      }),
    async step(ms: number) {
      now += ms
      for (const one of waiting) if (one.due <= now && !paused.has(one.node)) one.end()
      // What was set off comes to rest: the fabric answers from a thread, and answers set off more.
      for (let quiet = 0; quiet < 5; quiet = open > 0 ? 0 : quiet + 1)
        await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

async function story(t: TestContext, seed: number): Promise<readonly Effect[]> {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-once-'))
  const time = createTime()
  const limits = defaultLimits
  const fabric = await openSqliteFabric({ folder, clock: time.now, limits })
  t.after(async () => {
    await fabric.close()
    await rm(folder, { recursive: true })
  })
  const random = createRandom(seed)
  const away = new Set<number>()
  const history: Effect[] = []

  const fabricOf = (node: number): Pick<Fabric, 'lease'> => {
    const reach = <Result>(work: () => Promise<Result>) =>
      away.has(node) ? Promise.reject(new EdgeError('fabric_away', 'Out of reach.')) : time.asking(work)
    return {
      lease: async (name, ms) => {
        const lease = await reach(() => fabric.lease(name, ms))
        return (
          lease && { ...lease, renew: () => reach(() => lease.renew()), release: () => reach(() => lease.release()) }
        )
      },
    }
  }
  const stops = [0, 1, 2].map((node) => {
    const parts: RunOnceParts = {
      fabric: fabricOf(node),
      monotonic: time.now,
      wait: time.wait(node),
      limits: { runOnceLeaseMs: ttl },
      log: (message, error) => assert.fail(`${message}: ${error}`),
    }
    return runOnce(parts, 'schedule', async (run: Run) => {
      while (!run.signal.aborted) {
        if (run.isCurrent()) history.push({ node, epoch: run.epoch, at: time.now() })
        await time.wait(node)(20, run.signal)
      }
    })
  })
  for (let step = 0; step < 400; step++) {
    const node = Math.floor(random() * 3)
    const dice = random()
    if (dice < 0.03) time.paused.add(node)
    else if (dice < 0.1) time.paused.delete(node)
    else if (dice < 0.13) away.add(node)
    else if (dice < 0.2) away.delete(node)
    await time.step(25)
  }
  time.paused.clear()
  away.clear()
  const stopped = Promise.all(stops.map((stop) => stop()))
  await time.step(0)
  await stopped
  return history
}

for (const seed of [1, 2, 3])
  test(`pauses and cuts: never two at work, and it goes on elsewhere (seed ${seed})`, async (t) => {
    const history = await story(t, seed)
    let newest = { node: -1, epoch: 0, at: 0 }
    for (const effect of history) {
      assert.ok(effect.epoch >= newest.epoch, `${JSON.stringify(effect)} after ${JSON.stringify(newest)}`)
      if (effect.epoch === newest.epoch) assert.equal(effect.node, newest.node, 'an epoch has one holder')
      newest = effect
    }
    assert.ok(history.length > 50, `${history.length} effects`)
    assert.ok(new Set(history.map(({ node }) => node)).size > 1, 'it went on elsewhere')
  })
