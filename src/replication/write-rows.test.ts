/** Stamps that may be put back, and those that may not: every node has to order the same two writes the same way. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { hybridTime } from './hybrid-time.ts'
import type { Row } from './operation.ts'
import { openRowReader } from './read-rows.ts'
import { type Operation, open } from './write-rows.ts'

const now = 1_000_000
const hour = 3_600_000

async function openRows(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-rows-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'rows.db')
  const target = open({ file, node: 'fra', limitBytes: 1e7, tombstoneMs: 1e9 })
  const reader = openRowReader(file)
  t.after(() => {
    reader.close()
    target.database.close()
  })
  return {
    origin: reader.origin,
    apply: (operation: Operation, at: number) => target.apply([operation], at)[0]!,
    row: (key: string) => reader.since(0, 1e6, (row) => row.key === key).rows[0]!,
  }
}

function putOf(key: string, value = 'v', scope = ''): Operation {
  const bytes = Buffer.from(value)
  return {
    kind: 'put',
    bucket: 'b',
    key,
    value: bytes,
    expect: undefined,
    expiresAt: undefined,
    blob: undefined,
    scope,
  }
}
function mergeOf(row: Partial<Row>): Operation {
  const whole = { bucket: 'b', key: 'k', value: Buffer.from('of iad'), time: 0, writer: 'iad~1', scope: '', ...row }
  return { kind: 'merge', rows: [{ origin: 'iad~1', seq: 1, ...whole }], scopes: { b: '' } }
}
const met: Operation = { kind: 'met', latest: hybridTime(now) }
const alone: Operation = { kind: 'alone' }

test('a write that nobody heard of is put back to when somebody is met, and is told only then', async (t) => {
  const { apply, row } = await openRows(t)
  assert.equal(apply(putOf('k'), now + hour).stamp!.stands, false)
  assert.equal(apply(met, now).count, 1)
  assert.equal(row('k').time, hybridTime(now))
  assert.equal(apply(putOf('other'), now).stamp!.stands, true)
})

test('what lost against a stamp that is put back still loses against it', async (t) => {
  const { apply, row } = await openRows(t)
  apply(putOf('k', 'ours'), now + hour)
  // Its node's clock is ahead of `latest` by less than what is corrected. It counts as seen here from now on.
  const theirs = hybridTime(now + 200)
  assert.equal(apply(mergeOf({ time: theirs }), now).count, 0)
  assert.equal(apply(met, now).count, 1)
  assert.ok(row('k').time > theirs)
  assert.equal(Buffer.from(row('k').value!).toString(), 'ours')
})

test('a write stays later than what it replaced', async (t) => {
  const { apply, row } = await openRows(t)
  const theirs = hybridTime(now + 200)
  apply(mergeOf({ time: theirs }), now)
  apply(putOf('k', 'once'), now + hour)
  apply(putOf('k', 'twice'), now + hour)
  apply(met, now)
  assert.equal(row('k').time, theirs + 1)
})

test('what somebody saw keeps its stamp', async (t) => {
  const { apply, row, origin } = await openRows(t)
  apply(met, now)
  const { time } = apply(putOf('moved'), now + hour).stamp!
  apply(alone, now)
  // Told before, moved to other countries since; and a write of ours that comes back from a peer.
  apply({ kind: 'move', bucket: 'b', scope: 'DE', limit: 10 }, now)
  apply(mergeOf({ key: 'back', time, writer: origin, origin, seq: 9 }), now)
  assert.equal(apply(met, now).count, 0)
  assert.equal(row('moved').time, time)
  assert.equal(row('moved').scope, 'DE')
  assert.equal(row('back').time, time)
})

test('a write that moves before somebody is met is put back too', async (t) => {
  const { apply, row } = await openRows(t)
  apply(putOf('k'), now + hour)
  apply({ kind: 'move', bucket: 'b', scope: 'DE', limit: 10 }, now)
  assert.equal(apply(met, now).count, 1)
  assert.equal(row('k').time, hybridTime(now))
})
