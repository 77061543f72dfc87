/** Functions of times. */
import {
  clampTime,
  fromLocal,
  isZone,
  type Parts,
  partsOf,
  readTime,
  startOfInterval,
  startOfWeek,
  timeFormats,
} from './calendar.ts'
import type { ScalarFunction } from './functions.ts'
import { type IntervalUnit, intervalUnits, SqlRefusal } from './syntax.ts'
import { type Compiled, isNumber, isTime, timeType, type Value, zoneOf } from './values.ts'

/** The zone that an argument names, else the one of the time itself. */
function zoneFrom(named: Compiled | undefined, time: Compiled): string {
  if (named === undefined) return zoneOf(time.type)
  const zone = String(named.constant)
  if (!/^[A-Za-z0-9_+/-]{1,64}$/.test(zone) || !isZone(zone))
    throw new SqlRefusal(`unknown timezone: ${zone.slice(0, 80)}`, named.at)
  return zone
}

const zoneNamed = (args: readonly Compiled[], index: number): string | undefined =>
  args[index] === undefined ? undefined : zoneFrom(args[index], args[index])

function part(gives: string, read: (parts: Parts) => number): ScalarFunction {
  return {
    takes: ['time'],
    gives,
    make([time]) {
      const zone = zoneOf(time!.type)
      return (at) => read(partsOf(at as number, zone))
    },
  }
}

const timeOf = ([time]: readonly Compiled[]) => (time!.type === 'Date' ? 'DateTime' : time!.type)

function startOf(count: number, unit: IntervalUnit): ScalarFunction {
  return {
    takes: ['time'],
    gives: timeOf,
    make([time]) {
      const zone = zoneOf(time!.type)
      return (at) => clampTime(startOfInterval(at as number, { count, unit }, zone))
    },
  }
}

const extracted: Readonly<Record<IntervalUnit, (parts: Parts) => number>> = {
  YEAR: ({ year }) => year,
  MONTH: ({ month }) => month,
  DAY: ({ day }) => day,
  HOUR: ({ hour }) => hour,
  MINUTE: ({ minute }) => minute,
  SECOND: ({ second }) => second,
}

const toDateTime: ScalarFunction = {
  takes: ['any', 'text!'],
  least: 1,
  gives: (args) => timeType(zoneNamed(args, 1)),
  make(args) {
    const [of, named] = args as [Compiled, Compiled | undefined]
    const zone = zoneFrom(named, of)
    if (of.type === 'String') {
      const read = (value: Value): number => {
        const found = readTime(value as string, named === undefined ? 'Etc/UTC' : zone)
        if (found === undefined)
          throw new SqlRefusal(
            `cannot parse '${(value as string).slice(0, 80)}' as a DateTime: YYYY-MM-DD hh:mm:ss`,
            of.at,
          )
        return clampTime(found)
      }
      if (of.constant !== undefined) read(of.constant)
      return read
    }
    if (of.type === 'Date') return (value) => fromLocal(value as number, zone)
    if (!isNumber(of.type) && !isTime(of.type))
      throw new SqlRefusal(`cannot use the ${of.type} type as argument 1 in toDateTime()`, of.at)
    return (value) => clampTime(value as number)
  },
}

const formatDateTime: ScalarFunction = {
  takes: ['time', 'text!', 'text!'],
  least: 2,
  gives: 'String',
  make(args) {
    const [time, pattern, named] = args as [Compiled, Compiled, Compiled | undefined]
    const zone = zoneFrom(named, time)
    const pieces = String(pattern.constant).split(/(%[\s\S]?)/)
    const unknown = pieces.find((piece) => piece.startsWith('%') && !Object.hasOwn(timeFormats, piece.slice(1)))
    if (unknown !== undefined) throw new SqlRefusal(`formatDateTime() knows no ${unknown}`, pattern.at)
    return (at) => {
      const parts = partsOf(at as number, zone)
      return pieces
        .map((piece) => (piece.startsWith('%') ? timeFormats[piece.slice(1)]!(parts, at as number, zone) : piece))
        .join('')
    }
  },
}

const toStartOfInterval: ScalarFunction = {
  takes: ['time', 'interval', 'text!'],
  least: 2,
  gives: timeOf,
  make(args) {
    const [time, step, named] = args as [Compiled, Compiled, Compiled | undefined]
    const interval = step.interval!
    if (interval.count < 1) throw new SqlRefusal('toStartOfInterval() takes an interval of 1 at least', step.at)
    const zone = zoneFrom(named, time)
    return (at) => clampTime(startOfInterval(at as number, interval, zone))
  },
}

const extract: ScalarFunction = {
  takes: ['text!', 'time'],
  gives: ([unit]) => (unit!.constant === 'YEAR' ? 'UInt16' : 'UInt8'),
  make([unit, time]) {
    const found = intervalUnits.find((one) => one === unit!.constant)
    if (found === undefined) throw new SqlRefusal(`extract() knows no ${String(unit!.constant).slice(0, 40)}`, unit!.at)
    const zone = zoneOf(time!.type)
    return (_, at) => extracted[found](partsOf(at as number, zone))
  },
}

export const timeFunctions: Readonly<Record<string, ScalarFunction>> = {
  now: {
    takes: [],
    gives: 'DateTime',
    make:
      (_, { now }) =>
      () =>
        now,
  },
  today: {
    takes: [],
    gives: 'Date',
    make:
      (_, { now }) =>
      () =>
        now - (now % 86_400),
  },
  toDateTime,
  toUnixTimestamp: { takes: ['time'], gives: 'UInt32', make: () => (at) => at },
  formatDateTime,
  toStartOfInterval,
  extract,
  toYear: part('UInt16', ({ year }) => year),
  toMonth: part('UInt8', ({ month }) => month),
  toDayOfMonth: part('UInt8', ({ day }) => day),
  toDayOfWeek: part('UInt8', ({ weekday }) => weekday),
  toHour: part('UInt8', ({ hour }) => hour),
  toMinute: part('UInt8', ({ minute }) => minute),
  toSecond: part('UInt8', ({ second }) => second),
  toYYYYMM: part('UInt32', ({ year, month }) => year * 100 + month),
  toStartOfYear: startOf(1, 'YEAR'),
  toStartOfMonth: startOf(1, 'MONTH'),
  toStartOfWeek: {
    takes: ['time'],
    gives: timeOf,
    make([time]) {
      const zone = zoneOf(time!.type)
      return (at) => clampTime(startOfWeek(at as number, zone))
    },
  },
  toStartOfDay: startOf(1, 'DAY'),
  toStartOfHour: startOf(1, 'HOUR'),
  toStartOfFifteenMinutes: startOf(15, 'MINUTE'),
  toStartOfTenMinutes: startOf(10, 'MINUTE'),
  toStartOfFiveMinutes: startOf(5, 'MINUTE'),
  toStartOfMinute: startOf(1, 'MINUTE'),
}
