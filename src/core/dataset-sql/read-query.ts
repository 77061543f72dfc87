/** A query's text as what it asks for. */
import { readExpression } from './read-expression.ts'
import {
  type Format,
  formats,
  type Query,
  type Select,
  type SelectedColumn,
  type Source,
  SqlRefusal,
} from './syntax.ts'
import { readTokens } from './tokens.ts'
import { createWords, type Words } from './words.ts'

/** Clauses that ClickHouse has and datasets do not. */
const refusedClauses = [
  'JOIN',
  'UNION',
  'INTERSECT',
  'EXCEPT',
  'WINDOW',
  'QUALIFY',
  'PREWHERE',
  'SAMPLE',
  'ARRAY',
  'INNER',
  'LEFT',
  'RIGHT',
  'FULL',
  'CROSS',
  'SETTINGS',
  'FETCH',
  'FINAL',
]

/** Throws a `SqlRefusal` that names what cannot be read and where. */
export function readQuery(text: string): Query {
  const words = createWords(readTokens(text), text)
  const query = readStatement(words)
  words.takeSign(';')
  if (words.now.kind !== 'end') throw words.unexpected('end of statement')
  return query
}

function readStatement(words: Words): Query {
  if (words.takeWord('SHOW')) {
    const kind = words.takeWord('TABLES')
      ? 'tables'
      : words.takeWord('TIMEZONES')
        ? 'timezones'
        : words.takeWord('TIMEZONE')
          ? 'timezone'
          : undefined
    if (kind === undefined) throw words.unexpected('TABLES, TIMEZONES or TIMEZONE')
    return { kind, format: readFormat(words) }
  }
  if (!words.isWord('SELECT')) {
    if (words.now.kind !== 'word') throw words.unexpected('SELECT or SHOW')
    throw new SqlRefusal(`unsupported statement type: ${words.now.text.toUpperCase()}`, words.now.at)
  }
  const select = readSelect(words)
  return { kind: 'select', select, format: readFormat(words) }
}

function readFormat(words: Words): Format {
  if (!words.takeWord('FORMAT')) return 'JSON'
  const { text, at } = words.take()
  const found = formats.find((format) => format.toLowerCase() === text.toLowerCase())
  if (found === undefined) throw new SqlRefusal(`unsupported format: ${text}; there are ${formats.join(', ')}`, at)
  return found
}

function readSelect(words: Words): Select {
  return words.deeper(() => {
    words.wantWord('SELECT')
    if (words.isWord('DISTINCT')) throw new SqlRefusal('unsupported: SELECT DISTINCT; use GROUP BY', words.now.at)
    const columns = words.list(() => readColumn(words))
    const from = words.takeWord('FROM') ? readSource(words) : undefined
    refuseClauses(words)
    const where = words.takeWord('WHERE') ? readExpression(words) : undefined
    const groupBy = words.takeWords('GROUP', 'BY') ? words.list(() => readExpression(words)) : []
    const having = words.takeWord('HAVING') ? readExpression(words) : undefined
    const orderBy = words.takeWords('ORDER', 'BY') ? words.list(() => readOrder(words)) : []
    const bounds = readBounds(words)
    refuseClauses(words)
    return {
      columns,
      groupBy,
      orderBy,
      ...bounds,
      ...(from !== undefined && { from }),
      ...(where !== undefined && { where }),
      ...(having !== undefined && { having }),
    }
  })
}

function refuseClauses(words: Words): void {
  const found = refusedClauses.find((clause) => words.isWord(clause))
  if (found !== undefined) throw new SqlRefusal(`unsupported: ${found}`, words.now.at)
}

/** Words that end a column which has no `AS`. */
const afterColumn = ['FROM', 'WHERE', 'GROUP', 'HAVING', 'ORDER', 'LIMIT', 'OFFSET', 'FORMAT', ...refusedClauses]

function readColumn(words: Words): SelectedColumn {
  const from = words.now.at
  const expression = readExpression(words)
  const text = words.textSince(from)
  if (words.takeWord('AS')) return { expression, text, alias: words.name() }
  const { kind } = words.now
  const isAlias = kind === 'quoted' || (kind === 'word' && !afterColumn.some((word) => words.isWord(word)))
  return { expression, text, ...(isAlias && { alias: words.name() }) }
}

function readSource(words: Words): Source {
  if (words.takeSign('(')) {
    const select = readSelect(words)
    words.wantSign(')')
    if (words.takeWord('AS') || words.now.kind === 'quoted') words.name()
    else if (words.now.kind === 'word' && !afterColumn.some((word) => words.isWord(word))) words.name()
    return { kind: 'query', select }
  }
  const { at } = words.now
  const name = words.name()
  if (words.isSign(',')) throw new SqlRefusal('unsupported: more than one table', words.now.at)
  return { kind: 'dataset', at, name }
}

function readOrder(words: Words) {
  const expression = readExpression(words)
  const descending = words.takeWord('DESC')
  if (!descending) words.takeWord('ASC')
  if (words.isWord('NULLS') || words.isWord('COLLATE'))
    throw new SqlRefusal(`unsupported: ${words.now.text.toUpperCase()} in ORDER BY`, words.now.at)
  return { expression, descending }
}

function readBounds(words: Words): Pick<Select, 'limit' | 'offset'> {
  let limit: number | undefined
  let offset = 0
  for (;;) {
    if (words.takeWord('LIMIT')) {
      if (words.takeWord('ALL')) continue
      limit = words.count()
      if (words.isWord('BY')) throw new SqlRefusal('unsupported: LIMIT BY', words.now.at)
      // `LIMIT offset, n`
      if (words.takeSign(',')) {
        offset = limit
        limit = words.count()
      }
    } else if (words.takeWord('OFFSET')) offset = words.count()
    else return { offset, ...(limit !== undefined && { limit }) }
  }
}
