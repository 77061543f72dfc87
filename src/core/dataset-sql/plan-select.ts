/** What a SELECT reads, and how its rows become those of the answer. */
import type { Accumulator, Hold } from './aggregates.ts'
import { aggregateFunction } from './aggregates.ts'
import { compile, type FindColumn, type Gathered, type Scope } from './compile-expression.ts'
import { type Aliases, aliasesOf, expand, sameText } from './expand.ts'
import type { World } from './functions.ts'
import { isTrue } from './operators.ts'
import { type Expression, type Select, SqlRefusal } from './syntax.ts'
import { type Compiled, compareValues, type Row, type Type, type Value } from './values.ts'

export interface Column {
  readonly name: string
  readonly type: Type
}

export interface Outcome {
  readonly rows: readonly Row[]
  /** How many there were before LIMIT and OFFSET. */
  readonly before: number
}

/** What is read has columns by name; those that are asked for are told to `column`. */
export interface Readable {
  readonly column: FindColumn
  /** Those of `*`, in their order. */
  readonly all: readonly string[]
}

export interface Plan {
  readonly columns: readonly Column[]
  readonly run: (rows: Iterable<Row>, hold: Hold) => Outcome
  /** Of the WHERE clause: parts that must all hold, and their scope. */
  readonly conditions: readonly Expression[]
}

/** Throws a `SqlRefusal`. */
export function planSelect(select: Select, from: Readable, world: World, count: Aliases['count']): Plan {
  const aliases = aliasesOf(select, (name) => from.column(name) !== undefined, count)
  const columns = select.columns.flatMap((column) => {
    if (column.expression.kind !== 'star')
      return [{ name: column.alias ?? column.text, expression: expandColumn(column.expression, aliases, column.alias) }]
    const { at } = column.expression
    return from.all.map((name) => ({ name, expression: { kind: 'name', at, name } as Expression }))
  })
  const later = (one: Expression) => expand(one, aliases, false)
  const where = select.where && expand(select.where, aliases, true)
  const groupBy = select.groupBy.map(later)
  const having = select.having && later(select.having)
  const orderBy = select.orderBy.map(({ expression, descending }) => ({ expression: later(expression), descending }))
  const plain: Scope = { column: from.column, world }
  const condition = where && requireNumber(compile(where, plain), 'WHERE')
  const shown = [...columns.map(({ expression }) => expression), ...orderBy.map(({ expression }) => expression)]
  const isGathered = groupBy.length > 0 || having !== undefined || shown.some(hasAggregate)
  const keys = groupBy.map((expression) => ({ ...compile(expression, plain), text: sameText(expression) }))
  const gathered: Gathered | undefined = isGathered ? { keys, aggregates: [] } : undefined
  const scope: Scope = gathered === undefined ? plain : { ...plain, gathered }
  const out = columns.map(({ name, expression }) => ({ name, ...compile(expression, scope) }))
  for (const { type, at } of out)
    if (type === 'Interval') throw new SqlRefusal('an INTERVAL is no value of its own', at)
  const kept = having && requireNumber(compile(having, scope), 'HAVING')
  const order = orderBy.map(({ expression, descending }) => {
    if (expression.kind === 'literal')
      throw new SqlRefusal('unsupported: ORDER BY a literal; name a column', expression.at)
    return { by: compile(expression, scope), sign: descending ? -1 : 1 }
  })
  return {
    columns: out.map(({ name, type }) => ({ name, type })),
    conditions: where === undefined ? [] : conjuncts(where),
    run(rows, hold) {
      const read = condition === undefined ? rows : only(rows, condition)
      const all = gathered === undefined ? read : gather(read, keys, gathered, hold)
      const found = kept === undefined ? all : only(all, kept)
      return arrange(found, { out, order, limit: select.limit, offset: select.offset, hold })
    },
  }
}

/** An alias stands for its own expression, in which it is a column. */
function expandColumn(expression: Expression, aliases: Aliases, alias: string | undefined): Expression {
  return expand(expression, aliases, false, alias === undefined ? [] : [alias])
}

function requireNumber(compiled: Compiled, clause: string): Compiled {
  if (/^U?Int|^Float/.test(compiled.type)) return compiled
  throw new SqlRefusal(`${clause} takes a condition, not the ${compiled.type} type`, compiled.at)
}

function hasAggregate(expression: Expression): boolean {
  if (expression.kind !== 'call') return false
  return aggregateFunction(expression.name) !== undefined || expression.args.some(hasAggregate)
}

function conjuncts(expression: Expression): Expression[] {
  if (expression.kind === 'call' && expression.name === 'and') return expression.args.flatMap(conjuncts)
  return [expression]
}

function* only(rows: Iterable<Row>, { evaluate }: Compiled): Generator<Row> {
  for (const row of rows) if (isTrue(evaluate(row))) yield row
}

/** A row a group; without keys one row, even of nothing. */
function* gather(rows: Iterable<Row>, keys: readonly Compiled[], { aggregates }: Gathered, hold: Hold): Generator<Row> {
  const groups = new Map<string, { readonly values: Row; readonly running: readonly Accumulator[] }>()
  const begin = (text: string, values: Row) => {
    hold(128 + 2 * text.length + 96 * aggregates.length)
    const group = { values, running: aggregates.map(({ start }) => start(hold)) }
    groups.set(text, group)
    return group
  }
  for (const row of rows) {
    const values = keys.map(({ evaluate }) => evaluate(row))
    const text = values.length === 1 && typeof values[0] === 'string' ? values[0] : JSON.stringify(values)
    const { running } = groups.get(text) ?? begin(text, values)
    for (const [index, { args }] of aggregates.entries()) running[index]!.add(args.map(({ evaluate }) => evaluate(row)))
  }
  if (groups.size === 0 && keys.length === 0) begin('', [])
  for (const { values, running } of groups.values()) yield [...values, ...running.map((one) => one.result())]
}

interface Arrangement {
  readonly out: readonly Compiled[]
  readonly order: readonly { readonly by: Compiled; readonly sign: number }[]
  readonly limit: number | undefined
  readonly offset: number
  readonly hold: Hold
}

interface Arranged {
  readonly shown: Row
  readonly by: Row
}

function arrange(rows: Iterable<Row>, { out, order, limit, offset, hold }: Arrangement): Outcome {
  const most = limit === undefined ? Number.POSITIVE_INFINITY : offset + limit
  const sort = (list: Arranged[]) =>
    list.sort((a, b) => {
      for (const [index, { sign }] of order.entries()) {
        const compared = sign * compareValues(a.by[index]!, b.by[index]!)
        if (compared !== 0) return compared
      }
      return 0
    })
  let kept: Arranged[] = []
  let before = 0
  for (const row of rows) {
    before++
    // Without an order the first rows are as good as any.
    if (order.length === 0 && kept.length >= most) break
    const shown = out.map(({ evaluate }) => evaluate(row))
    const by = order.map(({ by: { evaluate } }) => evaluate(row))
    if (kept.length < most) hold(64 + [...shown, ...by].reduce((sum: number, value) => sum + sizeOf(value), 0))
    kept.push({ shown, by })
    if (order.length > 0 && kept.length >= 2 * most + 1000) kept = sort(kept).slice(0, most)
  }
  if (order.length > 0) kept = sort(kept)
  return { rows: kept.slice(offset, most).map(({ shown }) => shown), before }
}

const sizeOf = (value: Value): number =>
  typeof value === 'number' ? 16 : typeof value === 'string' ? 32 + 2 * value.length : 32 + 32 * value.length
