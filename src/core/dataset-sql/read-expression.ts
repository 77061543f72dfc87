/** Expressions of a query: operators by their precedence, calls, literals. */
import { type Call, type Expression, intervalUnits, type Offset, SqlRefusal } from './syntax.ts'
import type { Words } from './words.ts'

const comparisons: Readonly<Record<string, string>> = {
  '=': 'equals',
  '==': 'equals',
  '!=': 'notEquals',
  '<>': 'notEquals',
  '<': 'less',
  '<=': 'lessOrEquals',
  '>': 'greater',
  '>=': 'greaterOrEquals',
}
const sums: Readonly<Record<string, string>> = { '+': 'plus', '-': 'minus' }
const products: Readonly<Record<string, string>> = { '*': 'multiply', '/': 'divide', '%': 'modulo' }

const call = (at: Offset, name: string, ...args: Expression[]): Call => ({ kind: 'call', at, name, args })

/** Throws a `SqlRefusal`. */
export function readExpression(words: Words): Expression {
  return words.deeper(() => readOr(words))
}

function readOr(words: Words): Expression {
  let left = readAnd(words)
  for (let { at } = words.now; words.takeWord('OR'); { at } = words.now) left = call(at, 'or', left, readAnd(words))
  return left
}

function readAnd(words: Words): Expression {
  let left = readNot(words)
  for (let { at } = words.now; words.takeWord('AND'); { at } = words.now) left = call(at, 'and', left, readNot(words))
  return left
}

function readNot(words: Words): Expression {
  const { at } = words.now
  return words.takeWord('NOT') ? words.deeper(() => call(at, 'not', readNot(words))) : readComparison(words)
}

function readComparison(words: Words): Expression {
  let left = readSum(words)
  for (;;) {
    const { at, kind, text } = words.now
    const name = kind === 'sign' ? comparisons[text] : undefined
    if (name !== undefined) {
      words.take()
      left = call(at, name, left, readSum(words))
      continue
    }
    const isNot = words.isWord('NOT')
    if (isNot) words.take()
    const found = readSpecial(words, left, at)
    if (found === undefined) {
      if (isNot) throw words.unexpected('IN, BETWEEN, LIKE or ILIKE')
      return left
    }
    left = isNot ? call(at, 'not', found) : found
  }
}

function readSpecial(words: Words, left: Expression, at: Offset): Expression | undefined {
  if (words.takeWord('IN')) {
    words.wantSign('(')
    if (words.isWord('SELECT')) throw new SqlRefusal('unsupported: subqueries in IN', words.now.at)
    const list = words.list(() => readExpression(words))
    words.wantSign(')')
    return call(at, 'in', left, ...list)
  }
  if (words.takeWord('BETWEEN')) {
    const low = readSum(words)
    words.wantWord('AND')
    return call(at, 'and', call(at, 'greaterOrEquals', left, low), call(at, 'lessOrEquals', left, readSum(words)))
  }
  if (words.takeWord('LIKE')) return call(at, 'like', left, readSum(words))
  if (words.takeWord('ILIKE')) return call(at, 'ilike', left, readSum(words))
  if (words.isWord('IS')) throw new SqlRefusal('unsupported: IS NULL; no column is ever NULL', words.now.at)
  return undefined
}

function readSum(words: Words): Expression {
  return readChain(words, sums, readProduct)
}

function readProduct(words: Words): Expression {
  return readChain(words, products, readUnary)
}

function readChain(
  words: Words,
  names: Readonly<Record<string, string>>,
  readPart: (words: Words) => Expression,
): Expression {
  let left = readPart(words)
  for (;;) {
    const { at, kind, text } = words.now
    const name = kind === 'sign' && Object.hasOwn(names, text) ? names[text] : undefined
    if (name === undefined) {
      if (kind === 'sign' && (text === '::' || text === '||')) throw new SqlRefusal(`unsupported operator: ${text}`, at)
      return left
    }
    words.take()
    left = call(at, name, left, readPart(words))
  }
}

function readUnary(words: Words): Expression {
  const { at } = words.now
  if (!words.takeSign('-')) return readPrimary(words)
  const of = words.deeper(() => readUnary(words))
  if (of.kind === 'literal' && typeof of.value === 'number') return { ...of, at, value: -of.value }
  return call(at, 'negate', of)
}

function readPrimary(words: Words): Expression {
  const { at, kind, text } = words.now
  if (words.takeSign('(')) {
    if (words.isWord('SELECT')) throw new SqlRefusal('unsupported: subqueries outside of FROM', words.now.at)
    const inner = readExpression(words)
    words.wantSign(')')
    return inner
  }
  if (words.takeSign('*')) return { kind: 'star', at }
  if (kind === 'number' || kind === 'string') {
    words.take()
    return { kind: 'literal', at, value: kind === 'number' ? Number(text) : text }
  }
  if (kind === 'quoted') {
    words.take()
    return { kind: 'name', at, name: text }
  }
  if (kind !== 'word') throw words.unexpected('an expression')
  return readWord(words)
}

const refusedWords: Readonly<Record<string, string>> = {
  CASE: 'unsupported expression type: CASE; use if(condition, then, else)',
  CAST: 'unsupported expression type: CAST; use toUInt32() or toDateTime()',
  NULL: 'unsupported literal: NULL; no column is ever NULL',
  EXISTS: 'unsupported: subqueries outside of FROM',
}

function readWord(words: Words): Expression {
  const { at, text } = words.take()
  const upper = text.toUpperCase()
  if (upper === 'TRUE' || upper === 'FALSE') return { kind: 'literal', at, value: upper === 'TRUE' }
  if (upper === 'INTERVAL' && !words.isSign('(') && (words.now.kind === 'string' || words.now.kind === 'number'))
    return readInterval(words, at)
  if (!words.isSign('(') && upper === 'NULL') throw new SqlRefusal(refusedWords.NULL!, at)
  if (Object.hasOwn(refusedWords, upper) && (upper === 'CASE' || words.isSign('(')))
    throw new SqlRefusal(refusedWords[upper]!, at)
  if (words.isSign('.')) throw new SqlRefusal(`unsupported: names with a dot (${text}.…)`, at)
  if (!words.takeSign('(')) return { kind: 'name', at, name: text }
  if (upper === 'POSITION' || upper === 'EXTRACT') return readNamed(words, at, upper)
  return readCall(words, at, text)
}

function readInterval(words: Words, at: Offset): Expression {
  const { text } = words.take()
  if (!/^\s*-?\d{1,9}\s*$/.test(text)) throw new SqlRefusal(`INTERVAL '${text.slice(0, 40)}' is no whole number`, at)
  const unit = words.name().toUpperCase().replace(/S$/, '')
  const known = intervalUnits.find((one) => one === unit)
  if (known === undefined) throw new SqlRefusal(`unsupported interval unit: ${unit.slice(0, 40)}`, at)
  return { kind: 'interval', at, count: Number(text), unit: known }
}

/** `position(needle IN haystack)`, `extract(UNIT FROM time)`; their first parenthesis is taken. */
function readNamed(words: Words, at: Offset, name: 'POSITION' | 'EXTRACT'): Expression {
  if (name === 'EXTRACT') {
    const unit = words.name().toUpperCase()
    words.wantWord('FROM')
    const of = readExpression(words)
    words.wantSign(')')
    return call(at, 'extract', { kind: 'literal', at, value: unit }, of)
  }
  const needle = readSum(words)
  words.wantWord('IN')
  const haystack = readExpression(words)
  words.wantSign(')')
  return call(at, 'position', needle, haystack)
}

function readCall(words: Words, at: Offset, name: string): Expression {
  const distinct = words.takeWord('DISTINCT')
  const args = readArguments(words)
  if (words.isWord('OVER')) throw new SqlRefusal('unsupported: window functions', words.now.at)
  if (!words.takeSign('(')) return { kind: 'call', at, name, args, ...(distinct && { distinct }) }
  if (distinct) throw new SqlRefusal('unsupported: DISTINCT among parameters', at)
  const isDistinct = words.takeWord('DISTINCT')
  return {
    kind: 'call',
    at,
    name,
    parameters: args,
    args: readArguments(words),
    ...(isDistinct && { distinct: isDistinct }),
  }
}

function readArguments(words: Words): Expression[] {
  if (words.takeSign(')')) return []
  const args = words.list(() => readExpression(words))
  words.wantSign(')')
  return args
}
