/** Values of a query and their types, named as ClickHouse names them. */
import type { Interval } from './calendar.ts'
import type { Offset } from './syntax.ts'

/** Times are seconds since 1970, dates the first second of theirs; what is true is 1. NaN stands for what has no value. */
export type Value = string | number | readonly Value[]

/** As `UInt64`, `Float64`, `String`, `Date`, `DateTime`, `DateTime('Europe/Paris')`, `Array(String)`; `Interval` only inside. */
export type Type = string

export type Row = readonly Value[]

/** An expression that knows its type and is ready to run. */
export interface Compiled {
  readonly type: Type
  readonly at: Offset
  readonly evaluate: (row: Row) => Value
  /** The value, where no row changes it. */
  readonly constant?: Value
  readonly interval?: Interval
}

const integer = /^(U?)Int(8|16|32|64)$/

export interface IntegerType {
  readonly signed: boolean
  readonly bits: number
}

export function integerOf(type: Type): IntegerType | undefined {
  const found = integer.exec(type)
  return found === null ? undefined : { signed: found[1] === '', bits: Number(found[2]) }
}

export const integerType = ({ signed, bits }: IntegerType): Type => `${signed ? '' : 'U'}Int${Math.min(bits, 64)}`
export const isNumber = (type: Type): boolean => type === 'Float64' || integer.test(type)
export const isTime = (type: Type): boolean => type === 'Date' || type.startsWith('DateTime')

/** The zone that a time is shown in. */
export const zoneOf = (type: Type): string => /^DateTime\('(.*)'\)$/.exec(type)?.[1] ?? 'Etc/UTC'
export const timeType = (zone: string | undefined): Type => (zone === undefined ? 'DateTime' : `DateTime('${zone}')`)

/** The smallest type that holds a whole number as it is written. */
export function literalType(value: number): Type {
  if (!Number.isInteger(value)) return 'Float64'
  for (const bits of [8, 16, 32, 64])
    if (value >= 0 ? value < 2 ** bits : value >= -(2 ** (bits - 1))) return integerType({ signed: value < 0, bits })
  return 'Float64'
}

/** Of two types of numbers: one that holds what either does. */
export function commonNumber(left: Type, right: Type): Type {
  const [a, b] = [integerOf(left), integerOf(right)]
  if (a === undefined || b === undefined) return 'Float64'
  if (a.signed === b.signed) return integerType({ signed: a.signed, bits: Math.max(a.bits, b.bits) })
  const unsigned = a.signed ? b : a
  return integerType({ signed: true, bits: Math.max(a.bits, b.bits, 2 * unsigned.bits) })
}

/** Text before numbers never happens: a comparison is of one kind. */
export function compareValues(left: Value, right: Value): number {
  if (typeof left === 'number' && typeof right === 'number') {
    // NaN is behind all.
    if (Number.isNaN(left) || Number.isNaN(right)) return Number(Number.isNaN(left)) - Number(Number.isNaN(right))
    return left - right
  }
  return left < right ? -1 : left > right ? 1 : 0
}
