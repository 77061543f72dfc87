/**
 * Schedules in cron's words, as Cloudflare reads them: five fields in UTC, days of the week from 1 (Sunday) to 7, names of
 * months and days, `L`, `W` and `#`. Days match when either of two restricted day fields does.
 * https://developers.cloudflare.com/workers/configuration/cron-triggers/
 */
import type { EpochMs } from './units.ts'

export interface Cron {
  readonly minutes: ReadonlySet<number>
  readonly hours: ReadonlySet<number>
  readonly months: ReadonlySet<number>
  /** Absent: `*`. */
  readonly dayOfMonth?: (day: CivilDay) => boolean
  /** Absent: `*`. */
  readonly dayOfWeek?: (day: CivilDay) => boolean
}

interface CivilDay {
  /** 1 to 31. */
  readonly day: number
  /** 1 is Sunday. */
  readonly weekday: number
  readonly daysInMonth: number
}

interface Field {
  readonly min: number
  readonly max: number
  readonly names?: readonly string[]
}

const minute: Field = { min: 0, max: 59 }
const hour: Field = { min: 0, max: 23 }
const day: Field = { min: 1, max: 31 }
const month: Field = { min: 1, max: 12, names: 'jan feb mar apr may jun jul aug sep oct nov dec'.split(' ') }
const weekday: Field = { min: 1, max: 7, names: 'sun mon tue wed thu fri sat'.split(' ') }

/** `undefined` for what does not parse, or names no day, such as `0 0 32 * *`. */
export function parseCron(text: string): Cron | undefined {
  const fields = text.split(/[ \t]+/)
  if (fields.length !== 5) return undefined
  const minutes = readSet(fields[0]!, minute)
  const hours = readSet(fields[1]!, hour)
  const months = readSet(fields[3]!, month)
  const dayOfMonth = readDayOfMonth(fields[2]!)
  const dayOfWeek = readDayOfWeek(fields[4]!)
  if (!minutes || !hours || !months || !dayOfMonth || !dayOfWeek) return undefined
  return {
    minutes,
    hours,
    months,
    ...(dayOfMonth !== 'any' && { dayOfMonth }),
    ...(dayOfWeek !== 'any' && { dayOfWeek }),
  }
}

/** Is this minute one of them? */
export function isDue(cron: Cron, at: EpochMs): boolean {
  const date = new Date(at)
  if (!cron.minutes.has(date.getUTCMinutes()) || !cron.hours.has(date.getUTCHours())) return false
  if (!cron.months.has(date.getUTCMonth() + 1)) return false
  const daysInMonth = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate()
  const civil = { day: date.getUTCDate(), weekday: date.getUTCDay() + 1, daysInMonth }
  const { dayOfMonth, dayOfWeek } = cron
  if (dayOfMonth === undefined) return dayOfWeek?.(civil) ?? true
  return dayOfMonth(civil) || dayOfWeek?.(civil) === true
}

/** `*`, or values, ranges and steps between commas. A range may wrap: `FRI-SUN`. */
function readSet(text: string, field: Field): ReadonlySet<number> | undefined {
  if (text === '*') return new Set(stepped(field.min, field.max, 1, field))
  const all = new Set<number>()
  for (const part of text.split(',')) {
    const values = readPart(part, field)
    if (values === undefined) return undefined
    for (const value of values) all.add(value)
  }
  return all
}

function readPart(part: string, field: Field): readonly number[] | undefined {
  const match = /^(?:(\*)|([a-z]+|\d+)(?:-([a-z]+|\d+))?)(?:\/(\d+))?$/i.exec(part)
  if (match === null) return undefined
  const [, star, first, last, by] = match
  if (star !== undefined && by === undefined) return undefined
  const from = star === undefined ? readValue(first!, field) : field.min
  const open = star !== undefined || (last === undefined && by !== undefined)
  const to = open ? field.max : last === undefined ? from : readValue(last, field)
  const step = by === undefined ? 1 : Number(by)
  if (from === undefined || to === undefined || step < 1 || step > field.max - field.min) return undefined
  return stepped(from, to, step, field)
}

function readValue(text: string, { min, max, names }: Field): number | undefined {
  const named = names?.indexOf(text.toLowerCase()) ?? -1
  if (named >= 0) return min + named
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
  return value >= min && value <= max ? value : undefined
}

function stepped(from: number, to: number, step: number, { min, max }: Field): number[] {
  const size = max - min + 1
  const length = ((to - from + size) % size) + 1
  const values: number[] = []
  for (let offset = 0; offset < length; offset += step) values.push(min + ((from - min + offset) % size))
  return values
}

type DayMatcher = ((day: CivilDay) => boolean) | 'any' | undefined

/** Also `L` (the last one), `L-3`, `15W` (the weekday nearest to it), `LW` and `L-3W`. */
function readDayOfMonth(text: string): DayMatcher {
  if (text === '*') return 'any'
  const last = /^L(?:-(\d+))?(W)?$/.exec(text)
  if (last !== null) {
    const offset = Number(last[1] ?? 0)
    if (last[1] !== undefined && (offset < 1 || offset > 30)) return undefined
    const nearest = last[2] !== undefined
    return (civil) =>
      nearest ? isNearest(civil, civil.daysInMonth - offset) : civil.day === civil.daysInMonth - offset
  }
  const near = /^(\d+)W$/.exec(text)
  if (near !== null) {
    const wanted = readValue(near[1]!, day)
    return wanted === undefined ? undefined : (civil) => isNearest(civil, wanted)
  }
  const days = readSet(text, day)
  return days && ((civil) => days.has(civil.day))
}

/** Monday to Friday, never in another month. */
function isNearest({ day: today, weekday: now, daysInMonth }: CivilDay, wanted: number): boolean {
  if (wanted < 1 || wanted > daysInMonth) return false
  const weekdayOf = (other: number) => ((((now - 1 + other - today) % 7) + 7) % 7) + 1
  const falls = weekdayOf(wanted)
  if (falls === 7) return today === (wanted === 1 ? 3 : wanted - 1)
  if (falls === 1) return today === (wanted === daysInMonth ? wanted - 2 : wanted + 1)
  return today === wanted
}

/** Also `L` (Saturday), `6L` (the last Friday of the month) and `2#1` (its first Monday). */
function readDayOfWeek(text: string): DayMatcher {
  if (text === '*') return 'any'
  if (text === 'L') return (civil) => civil.weekday === 7
  const special = /^([a-z]+?|\d+)(?:(L)|#([1-5]))$/i.exec(text)
  if (special !== null && special[2] !== 'l') {
    const wanted = readValue(special[1]!, weekday)
    if (wanted === undefined) return undefined
    if (special[2] !== undefined) return (civil) => civil.weekday === wanted && civil.day + 7 > civil.daysInMonth
    const nth = Number(special[3])
    return (civil) => civil.weekday === wanted && Math.ceil(civil.day / 7) === nth
  }
  const days = readSet(text, weekday)
  return days && ((civil) => days.has(civil.weekday))
}
