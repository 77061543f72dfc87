/** Functions of one row: what they take, what they give. Names are found whatever their case. */
import { numberFunctions } from './number-functions.ts'
import { operators } from './operators.ts'
import { textFunctions } from './text-functions.ts'
import { timeFunctions } from './time-functions.ts'
import type { Compiled, Type, Value } from './values.ts'

/** Of an argument; `text!`: one that no row changes. */
export type Takes = 'any' | 'number' | 'text' | 'text!' | 'time' | 'interval'

export interface ScalarFunction {
  readonly takes: readonly Takes[]
  /** How many of `takes` must be there; absent: all. */
  readonly least?: number
  /** Of all arguments behind `takes`. */
  readonly rest?: Takes
  readonly gives: Type | ((args: readonly Compiled[]) => Type)
  /** What is run for each row, made once; throws a `SqlRefusal` for arguments that do not fit. */
  readonly make: (args: readonly Compiled[], world: World) => (...values: Value[]) => Value
}

export interface World {
  /** Seconds since 1970, one instant for the whole query. */
  readonly now: number
}

const all: Readonly<Record<string, ScalarFunction>> = {
  ...operators,
  ...numberFunctions,
  ...textFunctions,
  ...timeFunctions,
}
const byName = new Map(Object.entries(all).map(([name, one]) => [name.toLowerCase(), { name, ...one }]))

export function scalarFunction(name: string): (ScalarFunction & { readonly name: string }) | undefined {
  return byName.get(name.toLowerCase())
}
