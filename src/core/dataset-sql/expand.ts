/** Puts the expressions that aliases stand for in their place. */
import { type Expression, type Select, SqlRefusal } from './syntax.ts'

/** Operators in a row stand in each other; each is several calls deep. */
const mostLevels = 300
/** Of all expressions of a query together: aliases in each other would double them each time. */
const mostNodes = 5_000

export interface Aliases {
  readonly byName: ReadonlyMap<string, Expression>
  /** Is there such a column in what is read? */
  readonly isColumn: (name: string) => boolean
  readonly count: { nodes: number }
}

export function aliasesOf(select: Select, isColumn: Aliases['isColumn'], count: Aliases['count']): Aliases {
  const byName = new Map<string, Expression>()
  for (const { alias, expression } of select.columns) if (alias !== undefined) byName.set(alias, expression)
  return { byName, isColumn, count }
}

/** `columnsFirst`: a name that is both is the column. An alias within what it stands for is always the column. */
export function expand(
  expression: Expression,
  aliases: Aliases,
  columnsFirst: boolean,
  inside: readonly string[] = [],
  level = 0,
): Expression {
  if (++aliases.count.nodes > mostNodes)
    throw new SqlRefusal(`the query has more than ${mostNodes} terms`, expression.at)
  if (level > mostLevels)
    throw new SqlRefusal(`the query has more than ${mostLevels} terms in each other`, expression.at)
  if (expression.kind === 'name') {
    const { name } = expression
    const found = aliases.byName.get(name)
    if (found === undefined || inside.includes(name) || (columnsFirst && aliases.isColumn(name))) return expression
    return expand(found, aliases, columnsFirst, [...inside, name], level + 1)
  }
  if (expression.kind !== 'call') return expression
  const each = (one: Expression) => expand(one, aliases, columnsFirst, inside, level + 1)
  const { parameters, args } = expression
  return { ...expression, args: args.map(each), ...(parameters !== undefined && { parameters: parameters.map(each) }) }
}

/** The same for expressions that say the same, wherever they stand. */
export function sameText(expression: Expression): string {
  return JSON.stringify(expression, (key, value: unknown) => (key === 'at' ? undefined : value))
}
