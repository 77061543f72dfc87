/**
 * Which host calls a test file makes, counted where programs import them. Each file's list is kept in
 * `test/abi-called/NAME.txt` and checked at its end; `docs/compatibility.md` says «works» of no function that is in none.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { after } from 'node:test'

export const calledFolder = resolve(import.meta.dirname, '../../../test/abi-called')

const called = new Set<string>()

export function noteCalled(name: string): void {
  called.add(name)
}

after(() => {
  const part = process.execArgv.some((flag) => flag.startsWith('--test-name-pattern') || flag === '--test-only')
  const file = join(calledFolder, `${basename(process.argv[1] ?? '', '.test.ts')}.txt`)
  if (process.env.RIMWARD_GOLDEN === 'write') {
    mkdirSync(calledFolder, { recursive: true })
    if (called.size > 0) writeFileSync(file, `${[...called].sort().join('\n')}\n`)
  } else if (!part && called.size > 0 && existsSync(file)) {
    const missing = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .filter((name) => !called.has(name))
    assert.deepEqual(
      missing,
      [],
      `${file} names host calls that the tests did not make; write it anew with RIMWARD_GOLDEN=write`,
    )
  }
})
