/** Answers in the formats that a query may ask for. */
import type { Column, Outcome } from './plan-select.ts'
import { escapeText, showNumber, showValue } from './show-value.ts'
import type { Format } from './syntax.ts'
import type { Type, Value } from './values.ts'

export const contentTypes: Readonly<Record<Format, string>> = {
  JSON: 'application/json',
  JSONEachRow: 'application/x-ndjson',
  TabSeparated: 'text/tab-separated-values',
}

export function writeOutcome(columns: readonly Column[], { rows, before }: Outcome, format: Format): string {
  if (format === 'TabSeparated')
    return rows.map((row) => `${row.map((value, index) => written(value, columns[index]!.type)).join('\t')}\n`).join('')
  const data = rows.map((row) =>
    Object.fromEntries(row.map((value, index) => [columns[index]!.name, inJson(value, columns[index]!.type)])),
  )
  if (format === 'JSONEachRow') return data.map((row) => `${JSON.stringify(row)}\n`).join('')
  return JSON.stringify({ meta: columns, data, rows: rows.length, rows_before_limit_at_least: before })
}

function written(value: Value, type: Type): string {
  return typeof value === 'string' ? escapeText(value) : showValue(value, type)
}

/** As ClickHouse has it: whole numbers of 64 bits and times are strings, what is no number is null. */
function inJson(value: Value, type: Type): unknown {
  if (Array.isArray(value)) return value.map((one: Value) => inJson(one, type.slice('Array('.length, -1)))
  if (typeof value !== 'number') return value
  if (type === 'UInt64' || type === 'Int64') return showNumber(value)
  if (/^U?Int|^Float/.test(type)) return Number.isFinite(value) ? value : null
  return showValue(value, type)
}
