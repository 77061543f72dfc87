import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openRecent } from './recent.ts'

test('the latest programs are known after a restart, as many as the cap allows', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rw-'))
  const first = openRecent(folder, { recentPrograms: 3 })
  for (const name of ['a', 'b', 'c', 'a', 'd']) first.note(name)
  first.close()
  const second = openRecent(folder, { recentPrograms: 3 })
  assert.deepEqual(second.names(), ['d', 'a', 'c'])
  second.close()
  writeFileSync(join(folder, 'warm.json'), '{"broken')
  const third = openRecent(folder, { recentPrograms: 3 })
  assert.deepEqual(third.names(), [])
  third.close()
  rmSync(folder, { recursive: true })
})
