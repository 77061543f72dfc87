import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type ErrorRow, errorTable } from '#/core/errors.ts'

const file = join(import.meta.dirname, '../../docs/errors.md')
const rows = readFileSync(file, 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) => line.slice(2, -2).split(' | '))

test('docs/errors.md and the table of errors say the same, both ways', () => {
  const documented = rows.map((cells) => cells.slice(0, 6).map((cell) => cell.trim()))
  const table = Object.entries(errorTable).map(([code, row]: [string, ErrorRow]) => [
    `\`${code}\``,
    String(row.status),
    String(row.number ?? ''),
    row.source,
    row.retry ? 'yes' : 'no',
    row.title,
  ])
  assert.deepEqual(documented, table)
})

test('each error is explained in a sentence', () => {
  for (const cells of rows) assert.match(cells[6]!.trim(), /^.{10,}\.$/, cells[0]!)
})
