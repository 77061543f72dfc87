import assert from 'node:assert/strict'
import { appendFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { PurgeWish } from '#/core/cache-policy.ts'
import { openPurgeJournal } from './purge-journal.ts'

const tag = (name: string): PurgeWish => ({ scope: 'shop', what: { kind: 'tag', tag: name }, soft: false })

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-journal-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

test('what was acknowledged and not carried out is there after a crash', async (t) => {
  const folder = await folderFor(t)
  // Never closed: a process that is killed closes nothing.
  const killed = await openPurgeJournal(folder)
  assert.deepEqual(killed.unfinished, [])
  await Promise.all([killed.append([tag('a')]), killed.append([tag('b'), tag('c')])])
  await killed.begin()
  await killed.append([tag('d')])
  const after = await openPurgeJournal(folder)
  assert.deepEqual(after.unfinished, ['a', 'b', 'c', 'd'].map(tag))
  await after.close()
})

test('what was carried out is gone, what came meanwhile is not', async (t) => {
  const folder = await folderFor(t)
  const journal = await openPurgeJournal(folder)
  await journal.append([tag('a')])
  await journal.begin()
  await journal.append([tag('b')])
  await journal.finish()
  await journal.close()
  const second = await openPurgeJournal(folder)
  assert.deepEqual(second.unfinished, [tag('b')])
  await second.begin()
  await second.finish()
  await second.begin()
  await second.finish()
  await second.close()
  const third = await openPurgeJournal(folder)
  assert.deepEqual(third.unfinished, [])
  await third.close()
})

test('a purge that failed is tried again, also after later ones', async (t) => {
  const folder = await folderFor(t)
  const journal = await openPurgeJournal(folder)
  await journal.append([tag('a')])
  await journal.begin()
  await journal.append([tag('b')])
  await journal.begin()
  const after = await openPurgeJournal(folder)
  assert.deepEqual(after.unfinished, [tag('a'), tag('b')])
  await after.close()
  await journal.close()
})

test('a line that the end of the process cut off was never acknowledged', async (t) => {
  const folder = await folderFor(t)
  const journal = await openPurgeJournal(folder)
  await journal.append([tag('a')])
  await appendFile(join(folder, 'purges.jsonl'), '{"scope":"shop","what":{"kind":"ta')
  const after = await openPurgeJournal(folder)
  assert.deepEqual(after.unfinished, [tag('a')])
  await after.append([tag('b')])
  const third = await openPurgeJournal(folder)
  assert.deepEqual(third.unfinished, [tag('a'), tag('b')])
  for (const one of [journal, after, third]) await one.close()
})
