/** Values as text, which is how `TabSeparated` and `format()` have them. */
import { showDate, showTime } from './calendar.ts'
import { isTime, type Type, type Value, zoneOf } from './values.ts'

export function showValue(value: Value, type: Type): string {
  if (Array.isArray(value)) {
    const of = type.slice('Array('.length, -1)
    return `[${value.map((one: Value) => (of === 'String' ? `'${escapeText(one as string)}'` : showValue(one, of))).join(',')}]`
  }
  if (typeof value !== 'number') return value as string
  if (type === 'Date') return showDate(value, 'Etc/UTC')
  if (isTime(type)) return showTime(value, zoneOf(type))
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf'
  return showNumber(value)
}

/** Whole numbers of 64 bits never in scientific notation. */
export const showNumber = (value: number): string =>
  Number.isInteger(value) && Math.abs(value) < 2 ** 64 ? BigInt(value).toString() : String(value)

const escapes: Readonly<Record<string, string>> = {
  '\t': '\\t',
  '\n': '\\n',
  '\r': '\\r',
  '\0': '\\0',
  '\b': '\\b',
  '\f': '\\f',
  '\\': '\\\\',
  "'": "\\'",
}

export const escapeText = (text: string): string => text.replace(/[\t\n\r\0\b\f\\']/g, (found) => escapes[found]!)
