/** What operators do, under ClickHouse's names for them. */
import { addInterval, clampTime } from './calendar.ts'
import type { ScalarFunction } from './functions.ts'
import { SqlRefusal } from './syntax.ts'
import {
  type Compiled,
  commonNumber,
  compareValues,
  integerOf,
  integerType,
  isNumber,
  isTime,
  type Type,
  type Value,
  zoneOf,
} from './values.ts'

const truth = (is: boolean): Value => (is ? 1 : 0)
export const isTrue = (value: Value): boolean => value !== 0 && value !== ''

/** The same kind of thing on both sides: numbers, texts, times; a text beside a time is one. */
function comparison(does: (order: number, isUnordered: boolean) => boolean): ScalarFunction {
  return {
    takes: ['any', 'any'],
    gives: 'UInt8',
    make(args) {
      requireAlike(args[0]!, args[1]!)
      return (left, right) => truth(does(compareValues(left, right), Number.isNaN(left) || Number.isNaN(right)))
    },
  }
}

const kindOf = (type: Type) => (isNumber(type) ? 'number' : isTime(type) ? 'time' : type)

export function requireAlike(left: Compiled, right: Compiled): void {
  const [a, b] = [kindOf(left.type), kindOf(right.type)]
  if (a === b && a !== 'Interval') return
  // Seconds since 1970 beside a time.
  if ((a === 'time' && b === 'number') || (a === 'number' && b === 'time')) return
  throw new SqlRefusal(`cannot compare the ${left.type} type with the ${right.type} type`, right.at)
}

/** `bits` of the result for two whole numbers; anything else is a `Float64`. */
function arithmetic(
  run: (left: number, right: number) => number,
  ofIntegers: (left: Type, right: Type) => Type,
): ScalarFunction {
  return {
    takes: ['number', 'number'],
    gives: ([left, right]) => ofIntegers(left!.type, right!.type),
    make: () => run as (...values: Value[]) => Value,
  }
}

/** As wide again as the wider one. */
function wider(signed: boolean): (left: Type, right: Type) => Type {
  return (left, right) => {
    const [a, b] = [integerOf(left), integerOf(right)]
    if (a === undefined || b === undefined) return 'Float64'
    return integerType({ signed: signed || a.signed || b.signed, bits: 2 * Math.max(a.bits, b.bits) })
  }
}

/** A time plus or minus an interval, or numbers. */
function shifting(sign: 1 | -1): ScalarFunction {
  const numbers = arithmetic(sign === 1 ? (a, b) => a + b : (a, b) => a - b, wider(sign === -1))
  return {
    takes: ['any', 'any'],
    gives(args) {
      const [left, right] = args as [Compiled, Compiled]
      if (isTime(left.type) && isTime(right.type) && sign === -1) return 'Int32'
      const time = isTime(left.type) ? left : isTime(right.type) && sign === 1 ? right : undefined
      if (time === undefined) {
        for (const arg of args)
          if (!isNumber(arg.type))
            throw new SqlRefusal(`cannot use the ${arg.type} type with the ${sign === 1 ? '+' : '-'} operator`, arg.at)
        return (numbers.gives as (args: readonly Compiled[]) => Type)(args)
      }
      const other = time === left ? right : left
      if (!isNumber(other.type) && other.interval === undefined)
        throw new SqlRefusal(`cannot use the ${other.type} type with the ${sign === 1 ? '+' : '-'} operator`, other.at)
      return time.type === 'Date' && other.interval !== undefined && /SECOND|MINUTE|HOUR/.test(other.interval.unit)
        ? 'DateTime'
        : time.type
    },
    make(args) {
      const [left, right] = args as [Compiled, Compiled]
      const interval = left.interval ?? right.interval
      if (interval === undefined) {
        const dates = left.type === 'Date' || right.type === 'Date'
        if (dates && isTime(left.type) !== isTime(right.type))
          return left.type === 'Date'
            ? (a, b) => clampTime((a as number) + sign * 86_400 * (b as number))
            : (a, b) => clampTime((b as number) + 86_400 * (a as number))
        return sign === 1 ? (a, b) => (a as number) + (b as number) : (a, b) => (a as number) - (b as number)
      }
      const zone = zoneOf(left.interval === undefined ? left.type : right.type)
      if (left.interval === undefined) return (at) => addInterval(at as number, interval, sign, zone)
      return (_, at) => addInterval(at as number, interval, sign, zone)
    },
  }
}

const anyRun = Symbol('%')
const anyOne = Symbol('_')

/** `%` and `_` as in SQL, a backslash before what stands for itself. Takes time by the product of both lengths at most. */
export function likeMatcher(pattern: string): (text: string) => boolean {
  const wanted: (string | symbol)[] = []
  for (const [, escaped, plain] of pattern.matchAll(/\\([\s\S])|([\s\S])/gu))
    wanted.push(escaped ?? (plain === '%' ? anyRun : plain === '_' ? anyOne : plain!))
  return (text) => {
    const points = [...text]
    let [at, next] = [0, 0]
    /** Behind the last `%`, and the point from which it is tried. */
    let [back, from] = [-1, 0]
    while (at < points.length) {
      if (wanted[next] === anyRun) {
        back = ++next
        from = at
      } else if (next < wanted.length && (wanted[next] === anyOne || wanted[next] === points[at])) {
        at++
        next++
      } else if (back !== -1) {
        next = back
        at = ++from
      } else return false
    }
    return wanted.slice(next).every((one) => one === anyRun)
  }
}

function like(fold: (text: string) => string): ScalarFunction {
  return {
    takes: ['text', 'text!'],
    gives: 'UInt8',
    make(args) {
      const matches = likeMatcher(fold(String(args[1]!.constant)))
      return (text) => truth(matches(fold(text as string)))
    },
  }
}

const bothTrue: ScalarFunction = {
  takes: ['number', 'number'],
  gives: 'UInt8',
  make: () => (left, right) => truth(isTrue(left) && isTrue(right)),
}
const oneTrue: ScalarFunction = {
  takes: ['number', 'number'],
  gives: 'UInt8',
  make: () => (left, right) => truth(isTrue(left) || isTrue(right)),
}

export const operators: Readonly<Record<string, ScalarFunction>> = {
  and: bothTrue,
  or: oneTrue,
  not: { takes: ['number'], gives: 'UInt8', make: () => (value) => truth(!isTrue(value)) },
  equals: comparison((order, isUnordered) => order === 0 && !isUnordered),
  notEquals: comparison((order, isUnordered) => order !== 0 || isUnordered),
  less: comparison((order, isUnordered) => order < 0 && !isUnordered),
  lessOrEquals: comparison((order, isUnordered) => order <= 0 && !isUnordered),
  greater: comparison((order, isUnordered) => order > 0 && !isUnordered),
  greaterOrEquals: comparison((order, isUnordered) => order >= 0 && !isUnordered),
  in: {
    takes: ['any', 'any'],
    rest: 'any',
    gives: 'UInt8',
    make(args) {
      const [value, ...list] = args as [Compiled, ...Compiled[]]
      for (const one of list) {
        requireAlike(value, one)
        if (one.constant === undefined) throw new SqlRefusal('IN takes a list of literals', one.at)
      }
      const values = new Set(list.map((one) => one.constant!))
      return (one) => truth(values.has(one))
    },
  },
  like: like((text) => text),
  ilike: like((text) => text.toLowerCase()),
  plus: shifting(1),
  minus: shifting(-1),
  multiply: arithmetic((left, right) => left * right, wider(false)),
  divide: arithmetic(
    (left, right) => left / right,
    () => 'Float64',
  ),
  modulo: arithmetic(
    (left, right) => left % right,
    (left, right) => (integerOf(left) && integerOf(right) ? right : 'Float64'),
  ),
  negate: {
    takes: ['number'],
    gives: ([of]) => {
      const integer = integerOf(of!.type)
      return integer === undefined
        ? 'Float64'
        : integerType({ signed: true, bits: integer.signed ? integer.bits : 2 * integer.bits })
    },
    make: () => (value) => -(value as number),
  },
  if: {
    takes: ['number', 'any', 'any'],
    gives(args) {
      const [, first, second] = args as [Compiled, Compiled, Compiled]
      if (first.type === second.type) return first.type
      if (isNumber(first.type) && isNumber(second.type)) return commonNumber(first.type, second.type)
      throw new SqlRefusal('the 2nd and 3rd arguments to IF() must have the same type', second.at)
    },
    make: () => (condition, first, second) => (isTrue(condition) ? first : second),
  },
}
