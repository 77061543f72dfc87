/**
 * Writers under faults, and a judge of what they were told: what was acknowledged is there or was replaced by a later
 * write, and what was refused is nowhere.
 */
import assert from 'node:assert/strict'
import { setTimeout as wait } from 'node:timers/promises'
import { EdgeError } from '#/core/errors.ts'
import type { Change, Fabric } from '#/core/ports.ts'

interface Told {
  readonly value: string
  readonly at: number
  /** A revision, or that nothing was written, or that nobody knows. */
  readonly outcome: number | 'refused' | 'unknown'
}

export interface WriteHistory {
  /** When writes were acknowledged, ms of `performance.now`. */
  readonly acknowledgedAt: readonly number[]
  /** Reads and writes that were refused or remained unknown. */
  readonly failed: number
  /** Resolves when each writer had a write acknowledged that it began later than now. */
  resumed(): Promise<void>
  stop(): Promise<void>
  /** Asserts; with the counts, for the log of the test. */
  judge(fabric: Fabric): Promise<{ acknowledged: number; refused: number; unknown: number }>
}

const bucket = 'history'
const text = (value: Uint8Array): string => Buffer.from(value).toString()

export function writeHistory(fabrics: readonly Fabric[]): WriteHistory {
  const keys = new Map<string, Told[]>()
  const heard = new Map<string, { revision: number; value: string }[]>()
  const acknowledgedAt: number[] = []
  const lastBegun = new Map<number, number>()
  const counted = { acknowledged: 0, unknown: 0 }
  let failed = 0
  let stopping = false

  fabrics[0]!.bucket(bucket).watch('', (change: Change) => {
    if (change.kind !== 'put') return
    const list = heard.get(change.entry.key) ?? []
    heard.set(change.entry.key, list)
    list.push({ revision: change.entry.revision, value: text(change.entry.value) })
  })

  async function outcomeOf(write: () => Promise<number | undefined>): Promise<Told['outcome']> {
    try {
      return (await write()) ?? 'refused'
    } catch (error) {
      if (!(error instanceof EdgeError)) throw error
      assert.equal(error.code, 'fabric_away', error.message)
      failed++
      return /not known/.test(error.message) ? 'unknown' : 'refused'
    }
  }

  async function writeOn(fabric: Fabric, writer: number): Promise<void> {
    for (let n = 0; !stopping; n++) {
      const key = `w${writer}/${n % 3}`
      const value = `${writer}:${n}`
      const begun = performance.now()
      const outcome = await outcomeOf(() => fabric.bucket(bucket).put(key, Buffer.from(value)))
      keys.set(key, [...(keys.get(key) ?? []), { value, at: begun, outcome }])
      if (typeof outcome === 'number') acknowledge(writer, begun)
      await wait(outcome === 'refused' ? 50 : 5)
    }
  }

  async function countOn(fabric: Fabric, writer: number): Promise<void> {
    while (!stopping) {
      const begun = performance.now()
      const read = await fabric
        .bucket(bucket)
        .get('counter')
        .catch(() => 'away' as const)
      if (read === 'away') failed++
      else {
        const next = Buffer.from(String(Number(read === undefined ? 0 : text(read.value)) + 1))
        const expect = read?.revision ?? 0
        const outcome = await outcomeOf(() => fabric.bucket(bucket).put('counter', next, { expect }))
        if (outcome === 'unknown') counted.unknown++
        if (typeof outcome === 'number') {
          counted.acknowledged++
          acknowledge(writer, begun)
        }
      }
      await wait(20)
    }
  }

  function acknowledge(writer: number, begun: number): void {
    acknowledgedAt.push(performance.now())
    lastBegun.set(writer, begun)
  }

  const writers = fabrics.flatMap((fabric, i) => [writeOn(fabric, i), countOn(fabric, 100 + i)])

  return {
    acknowledgedAt,
    get failed() {
      return failed
    },
    async resumed() {
      const since = performance.now()
      const late = () => [...fabrics.keys()].some((i) => !((lastBegun.get(i) ?? 0) > since))
      while (late()) await wait(20)
    },
    async stop() {
      stopping = true
      await Promise.all(writers)
    },
    async judge(fabric) {
      const sums = { acknowledged: counted.acknowledged, refused: 0, unknown: counted.unknown }
      for (const [key, told] of keys) {
        const entry = await fabric.bucket(bucket).get(key)
        judgeKey(key, told, { revision: entry?.revision ?? 0, value: entry === undefined ? '' : text(entry.value) })
        judgeHeard(key, told, heard.get(key) ?? [])
        sums.acknowledged += told.filter(({ outcome }) => typeof outcome === 'number').length
        sums.refused += told.filter(({ outcome }) => outcome === 'refused').length
        sums.unknown += told.filter(({ outcome }) => outcome === 'unknown').length
      }
      const counter = Number(text((await fabric.bucket(bucket).get('counter'))!.value))
      const most = counted.acknowledged + counted.unknown
      assert.ok(counter >= counted.acknowledged, `the counter is ${counter}, ${counted.acknowledged} were acknowledged`)
      assert.ok(counter <= most, `the counter is ${counter}, at most ${most} were written`)
      return sums
    },
  }
}

function judgeKey(key: string, told: readonly Told[], found: { revision: number; value: string }): void {
  const acknowledged = told.filter(({ outcome }) => typeof outcome === 'number')
  const last = acknowledged.at(-1)
  if (last === undefined) return
  assert.ok(
    found.revision >= Number(last.outcome),
    `${key}: revision ${last.outcome} is lost, ${found.revision} is there`,
  )
  const writer = told.find(({ value }) => value === found.value)
  assert.ok(writer !== undefined && writer.outcome !== 'refused', `${key}: «${found.value}» was never written`)
  if (found.revision === last.outcome) assert.equal(found.value, last.value, key)
  else assert.equal(writer.outcome, 'unknown', `${key}: «${found.value}» took the place of what was acknowledged`)
}

/** Revisions grow, each once; nothing refused; nothing acknowledged under another revision. */
function judgeHeard(key: string, told: readonly Told[], heard: readonly { revision: number; value: string }[]): void {
  const outcomes = new Map(told.map(({ value, outcome }) => [value, outcome]))
  let before = 0
  for (const { revision, value } of heard) {
    assert.ok(revision > before, `${key}: ${revision} was heard after ${before}`)
    before = revision
    const outcome = outcomes.get(value)
    assert.notEqual(outcome, 'refused', `${key}: «${value}» was refused, yet heard`)
    if (typeof outcome === 'number') assert.equal(revision, outcome, `${key}: «${value}»`)
  }
  const last = told.findLast(({ outcome }) => typeof outcome === 'number')
  if (last !== undefined) assert.ok(before >= Number(last.outcome), `${key}: the watcher has not heard ${last.outcome}`)
}
