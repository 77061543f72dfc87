/** Times in time zones: seconds since 1970 as people read them, and back. */
import type { Seconds } from '../units.ts'
import type { IntervalUnit } from './syntax.ts'

export interface Interval {
  readonly count: number
  readonly unit: IntervalUnit
}

/** Seconds of a zone's own clock, as if it were UTC's. */
type Local = number

const quarter = 900
/** There are some 600, under names of any case. */
const mostZones = 1000
/** A `DateTime` is an unsigned number of 32 bits. */
export const clampTime = (at: Seconds): Seconds => (at >= 0 ? Math.min(Math.floor(at), 2 ** 32 - 1) : 0)
const formats = new Map<string, Intl.DateTimeFormat>()

/** `undefined` for a name that is no zone. */
function formatOf(zone: string): Intl.DateTimeFormat | undefined {
  const known = formats.get(zone)
  if (known !== undefined) return known
  try {
    const options = {
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    } as const
    const made = new Intl.DateTimeFormat('en-US', { ...options, timeZone: zone, hourCycle: 'h23' })
    if (formats.size >= mostZones) formats.clear()
    formats.set(zone, made)
    return made
  } catch {
    return undefined
  }
}

export const isZone = (zone: string): boolean => isUtc(zone) || formatOf(zone) !== undefined
const isUtc = (zone: string): boolean => zone === 'Etc/UTC' || zone === 'UTC'

/** The last quarter of an hour that was asked for, a zone each: no zone's offset changes within one. */
const lately = new Map<string, { readonly slot: number; readonly offset: Seconds }>()

export function offsetAt(at: Seconds, zone: string): Seconds {
  if (isUtc(zone)) return 0
  const slot = Math.floor(at / quarter)
  const known = lately.get(zone)
  if (known?.slot === slot) return known.offset
  const parts = formatOf(zone)!.formatToParts(slot * quarter * 1000)
  const read = (type: string) => Number(parts.find((part) => part.type === type)?.value ?? 0)
  const local =
    Date.UTC(read('year'), read('month') - 1, read('day'), read('hour'), read('minute'), read('second')) / 1000
  const offset = local - slot * quarter
  if (lately.size >= mostZones) lately.clear()
  lately.set(zone, { slot, offset })
  return offset
}

export const toLocal = (at: Seconds, zone: string): Local => at + offsetAt(at, zone)

/** A time that the clocks skip is the one behind the gap; of one that comes twice, the first. */
export function fromLocal(local: Local, zone: string): Seconds {
  if (isUtc(zone)) return local
  const before = local - offsetAt(local - 86_400, zone)
  if (toLocal(before, zone) === local) return before
  return local - offsetAt(local + 86_400, zone)
}

export interface Parts {
  readonly year: number
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
  readonly second: number
  /** Monday is 1. */
  readonly weekday: number
}

export function partsOf(at: Seconds, zone: string): Parts {
  const date = new Date(toLocal(at, zone) * 1000)
  return {
    year: date.getUTCFullYear(),
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: date.getUTCSeconds(),
    weekday: date.getUTCDay() || 7,
  }
}

const secondsOf = { SECOND: 1, MINUTE: 60, HOUR: 3600, DAY: 86_400 } as const

/** Months that are too short end on their last day, as in ClickHouse. */
export function addInterval(at: Seconds, { count, unit }: Interval, sign: 1 | -1, zone: string): Seconds {
  const by = sign * count
  if (unit === 'SECOND' || unit === 'MINUTE' || unit === 'HOUR') return clampTime(at + by * secondsOf[unit])
  const local = toLocal(at, zone)
  if (unit === 'DAY') return fromLocal(clampTime(local + by * secondsOf.DAY), zone)
  const { year, month, day } = partsOf(at, zone)
  const months = year * 12 + month - 1 + by * (unit === 'YEAR' ? 12 : 1)
  const [inYear, inMonth] = [Math.floor(months / 12), ((months % 12) + 12) % 12]
  const last = new Date(Date.UTC(inYear, inMonth + 1, 0)).getUTCDate()
  const date = Date.UTC(inYear, inMonth, Math.min(day, last)) / 1000
  return fromLocal(clampTime(date + (((local % 86_400) + 86_400) % 86_400)), zone)
}

/** Rounded down to a multiple; those of months and years are counted from the year 0, as in ClickHouse. */
export function startOfInterval(at: Seconds, { count, unit }: Interval, zone: string): Seconds {
  const local = toLocal(at, zone)
  if (unit === 'MONTH' || unit === 'YEAR') {
    const { year, month } = partsOf(at, zone)
    const months =
      unit === 'YEAR' ? Math.floor(year / count) * count * 12 : Math.floor((year * 12 + month - 1) / count) * count
    return fromLocal(Date.UTC(Math.floor(months / 12), months % 12) / 1000, zone)
  }
  const step = count * secondsOf[unit]
  return fromLocal(Math.floor(local / step) * step, zone)
}

export function startOfWeek(at: Seconds, zone: string): Seconds {
  const day = Math.floor(toLocal(at, zone) / 86_400)
  return fromLocal((day - (partsOf(at, zone).weekday - 1)) * 86_400, zone)
}

const two = (value: number) => String(value).padStart(2, '0')
export const showDate = (at: Seconds, zone: string): string => {
  const { year, month, day } = partsOf(at, zone)
  return `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}`
}
export const showTime = (at: Seconds, zone: string): string => {
  const { hour, minute, second } = partsOf(at, zone)
  return `${showDate(at, zone)} ${two(hour)}:${two(minute)}:${two(second)}`
}

/** `YYYY-MM-DD`, with `hh:mm:ss` behind it or not, or seconds since 1970; `undefined` for anything else. */
export function readTime(text: string, zone: string): Seconds | undefined {
  if (/^\d{5,12}$/.test(text)) return Number(text)
  const found = /^(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d):(\d\d))?$/.exec(text)
  if (found === null) return undefined
  const [year, month, day, hour = 0, minute = 0, second = 0] = found.slice(1).map((part) => Number(part ?? 0))
  const date = new Date(Date.UTC(year!, month! - 1, day!, hour, minute, second))
  const isReal =
    date.getUTCMonth() === month! - 1 && date.getUTCDate() === day && hour < 24 && minute < 60 && second < 60
  return isReal ? fromLocal(date.getTime() / 1000, zone) : undefined
}

const weekdays = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday']
const months = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]

function dayOfYear({ year, month, day }: Parts): number {
  return (Date.UTC(year, month - 1, day) - Date.UTC(year, 0, 1)) / 86_400_000 + 1
}

/** ISO 8601: the week of the year's first Thursday is the first. */
function isoWeek(parts: Parts): { year: number; week: number } {
  const thursday = new Date(Date.UTC(parts.year, parts.month - 1, parts.day + 4 - parts.weekday))
  const year = thursday.getUTCFullYear()
  return { year, week: Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / (7 * 86_400_000)) + 1 }
}

type Shown = (parts: Parts, at: Seconds, zone: string) => string

/** https://clickhouse.com/docs/sql-reference/functions/date-time-functions#formatdatetime */
export const timeFormats: Readonly<Record<string, Shown>> = {
  a: ({ weekday }) => weekdays[weekday - 1]!.slice(0, 3),
  b: ({ month }) => months[month - 1]!.slice(0, 3),
  C: ({ year }) => two(Math.floor(year / 100)),
  d: ({ day }) => two(day),
  D: ({ year, month, day }) => `${two(month)}/${two(day)}/${two(year % 100)}`,
  e: ({ day }) => String(day).padStart(2, ' '),
  f: () => '000000',
  F: (_, at, zone) => showDate(at, zone),
  g: (parts) => two(isoWeek(parts).year % 100),
  G: (parts) => String(isoWeek(parts).year),
  h: ({ hour }) => two(hour % 12 || 12),
  H: ({ hour }) => two(hour),
  i: ({ minute }) => two(minute),
  I: ({ hour }) => two(hour % 12 || 12),
  j: (parts) => String(dayOfYear(parts)).padStart(3, '0'),
  k: ({ hour }) => String(hour).padStart(2, ' '),
  l: ({ hour }) => String(hour % 12 || 12).padStart(2, ' '),
  m: ({ month }) => two(month),
  M: ({ month }) => months[month - 1]!,
  n: () => '\n',
  p: ({ hour }) => (hour < 12 ? 'AM' : 'PM'),
  Q: ({ month }) => String(Math.ceil(month / 3)),
  r: ({ hour, minute }) => `${two(hour % 12 || 12)}:${two(minute)} ${hour < 12 ? 'AM' : 'PM'}`,
  R: ({ hour, minute }) => `${two(hour)}:${two(minute)}`,
  s: ({ second }) => two(second),
  S: ({ second }) => two(second),
  t: () => '\t',
  T: ({ hour, minute, second }) => `${two(hour)}:${two(minute)}:${two(second)}`,
  u: ({ weekday }) => String(weekday),
  V: (parts) => two(isoWeek(parts).week),
  w: ({ weekday }) => String(weekday % 7),
  W: ({ weekday }) => weekdays[weekday - 1]!,
  y: ({ year }) => two(year % 100),
  Y: ({ year }) => String(year),
  z: (_, at, zone) => showOffset(offsetAt(at, zone)),
  '%': () => '%',
}

function showOffset(offset: Seconds): string {
  const minutes = Math.abs(offset) / 60
  return `${offset < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}${two(Math.floor(minutes % 60))}`
}
