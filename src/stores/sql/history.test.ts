import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { openTestStore, type TestStore } from './sql-store.fixture.ts'

async function openHistory(t: TestContext, limits: Parameters<typeof openTestStore>[1] = {}) {
  const stage = await openTestStore(t, { sqlLogPages: 20, ...limits })
  const call = async (operation: string, head: object) =>
    (await stage.store.handler({ kind: 'sql', id: 'a', operation, head: head as Record<string, unknown> })).head
  return {
    ...stage,
    restore: (bookmark: string) => call('restore', { bookmark }),
    bookmark: (time?: number) => call('bookmark', { time }),
    kept: async () => (await readdir(join(stage.folder, 'a/history'))).toSorted(),
  }
}

const count = async ({ ask }: Pick<TestStore, 'ask'>) => (await ask('a', 'SELECT count(*) FROM t')).rows?.[0]?.[0]

/** Writes rows of about a page each, and tells the bookmark after each. */
async function write({ ask }: Pick<TestStore, 'ask'>, rows: number): Promise<string[]> {
  const bookmarks: string[] = []
  for (let row = 0; row < rows; row++)
    bookmarks.push((await ask('a', "INSERT INTO t VALUES (zeroblob(3000), 'x')")).bookmark)
  return bookmarks
}

test('a database goes back to any commit, and forth again', async (t) => {
  const stage = await openHistory(t)
  const { ask, restore } = stage
  const empty = (await ask('a', 'CREATE TABLE t (a, b)')).bookmark
  const bookmarks = await write(stage, 100)
  assert.ok((await stage.kept()).includes('2.wal'))
  assert.deepEqual(bookmarks, bookmarks.toSorted())
  const undo: string[] = []
  for (const [wanted, rows] of [
    [bookmarks[60]!, 61],
    [empty, 0],
    [bookmarks[99]!, 100],
    [bookmarks[3]!, 4],
  ] as const) {
    const { bookmark, previous, refused } = await restore(wanted)
    assert.deepEqual([bookmark, refused], [wanted, undefined])
    undo.push(previous as string)
    assert.equal(await count(stage), rows)
    assert.deepEqual((await ask('a', 'PRAGMA quick_check')).rows, [['ok']])
  }
  // What was there before each of them, the last one aside.
  for (const [index, rows] of [100, 61, 0, 100].entries()) {
    await restore(undo[index]!)
    assert.equal(await count(stage), rows, `undo ${index}`)
  }
  const [after] = await write(stage, 1)
  assert.ok(after! > bookmarks[99]!)
  assert.match(
    String((await restore('00000001-0000ffff-00000000-00000000000000000000000000000000')).refused),
    /There is no bookmark/,
  )
  assert.match(String((await restore('yesterday')).refused), /not one of a database/)
  assert.equal(await count(stage), 101)
})

test('a time leads to the commit before it', async (t) => {
  const stage = await openHistory(t)
  const before = Date.now() - 60_000
  await stage.ask('a', 'CREATE TABLE t (a, b)')
  const bookmarks = await write(stage, 30)
  await untilLater()
  const time = Date.now()
  await untilLater()
  await write(stage, 30)
  assert.equal((await stage.bookmark(time)).bookmark, bookmarks[29])
  assert.equal((await stage.bookmark()).bookmark, (await stage.bookmark(Date.now())).bookmark)
  assert.match(String((await stage.bookmark(before)).refused), /does not reach back so far. It reaches back to 20/)
})

/** Until the clock shows another millisecond. */
async function untilLater(): Promise<void> {
  const now = Date.now()
  while (Date.now() <= now + 1) await new Promise((resolve) => setImmediate(resolve))
}

test('the history has a bound; what it lost is refused by name', async (t) => {
  const stage = await openHistory(t, { sqlHistoryBytes: 4_000_000 })
  await stage.ask('a', 'CREATE TABLE t (a, b)')
  const [first] = await write(stage, 40)
  for (let round = 0; round < 15; round++) {
    await write(stage, 40)
    await stage.ask('a', 'DELETE FROM t')
  }
  assert.match(String((await stage.restore(first!)).refused), /There is no bookmark/)
  const [bookmark] = await write(stage, 1)
  await write(stage, 25)
  await stage.restore(bookmark!)
  assert.equal(await count(stage), 1)
})

test('another process goes on with the same log', async (t) => {
  const stage = await openHistory(t, { sqlIdleMs: 50 })
  await stage.ask('a', 'CREATE TABLE t (a, b)')
  const [first] = await write(stage, 3)
  await stage.store.close()
  const again = await openHistory(t, { folder: stage.folder })
  const [second] = await write(again, 1)
  assert.ok(second! > first!)
  assert.equal(first!.slice(0, 8), second!.slice(0, 8))
  await again.restore(first!)
  assert.equal(await count(again), 1)
})
