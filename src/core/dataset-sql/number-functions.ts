/** Functions of numbers: https://developers.cloudflare.com/analytics/analytics-engine/sql-reference/ */
import type { ScalarFunction } from './functions.ts'
import { SqlRefusal } from './syntax.ts'
import { type Compiled, commonNumber, integerOf, isNumber, type Type, type Value } from './values.ts'

type Run = (...values: Value[]) => Value

const ofNumbers = (
  count: number,
  gives: ScalarFunction['gives'],
  run: (...values: number[]) => number,
): ScalarFunction => ({
  takes: Array.from({ length: count }, () => 'number'),
  gives,
  make: () => run as Run,
})

const same = (args: readonly Compiled[]): Type => args[0]!.type
const common = ([left, right]: readonly Compiled[]): Type => commonNumber(left!.type, right!.type)

/** To so many digits behind the point, or before it. */
function rounding(round: (value: number) => number): ScalarFunction {
  return {
    takes: ['number', 'number'],
    least: 1,
    gives: same,
    make:
      () =>
      (value, digits = 0) => {
        if (digits === 0) return round(value as number)
        const scale = 10 ** Math.trunc(digits as number)
        const scaled = (value as number) * scale
        // 3.1 * 10 is a little more than 31 and would be rounded up.
        const near = Math.round(scaled)
        return (Math.abs(scaled - near) < 1e-9 * Math.abs(scaled) ? near : round(scaled)) / scale
      },
  }
}

/** Halves go to the even neighbour, as ClickHouse has it for `Float64`. */
function roundHalfEven(value: number): number {
  const low = Math.floor(value)
  const above = value - low
  if (above !== 0.5) return Math.round(value)
  return low % 2 === 0 ? low : low + 1
}

/** What a number is in bits: a whole one as it is, any other as its IEEE 754 form. */
function bitsOf(arg: Compiled): (value: Value) => bigint {
  const integer = integerOf(arg.type)
  if (integer !== undefined) return (value) => BigInt.asUintN(integer.bits, BigInt(Math.trunc(value as number)))
  const view = new DataView(new ArrayBuffer(8))
  return (value) => {
    view.setFloat64(0, value as number)
    return view.getBigUint64(0)
  }
}

function wholeBits(args: readonly Compiled[], name: string): number {
  for (const { type, at } of args)
    if (integerOf(type) === undefined)
      throw new SqlRefusal(`cannot use the ${type} type in ${name}; take toUInt32()`, at)
  return Math.max(...args.map(({ type }) => integerOf(type)!.bits))
}

function bitwise(name: string, run: (left: bigint, right: bigint) => bigint): ScalarFunction {
  return {
    takes: ['number', 'number'],
    gives: common,
    make(args) {
      const bits = wholeBits(args, name)
      const [left, right] = args.map(bitsOf)
      return (a, b) => Number(BigInt.asUintN(bits, run(left!(a), right!(b))))
    },
  }
}

/** Within the width of the first argument. */
function shifting(name: string, run: (value: bigint, by: bigint, bits: bigint) => bigint): ScalarFunction {
  return {
    takes: ['number', 'number'],
    gives: same,
    make(args) {
      wholeBits(args, name)
      const { bits } = integerOf(args[0]!.type)!
      const of = bitsOf(args[0]!)
      return (value, by) => {
        if (!((by as number) >= 0)) throw new SqlRefusal(`${name} by less than 0 positions`, args[1]!.at)
        return Number(BigInt.asUintN(bits, run(of(value), BigInt(Math.min(by as number, 64)), BigInt(bits))))
      }
    },
  }
}

const ones = (bits: bigint): number => bits.toString(2).replaceAll('0', '').length

function toUnsigned(bits: number): ScalarFunction {
  return {
    takes: ['any'],
    gives: `UInt${bits}`,
    make([of]) {
      const { type, at } = of!
      if (!isNumber(type) && type !== 'String' && !type.startsWith('Date'))
        throw new SqlRefusal(`cannot use the ${type} type as argument 1 in toUInt${bits}()`, at)
      return (value) => {
        const number = typeof value === 'string' ? Number(value) : (value as number)
        if (typeof value === 'string' && !/^\s*-?\d+(\.\d+)?\s*$/.test(value)) return 0
        return Number.isFinite(number) ? Number(BigInt.asUintN(bits, BigInt(Math.trunc(number)))) : 0
      }
    },
  }
}

const ofText = (text: string, radix: 2 | 16): string =>
  [...new TextEncoder().encode(text)].map((byte) => byte.toString(radix).padStart(radix === 2 ? 8 : 2, '0')).join('')

function written(radix: 2 | 16): ScalarFunction {
  const digits = radix === 2 ? 8 : 2
  return {
    takes: ['any'],
    gives: 'String',
    make([of]) {
      if (of!.type === 'String') return (value) => ofText(value as string, radix).toUpperCase()
      if (!isNumber(of!.type))
        throw new SqlRefusal(`cannot use the ${of!.type} type in ${radix === 2 ? 'bin' : 'hex'}()`, of!.at)
      const bits = bitsOf(of!)
      return (value) => {
        const text = bits(value).toString(radix).toUpperCase()
        return text.padStart(Math.ceil(text.length / digits) * digits, '0')
      }
    },
  }
}

export const numberFunctions: Readonly<Record<string, ScalarFunction>> = {
  intDiv: {
    takes: ['number', 'number'],
    gives: ([left, right]) => (integerOf(left!.type) && integerOf(right!.type) ? left!.type : 'Int64'),
    make: (args) => (left, right) => {
      if (right === 0) throw new SqlRefusal('intDiv by zero', args[1]!.at)
      return Math.trunc((left as number) / (right as number))
    },
  },
  log: ofNumbers(1, 'Float64', Math.log),
  ln: ofNumbers(1, 'Float64', Math.log),
  pow: ofNumbers(2, 'Float64', Math.pow),
  round: rounding(roundHalfEven),
  floor: rounding(Math.floor),
  ceil: rounding(Math.ceil),
  bitAnd: bitwise('bitAnd', (left, right) => left & right),
  bitOr: bitwise('bitOr', (left, right) => left | right),
  bitXor: bitwise('bitXor', (left, right) => left ^ right),
  bitNot: {
    takes: ['number'],
    gives: same,
    make(args) {
      const bits = wholeBits(args, 'bitNot')
      const of = bitsOf(args[0]!)
      return (value) => Number(BigInt.asUintN(bits, ~of(value)))
    },
  },
  bitCount: {
    takes: ['number'],
    gives: 'UInt8',
    make(args) {
      const of = bitsOf(args[0]!)
      return (value) => ones(of(value))
    },
  },
  bitHammingDistance: {
    takes: ['number', 'number'],
    gives: 'UInt8',
    make(args) {
      const [left, right] = args.map(bitsOf)
      return (a, b) => ones(left!(a) ^ right!(b))
    },
  },
  bitShiftLeft: shifting('bitShiftLeft', (value, by) => value << by),
  bitShiftRight: shifting('bitShiftRight', (value, by) => value >> by),
  bitRotateLeft: shifting(
    'bitRotateLeft',
    (value, by, bits) => (value << (by % bits)) | (value >> (bits - (by % bits))),
  ),
  bitRotateRight: shifting(
    'bitRotateRight',
    (value, by, bits) => (value >> (by % bits)) | (value << (bits - (by % bits))),
  ),
  bitTest: {
    takes: ['number', 'number'],
    gives: 'UInt8',
    make(args) {
      const of = bitsOf(args[0]!)
      return (value, bit) => Number((of(value) >> BigInt(Math.min(Math.max(Math.trunc(bit as number), 0), 64))) & 1n)
    },
  },
  toUInt8: toUnsigned(8),
  toUInt32: toUnsigned(32),
  bin: written(2),
  hex: written(16),
}
