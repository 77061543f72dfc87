/** Queries of datasets as they are read: the dialect of ClickHouse that Analytics Engine documents. */

/** Counted in UTF-16 units from the start of the query. */
export type Offset = number

export type Expression =
  | { readonly kind: 'literal'; readonly at: Offset; readonly value: string | number | boolean }
  | { readonly kind: 'interval'; readonly at: Offset; readonly count: number; readonly unit: IntervalUnit }
  | { readonly kind: 'name'; readonly at: Offset; readonly name: string }
  /** `*`, alone in a list of columns or in `count(*)`. */
  | { readonly kind: 'star'; readonly at: Offset }
  | Call

/** Operators are calls too, named as ClickHouse's functions: `plus`, `equals`, `like`. */
export interface Call {
  readonly kind: 'call'
  readonly at: Offset
  readonly name: string
  /** Of `quantileExactWeighted(0.5)(…)`. */
  readonly parameters?: readonly Expression[]
  readonly args: readonly Expression[]
  readonly distinct?: true
}

export const intervalUnits = ['YEAR', 'MONTH', 'DAY', 'HOUR', 'MINUTE', 'SECOND'] as const
export type IntervalUnit = (typeof intervalUnits)[number]

export interface SelectedColumn {
  readonly expression: Expression
  readonly alias?: string
  /** As it was written, which names a column that has no alias. */
  readonly text: string
}

export type Source =
  | { readonly kind: 'dataset'; readonly at: Offset; readonly name: string }
  | { readonly kind: 'query'; readonly select: Select }

export interface Select {
  readonly columns: readonly SelectedColumn[]
  readonly from?: Source
  readonly where?: Expression
  readonly groupBy: readonly Expression[]
  readonly having?: Expression
  readonly orderBy: readonly { readonly expression: Expression; readonly descending: boolean }[]
  readonly limit?: number
  readonly offset: number
}

export const formats = ['JSON', 'JSONEachRow', 'TabSeparated'] as const
export type Format = (typeof formats)[number]

export type Query = { readonly format: Format } & (
  | { readonly kind: 'select'; readonly select: Select }
  | { readonly kind: 'tables' | 'timezones' | 'timezone' }
)

/** Why a query is not run, for whoever wrote it. */
export class SqlRefusal extends Error {
  readonly at: Offset | undefined

  constructor(message: string, at?: Offset) {
    super(message)
    this.name = 'SqlRefusal'
    this.at = at
  }
}

/** The vendor's words, and the place in its parser's form. */
export function describeRefusal({ message, at }: SqlRefusal, query: string): string {
  if (at === undefined) return `Input was invalid: ${message}`
  const before = query.slice(0, at).split('\n')
  return `Input was invalid: ${message} at Line: ${before.length}, Column: ${before.at(-1)!.length + 1}`
}

/** The dataset that a query reads; `undefined` where it reads none. */
export function datasetOf(select: Select): { readonly name: string; readonly at: Offset } | undefined {
  if (select.from === undefined) return undefined
  return select.from.kind === 'dataset' ? select.from : datasetOf(select.from.select)
}
