/** Expressions as functions of a row, with their types. */
import { type Accumulator, type AggregateFunction, aggregateFunction, type Hold, onceEach } from './aggregates.ts'
import { sameText } from './expand.ts'
import { scalarFunction, type Takes, type World } from './functions.ts'
import { type Call, type Expression, SqlRefusal } from './syntax.ts'
import { type Compiled, isNumber, isTime, literalType, type Row, type Type, type Value } from './values.ts'

/** Finds a column; `undefined` where there is none of that name. */
export type FindColumn = (name: string) => Omit<Compiled, 'at'> | undefined

/** Rows that were gathered: first the values of the keys, then those of the aggregates. */
export interface Gathered {
  readonly keys: readonly { readonly text: string; readonly type: Type }[]
  /** Grows while expressions are compiled. */
  readonly aggregates: Aggregate[]
}

export interface Aggregate {
  readonly text: string
  readonly type: Type
  readonly args: readonly Compiled[]
  readonly start: (hold: Hold) => Accumulator
}

export interface Scope {
  readonly column: FindColumn
  readonly world: World
  readonly gathered?: Gathered
}

/** Throws a `SqlRefusal`. */
export function compile(expression: Expression, scope: Scope): Compiled {
  const { gathered } = scope
  if (gathered !== undefined) {
    const text = sameText(expression)
    const key = gathered.keys.findIndex((one) => one.text === text)
    if (key !== -1) return slot(expression, key, gathered.keys[key]!.type)
  }
  const { at } = expression
  switch (expression.kind) {
    case 'literal':
      return literal(expression.value, at)
    case 'interval':
      return { type: 'Interval', at, evaluate: () => 0, interval: expression }
    case 'star':
      throw new SqlRefusal('* stands alone in a list of columns, or in count(*)', at)
    case 'name':
      return compileName(expression.name, at, scope)
    case 'call':
      return compileCall(expression, scope)
  }
}

function slot({ at }: Expression, index: number, type: Type): Compiled {
  return { type, at, evaluate: (row) => row[index]! }
}

function literal(value: string | number | boolean, at: number): Compiled {
  const constant = typeof value === 'boolean' ? Number(value) : value
  const type = typeof constant === 'string' ? 'String' : typeof value === 'boolean' ? 'UInt8' : literalType(constant)
  return { type, at, evaluate: () => constant, constant }
}

function compileName(name: string, at: number, { column, gathered }: Scope): Compiled {
  const found = column(name)
  if (found === undefined) throw new SqlRefusal(`unable to find type of column: ${name.slice(0, 80)}`, at)
  if (gathered !== undefined && found.constant === undefined)
    throw new SqlRefusal(`column ${name} is neither in GROUP BY nor under an aggregate function`, at)
  return { ...found, at }
}

function compileCall(call: Call, scope: Scope): Compiled {
  const aggregate = aggregateFunction(call.name)
  if (aggregate !== undefined) return compileAggregate(call, aggregate, scope)
  const known = scalarFunction(call.name)
  if (known === undefined) throw new SqlRefusal(`unknown function call: ${call.name.slice(0, 80)}`, call.at)
  if (call.parameters !== undefined || call.distinct)
    throw new SqlRefusal(`${known.name}() takes no ${call.distinct ? 'DISTINCT' : 'parameters'}`, call.at)
  const args = call.args.map((arg) => compile(arg, scope))
  checkArguments(known, args, call)
  const type = typeof known.gives === 'string' ? known.gives : known.gives(args)
  const run = known.make(args, scope.world)
  const evaluate = evaluator(run, args)
  const isConstant = args.every((arg) => arg.constant !== undefined || arg.interval !== undefined)
  if (!isConstant) return { type, at: call.at, evaluate }
  const constant = evaluate([])
  return { type, at: call.at, evaluate: () => constant, constant }
}

/** Of few arguments without an array for them. */
function evaluator(run: (...values: Value[]) => Value, args: readonly Compiled[]): (row: Row) => Value {
  const [first, second, third] = args.map((arg) => arg.evaluate)
  if (args.length === 0) return () => run()
  if (args.length === 1) return (row) => run(first!(row))
  if (args.length === 2) return (row) => run(first!(row), second!(row))
  if (args.length === 3) return (row) => run(first!(row), second!(row), third!(row))
  return (row) => run(...args.map((arg) => arg.evaluate(row)))
}

function compileAggregate(call: Call, known: AggregateFunction & { name: string }, scope: Scope): Compiled {
  const { gathered, column, world } = scope
  const { at, distinct, parameters = [] } = call
  if (gathered === undefined) throw new SqlRefusal(`aggregate function ${known.name}() cannot stand here`, at)
  const text = sameText(call)
  const before = gathered.aggregates.findIndex((one) => one.text === text)
  if (before !== -1) return slot(call, gathered.keys.length + before, gathered.aggregates[before]!.type)
  const isStar = known.name === 'count' && call.args.length === 1 && call.args[0]!.kind === 'star'
  const args = isStar ? [] : call.args.map((arg) => compile(arg, { column, world }))
  checkArguments(known, args, call)
  if (parameters.length > (known.parameters ?? 0))
    throw new SqlRefusal(`${known.name}() takes ${known.parameters ?? 'no'} parameters`, at)
  if (distinct && (!known.distinct || args.length === 0)) throw new SqlRefusal(`${known.name}() takes no DISTINCT`, at)
  const make = known.make(
    args,
    parameters.map((one) => compile(one, { column: () => undefined, world })),
  )
  const type = typeof known.gives === 'string' ? known.gives : known.gives(args)
  gathered.aggregates.push({ text, type, args, start: distinct ? onceEach(make) : make })
  return slot(call, gathered.keys.length + gathered.aggregates.length - 1, type)
}

interface Checked {
  readonly name: string
  readonly takes: readonly Takes[]
  readonly least?: number
  readonly rest?: Takes
}

function checkArguments(
  { name, takes, least = takes.length, rest }: Checked,
  args: readonly Compiled[],
  { at }: Call,
): void {
  if (args.length < least || (rest === undefined && args.length > takes.length)) {
    const wanted = least === takes.length ? String(least) : `${least} to ${takes.length}`
    throw new SqlRefusal(
      `${name}() takes ${rest === undefined ? wanted : `${least} or more`} arguments, not ${args.length}`,
      at,
    )
  }
  for (const [index, arg] of args.entries()) {
    const wanted = takes[index] ?? rest!
    if (!fits(wanted, arg))
      throw new SqlRefusal(`cannot use the ${arg.type} type as argument ${index + 1} in ${name}()`, arg.at)
    if (wanted === 'text!' && arg.constant === undefined)
      throw new SqlRefusal(`argument ${index + 1} of ${name}() must be a literal`, arg.at)
  }
}

function fits(wanted: Takes, { type, interval }: Compiled): boolean {
  switch (wanted) {
    case 'any':
      return true
    case 'number':
      return isNumber(type)
    case 'text':
    case 'text!':
      return type === 'String'
    case 'time':
      return isTime(type)
    case 'interval':
      return interval !== undefined
  }
}
