/** Calls that share a transaction, on a disk that is full. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { type InstanceCall, openAnswers } from './answer-call.ts'
import { runCalls } from './run-calls.ts'
import { openInstances } from './schema.ts'

const create = (id: string, bytes: number): InstanceCall => ({
  do: 'create',
  instances: [{ id, params: JSON.stringify('x'.repeat(bytes)) }],
  source: 'api',
  skips: false,
})

test('a call that the disk has no room for takes none of the others with it, and all are told what became of them', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-workflows-'))
  const database = openInstances(join(folder, 'instances.db'), { now: 1, revive: false })
  t.after(async () => {
    database.close()
    await rm(folder, { recursive: true })
  })
  const opened = { database, answers: openAnswers(database, defaultLimits) }
  const { page_count: pages } = database.prepare('PRAGMA page_count').get() as { page_count: number }
  database.exec(`PRAGMA max_page_count = ${pages + 20}`)
  const outcomes = runCalls(opened, [create('first', 10), create('large', 500_000), create('third', 10)], 1)
  assert.deepEqual(
    outcomes.map((outcome) => (outcome.ok ? 'made' : 'full' in outcome && outcome.full ? 'full' : outcome)),
    ['made', 'full', 'made'],
  )
  const held = database.prepare('SELECT id FROM instances ORDER BY id').all()
  assert.deepEqual(
    held.map(({ id }) => id),
    ['first', 'third'],
  )
  assert.equal(database.isTransaction, false)
})
