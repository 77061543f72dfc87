/**
 * The table of limits in `docs/guide/operations.md`, made from `core/limits.ts`.
 *
 *   node scripts/limits.ts            prints the table
 *   npm run limits                    writes it into the page
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type LimitRow, limitTable } from '#/core/limits.ts'

const start = '<!-- limits: written by `npm run limits` -->'
const end = '<!-- /limits -->'

function amount({ unit, default: value }: LimitRow): string {
  if (unit === 'bytes' && value >= 1024 * 1024 && value % (1024 * 1024) === 0) return `${value / 1024 / 1024} MiB`
  if (unit === 'bytes' && value >= 1024 && value % 1024 === 0) return `${value / 1024} KiB`
  if (unit === 'ms' && value >= 1000 && value % 1000 === 0) return `${value / 1000} s`
  const number = value.toString().replace(/\B(?=(\d{3})+(?!\d))/g, ',')
  const names: Record<LimitRow['unit'], string> = {
    bytes: ' bytes',
    ms: ' ms',
    s: ' s',
    count: '',
    percent: ' %',
    'per-second': ' a second',
  }
  return `${number}${names[unit]}`
}

/** Columns as wide as their widest cell, as the formatter of this project wants them. */
export function limitsTable(table: Readonly<Record<string, LimitRow>> = limitTable): string {
  const rows = Object.entries(table).map(([name, row]) => [`\`${name}\``, amount(row), row.why.replaceAll('|', '\\|')])
  const widths = [0, 1, 2].map((column) =>
    Math.max(...[['limit', 'default', 'why'], ...rows].map((cells) => [...cells[column]!].length)),
  )
  const [first = 0, second = 0, third = 0] = widths
  const line = ([name = '', value = '', why = '']: readonly string[]) =>
    `| ${name.padEnd(first)} | ${value.padStart(second)} | ${why.padEnd(third)} |`
  const rule = `| ${'-'.repeat(first)} | ${'-'.repeat(second - 1)}: | ${'-'.repeat(third)} |`
  return [line(['limit', 'default', 'why']), rule, ...rows.map(line)].join('\n')
}

/** The page with the table between its two comments; throws when they are missing. */
export function withLimits(page: string): string {
  const from = page.indexOf(start)
  const to = page.indexOf(end)
  if (from < 0 || to < from) throw new Error(`the page lacks ${start} … ${end}`)
  return `${page.slice(0, from)}${start}\n\n${limitsTable()}\n\n${page.slice(to)}`
}

export const limitsPage = fileURLToPath(new URL('../docs/guide/operations.md', import.meta.url))

if (import.meta.main) {
  if (process.argv.includes('--write')) writeFileSync(limitsPage, withLimits(readFileSync(limitsPage, 'utf8')))
  else console.log(limitsTable())
}
