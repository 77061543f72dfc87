/** Functions of many rows. */
import type { Takes } from './functions.ts'
import { isTrue } from './operators.ts'
import { SqlRefusal } from './syntax.ts'
import { type Compiled, compareValues, integerOf, isNumber, isTime, type Type, type Value } from './values.ts'

export interface Accumulator {
  add(values: readonly Value[]): void
  result(): Value
}

/** Counts what a query holds in memory, bytes; throws a `SqlRefusal` when that is too much. */
export type Hold = (bytes: number) => void

export interface AggregateFunction {
  readonly takes: readonly Takes[]
  readonly least?: number
  /** How many parameters it may have, in parentheses of their own. */
  readonly parameters?: number
  readonly distinct?: true
  readonly gives: Type | ((args: readonly Compiled[]) => Type)
  readonly make: (args: readonly Compiled[], parameters: readonly Compiled[]) => (hold: Hold) => Accumulator
}

const sizeOf = (value: Value): number => 32 + (typeof value === 'string' ? 2 * value.length : 0)

function folded<State extends Value>(start: State, add: (state: State, value: Value) => State): () => Accumulator {
  return () => {
    let state = start
    return {
      add([value]) {
        state = add(state, value!)
      },
      result: () => state,
    }
  }
}

const sumType = ([of]: readonly Compiled[]): Type => {
  const integer = integerOf(of!.type)
  return integer === undefined ? 'Float64' : integer.signed ? 'Int64' : 'UInt64'
}
const same = ([of]: readonly Compiled[]): Type => of!.type

const count: AggregateFunction = {
  takes: ['any'],
  least: 0,
  distinct: true,
  gives: 'UInt64',
  make: () => folded<number>(0, (state) => state + 1),
}
const sum: AggregateFunction = {
  takes: ['number'],
  distinct: true,
  gives: sumType,
  make: () => folded<number>(0, (state, value) => state + (value as number)),
}
const avg: AggregateFunction = {
  takes: ['number'],
  distinct: true,
  gives: 'Float64',
  make: () => () => {
    let [total, many] = [0, 0]
    return {
      add([value]) {
        total += value as number
        many++
      },
      result: () => total / many,
    }
  },
}

/** Numbers and times alone, as at the vendor. */
function extreme(name: string, sign: 1 | -1): AggregateFunction {
  return {
    takes: ['any'],
    gives: same,
    make: ([of]) => {
      if (!isNumber(of!.type) && !isTime(of!.type))
        throw new SqlRefusal(`cannot use the ${of!.type} type as argument 1 in ${name}()`, of!.at)
      return () => {
        let best: Value | undefined
        return {
          add([value]) {
            if (best === undefined || sign * compareValues(value!, best) > 0) best = value!
          },
          result: () => best ?? 0,
        }
      }
    },
  }
}

const nothing = (type: Type): Value => (type === 'String' ? '' : type.startsWith('Array') ? [] : 0)

function atExtreme(sign: 1 | -1): AggregateFunction {
  return {
    takes: ['any', 'any'],
    gives: same,
    make:
      ([of]) =>
      () => {
        let best: { value: Value; by: Value } | undefined
        return {
          add([value, by]) {
            if (best === undefined || sign * compareValues(by!, best.by) > 0) best = { value: value!, by: by! }
          },
          result: () => best?.value ?? nothing(of!.type),
        }
      },
  }
}

/** https://clickhouse.com/docs/sql-reference/aggregate-functions/reference/quantileexactweighted */
function quantile(level: number, hold: Hold): Accumulator {
  const found: { value: number; weight: number }[] = []
  let total = 0
  return {
    add([value, weight]) {
      if (Number.isNaN(value) || !((weight as number) > 0)) return
      hold(48)
      found.push({ value: value as number, weight: weight as number })
      total += weight as number
    },
    result() {
      found.sort((a, b) => a.value - b.value)
      const threshold = Math.ceil(total * level)
      let passed = 0
      for (const { value, weight } of found) {
        passed += weight
        if (passed >= threshold) return value
      }
      return Number.NaN
    },
  }
}

function levelOf(parameter: Compiled | undefined): number {
  if (parameter === undefined) return 0.5
  const { constant, at } = parameter
  if (typeof constant !== 'number' || !(constant >= 0 && constant <= 1))
    throw new SqlRefusal('a quantile is a literal from 0 to 1', at)
  return constant
}

function mostCommon(weighted: boolean): AggregateFunction {
  return {
    takes: weighted ? ['any', 'number'] : ['any'],
    parameters: 1,
    gives: ([of]) => `Array(${of!.type})`,
    make(_, [parameter]) {
      const many = parameter?.constant ?? 10
      if (typeof many !== 'number' || !Number.isInteger(many) || many < 1 || many > 65_536)
        throw new SqlRefusal('topK takes a whole number from 1 to 65536', parameter?.at)
      return (hold) => {
        const counts = new Map<Value, number>()
        return {
          add([value, weight = 1]) {
            const known = counts.get(value!)
            if (known === undefined) hold(48 + sizeOf(value!))
            counts.set(value!, (known ?? 0) + (weight as number))
          },
          result: () =>
            [...counts]
              .sort((a, b) => b[1] - a[1])
              .slice(0, many)
              .map(([value]) => value),
        }
      }
    },
  }
}

const first: AggregateFunction = {
  takes: ['any'],
  gives: same,
  make:
    ([of]) =>
    () => {
      let found: Value | undefined
      return {
        add([value]) {
          found ??= value!
        },
        result: () => found ?? nothing(of!.type),
      }
    },
}
const last: AggregateFunction = {
  takes: ['any'],
  gives: same,
  make: ([of]) => folded(nothing(of!.type), (_, value) => value),
}

/** The condition comes last. */
function conditional(base: AggregateFunction, takes: readonly Takes[]): AggregateFunction {
  return {
    takes: [...takes, 'number'],
    gives: base.gives,
    make(args, parameters) {
      const make = base.make(args.slice(0, -1), parameters)
      return (hold) => {
        const inner = make(hold)
        return {
          add(values) {
            if (isTrue(values.at(-1)!)) inner.add(values)
          },
          result: () => inner.result(),
        }
      }
    },
  }
}

const all: Readonly<Record<string, AggregateFunction>> = {
  count,
  sum,
  avg,
  min: extreme('min', -1),
  max: extreme('max', 1),
  argMin: atExtreme(-1),
  argMax: atExtreme(1),
  first_value: first,
  last_value: last,
  topK: mostCommon(false),
  topKWeighted: mostCommon(true),
  countIf: conditional(count, []),
  sumIf: conditional(sum, ['number']),
  avgIf: conditional(avg, ['number']),
  quantileExactWeighted: {
    takes: ['number', 'number'],
    parameters: 1,
    gives: same,
    make: (_, [level]) => {
      const at = levelOf(level)
      return (hold) => quantile(at, hold)
    },
  },
  quantileWeighted: {
    takes: ['number', 'number', 'number'],
    gives: ([, of]) => of!.type,
    make: ([level]) => {
      const at = levelOf(level)
      return (hold) => {
        const inner = quantile(at, hold)
        return { add: ([, value, weight]) => inner.add([value!, weight!]), result: () => inner.result() }
      }
    },
  },
}
const byName = new Map(Object.entries(all).map(([name, one]) => [name.toLowerCase(), { name, ...one }]))

export function aggregateFunction(name: string): (AggregateFunction & { readonly name: string }) | undefined {
  return byName.get(name.toLowerCase())
}

/** Each value counts once. */
export function onceEach(make: (hold: Hold) => Accumulator): (hold: Hold) => Accumulator {
  return (hold) => {
    const inner = make(hold)
    const seen = new Set<Value>()
    return {
      add(values) {
        const value = values[0] ?? ''
        if (seen.has(value)) return
        hold(sizeOf(value))
        seen.add(value)
        inner.add(values)
      },
      result: () => inner.result(),
    }
  }
}
