/** The pages that scripts write are up to date, and the scaffolds are what they promise. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { limitsPage, limitsTable, withLimits } from '../scripts/limits.ts'
import { scaffold } from '../scripts/new.ts'

test('the table of limits in docs/guide/operations.md is that of core/limits.ts (else: npm run limits)', () => {
  const page = readFileSync(limitsPage, 'utf8')
  assert.equal(page, withLimits(page))
})

test('limits are shown in units that people read', () => {
  const why = 'reason'
  const table = limitsTable({
    a: { unit: 'bytes', default: 128 * 1024, why },
    b: { unit: 'bytes', default: 3 * 1024 * 1024, why },
    c: { unit: 'bytes', default: 512, why },
    d: { unit: 'ms', default: 15_000, why },
    e: { unit: 'count', default: 20_000, why },
  })
  assert.deepEqual(
    table
      .split('\n')
      .slice(2)
      .map((line) => line.split(' | ')[1]?.trim()),
    ['128 KiB', '3 MiB', '512 bytes', '15 s', '20,000'],
  )
})

test('scaffolds', () => {
  const cases: [string[], string | RegExp][] = [
    [['regress', '123'], 'test/regress/r123.test.ts'],
    [['decision', 'Keep', 'logs', 'in files!'], 'docs/decisions/0008-keep-logs-in-files.md'],
    [['regress', 'abc'], /takes the number/],
    [['decision'], /takes a title/],
    [['engine'], /say what is new/],
    [[], /say what is new/],
  ]
  for (const [words, wanted] of cases) {
    const made = scaffold(words, ['0007-something.md', '0002-other.md'])
    if (typeof wanted === 'string') assert.equal(typeof made === 'string' ? made : made.path, wanted)
    else assert.match(String(made), wanted)
  }
})
