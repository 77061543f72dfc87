import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { openTestStore, temporaryFolder } from './sql-store.fixture.ts'

/** Runs the child until it printed so many lines, kills it, and returns all the whole lines it printed. */
async function writeAndKill(folder: string, round: number, lines: number): Promise<string[]> {
  const program = join(import.meta.dirname, 'write-until-killed.child.ts')
  const writer = spawn(process.execPath, [program, folder, `${round}`], { stdio: ['ignore', 'pipe', 'inherit'] })
  let printed = ''
  writer.stdout.setEncoding('utf8').on('data', (text) => {
    printed += text
    if (printed.split('\n').length > lines) writer.kill('SIGKILL')
  })
  await once(writer, 'close')
  assert.equal(writer.signalCode, 'SIGKILL')
  return printed.split('\n').slice(0, -1)
}

test('after SIGKILL every acknowledged batch is there, and each is whole or not at all', async (t) => {
  const folder = await temporaryFolder(t)
  const acknowledged: string[] = []
  for (const [round, lines] of [20, 700, 150].entries()) {
    acknowledged.push(...(await writeAndKill(folder, round, lines)))
    // It waits for what the killed node's process still holds.
    const { ask, store } = await openTestStore(t, { folder })
    const told = await ask('crash', 'SELECT k, count(*) FROM t GROUP BY k')
    assert.equal(told.error, undefined)
    const counts = new Map(told.rows as [string, number][])
    for (const [key, count] of counts) assert.equal(count, 3, key)
    for (const key of acknowledged) assert.ok(counts.has(key), key)
    assert.deepEqual((await ask('crash', 'PRAGMA quick_check')).rows, [['ok']])
    await store.close()
  }
  assert.ok(acknowledged.length >= 870)
})
