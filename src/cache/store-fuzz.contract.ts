/**
 * Random operations against a plain map. A store may forget (a miss is right), but what it finds must be the latest answer
 * stored under that key, variant and part, and nothing that was removed comes back.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { headOf, type OpenStore, pattern } from './store.contract.ts'
import type { CacheStore, StoredAnswer, StoredHead } from './store.ts'
import { identityOf, replaces } from './stored-identity.ts'

interface Known {
  readonly head: StoredHead
  readonly body: Buffer
}

const variants = ['', 'gzip', 'br']
const lengths = [0, 1, 900, 1000, 5000, 65_536, 70_000, 300_000]

/** Numbers below `below`, the same ones for a seed. */
function createDice(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

function createModel(store: CacheStore, seed: number) {
  const dice = createDice(seed)
  const known = new Map<string, Known>()
  let clock = 0
  let found = 0

  function randomHead(): StoredHead {
    clock++
    const partial = dice(5) === 0 ? { partial: { start: dice(3) * 1000, total: undefined } } : {}
    const variant = variants[dice(variants.length)]!
    return headOf(`k${dice(60)}`, { variant, receivedAt: clock, tags: [`t${dice(20)}`], ...partial })
  }

  function learn(head: StoredHead, body: Buffer): void {
    for (const [identity, old] of known)
      if (old.head.key === head.key && replaces(head, old.head)) known.delete(identity)
    known.set(identityOf(head), { head, body })
  }

  async function storeOne(): Promise<void> {
    const head = randomHead()
    const body = pattern(lengths[dice(lengths.length)]!, clock)
    const writer = store.open(head, dice(2) === 0 ? body.length : undefined)
    if (writer === undefined) return
    for (let at = 0; at < body.length; at += 60_000) if (!(await writer.write(body.subarray(at, at + 60_000)))) return
    if (dice(10) === 0) return writer.abort()
    const answer = await writer.finish()
    if (answer !== undefined) learn(head, body)
  }

  function forget(match: (head: StoredHead) => boolean): void {
    for (const [identity, old] of known) if (match(old.head)) known.delete(identity)
  }

  async function check(answer: StoredAnswer): Promise<void> {
    const expected = known.get(identityOf(answer.head))
    assert.ok(expected, `${identityOf(answer.head)} was removed or never stored`)
    assert.equal(answer.head.receivedAt, expected.head.receivedAt, 'the latest head')
    assert.deepEqual(answer.head.tags, expected.head.tags)
    assert.ok(expected.body.equals(Buffer.concat(await answer.stream().toArray())), 'the body of that head')
    found++
  }

  async function look(): Promise<readonly StoredAnswer[]> {
    const answers = await store.find(`k${dice(60)}`)
    for (const answer of answers) await check(answer)
    return answers
  }

  async function refresh(): Promise<void> {
    const answers = await look()
    const stored = answers[dice(Math.max(1, answers.length))]
    if (stored === undefined) return
    clock++
    const head = { ...stored.head, receivedAt: clock, tags: [`t${dice(20)}`] }
    const { body } = known.get(identityOf(head))!
    if ((await store.refresh(stored, head)) !== undefined) learn(head, body)
  }

  async function remove(): Promise<void> {
    const [stored] = await look()
    if (stored === undefined) return
    store.remove(stored)
    forget((old) => old.key === stored.head.key && replaces(stored.head, old))
  }

  async function sweep(): Promise<void> {
    const tag = `t${dice(20)}`
    await store.removeWhere(({ tags }) => tags.includes(tag))
    forget(({ tags }) => tags.includes(tag))
  }

  return {
    async step(): Promise<void> {
      const roll = dice(100)
      if (roll < 35) await storeOne()
      else if (roll < 80) await look()
      else if (roll < 90) await refresh()
      else if (roll < 98) await remove()
      else await sweep()
    },
    get found() {
      return found
    },
  }
}

export function storeFuzz(name: string, open: OpenStore, steps: number): void {
  for (const seed of [1, 2, 3])
    test(`${name}: ${steps} random operations, seed ${seed}`, async (t) => {
      const { store } = await open(t)
      const model = createModel(store, seed)
      for (let step = 0; step < steps; step++) await model.step()
      assert.ok(model.found > steps / 10, `${model.found} found`)
    })
}
