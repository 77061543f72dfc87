/** A query of a dataset: what must be read for it, and its answer from that. */
import type { Hold } from './aggregates.ts'
import { compile, type FindColumn } from './compile-expression.ts'
import type { World } from './functions.ts'
import { type Column, type Outcome, type Plan, planSelect, type Readable } from './plan-select.ts'
import type { Expression, Select } from './syntax.ts'
import type { Row, Type, Value } from './values.ts'

const many = 20
const each = (name: string) => Array.from({ length: many }, (_, index) => `${name}${index + 1}`)

/** Columns that are stored, and their types. */
export const storedColumns: ReadonlyMap<string, Type> = new Map([
  ['timestamp', 'DateTime'],
  ['index1', 'String'],
  ...each('blob').map((name) => [name, 'String'] as const),
  ...each('double').map((name) => [name, 'Float64'] as const),
])

const shownColumns = ['dataset', 'timestamp', '_sample_interval', 'index1', ...each('blob'), ...each('double')]

/** What to read: rows with these columns in this order, at least all that lie within the bounds. */
export interface Reading {
  readonly columns: readonly string[]
  /** Seconds since 1970, both included. */
  readonly from?: number
  readonly to?: number
  /** Texts that columns must be. */
  readonly equal: readonly { readonly column: string; readonly text: string }[]
}

export interface ReadyQuery {
  readonly columns: readonly Column[]
  /** `undefined` where there is no FROM. */
  readonly reading: Reading | undefined
  readonly run: (rows: Iterable<Row>, hold: Hold) => Outcome
}

/** Throws a `SqlRefusal`. `dataset` is the name of what FROM reads. */
export function readyQuery(select: Select, dataset: string, world: World): ReadyQuery {
  const needed: string[] = []
  const table: Readable = {
    all: shownColumns,
    column(name) {
      if (name === 'dataset') return { type: 'String', constant: dataset, evaluate: () => dataset }
      // Every point is kept: each stands for one.
      if (name === '_sample_interval') return { type: 'UInt32', constant: 1, evaluate: () => 1 }
      const type = storedColumns.get(name)
      if (type === undefined) return undefined
      if (!needed.includes(name)) needed.push(name)
      const index = needed.indexOf(name)
      return { type, evaluate: (row) => row[index]! }
    },
  }
  const plan = planAll(select, table, world, { nodes: 0 })
  const reads = plan.innermost
  const reading =
    reads === undefined ? undefined : { columns: needed, ...boundsOf(reads.conditions, table.column, world) }
  return { columns: plan.columns, reading, run: plan.run }
}

/** Only that of the innermost query bounds what is read. */
type Planned = Pick<Plan, 'columns' | 'run'> & { readonly innermost: Plan | undefined }

function planAll(select: Select, table: Readable, world: World, count: { nodes: number }): Planned {
  if (select.from?.kind !== 'query') {
    const nothing: Readable = { all: [], column: () => undefined }
    const plan = planSelect(select, select.from === undefined ? nothing : table, world, count)
    if (select.from === undefined) return { ...plan, run: (_, hold) => plan.run([[]], hold), innermost: undefined }
    return { ...plan, innermost: plan }
  }
  const inner = planAll(select.from.select, table, world, count)
  const found = new Map(
    inner.columns.map(({ name, type }, index) => [name, { type, evaluate: (row: Row) => row[index]! }]),
  )
  const outer = planSelect(select, { all: [...found.keys()], column: (name) => found.get(name) }, world, count)
  return {
    columns: outer.columns,
    run: (rows, hold) => outer.run(inner.run(rows, hold).rows, hold),
    innermost: inner.innermost,
  }
}

/** `x OP y` as `y OP x`. */
const turned: Readonly<Record<string, string>> = {
  equals: 'equals',
  less: 'greater',
  lessOrEquals: 'greaterOrEquals',
  greater: 'less',
  greaterOrEquals: 'lessOrEquals',
}

function boundsOf(conditions: readonly Expression[], column: FindColumn, world: World): Omit<Reading, 'columns'> {
  let from: number | undefined
  let to: number | undefined
  const equal: { column: string; text: string }[] = []
  for (const { name, does, value } of conditions.flatMap((one) => comparisonOf(one, column, world))) {
    if (name === 'timestamp' && typeof value === 'number') {
      if (does !== 'less' && does !== 'lessOrEquals') from = Math.max(from ?? value, Math.floor(value))
      if (does !== 'greater' && does !== 'greaterOrEquals') to = Math.min(to ?? value, Math.ceil(value))
    } else if (does === 'equals' && typeof value === 'string') equal.push({ column: name, text: value })
  }
  return { equal, ...(from !== undefined && { from }), ...(to !== undefined && { to }) }
}

/** A stored column beside what no row changes. */
function comparisonOf(
  expression: Expression,
  column: FindColumn,
  world: World,
): { name: string; does: string; value: Value }[] {
  if (expression.kind !== 'call' || !Object.hasOwn(turned, expression.name)) return []
  const [left, right] = expression.args as [Expression, Expression]
  const sides = [[left, right, expression.name] as const, [right, left, turned[expression.name]!] as const]
  return sides.flatMap(([one, other, does]) => {
    if (one.kind !== 'name' || !storedColumns.has(one.name)) return []
    const { constant } = compile(other, { column, world })
    return constant === undefined ? [] : [{ name: one.name, does, value: constant }]
  })
}
