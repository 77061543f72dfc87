/**
 * Reads an expression of the rules language and checks its types. What is not understood is refused with its place; what
 * this platform does not know (fields, functions, lists) by its name.
 */

import { readComparison } from './read-comparison.ts'
import { type Place, readOperand } from './read-operand.ts'
import { createScanner, Unreadable } from './scanner.ts'
import type { Expression, Operand } from './syntax.ts'

export type ReadExpression =
  | { readonly ok: true; readonly expression: Expression }
  /** A sentence over several lines: the place, the line, and marks below what is wrong. */
  | { readonly ok: false; readonly why: string }

/** Longest text, in characters: Cloudflare's limit. Deepest nesting: far above what people write. */
const longest = 4096
const deepest = 40

export function readExpression(text: string): ReadExpression {
  try {
    if (text.length > longest) throw new Unreadable(`the expression is longer than ${longest} characters`)
    const scanner = createScanner(text)
    const place: Place = { scanner, depth: 0, nested: (at) => readTests(at) }
    const expression = readOr(place)
    if (!scanner.isAtEnd) scanner.fail('something is left over here')
    return { ok: true, expression }
  } catch (thrown) {
    if (thrown instanceof Unreadable) return { ok: false, why: thrown.message }
    throw thrown
  }
}

const levels = [
  { kind: 'or', word: 'or', sign: '||' },
  { kind: 'xor', word: 'xor', sign: '^^' },
  { kind: 'and', word: 'and', sign: '&&' },
] as const

function readOr(place: Place): Expression {
  return readChain(place, 0)
}

/** `or` binds least, then `xor`, then `and`, then `not`. */
function readChain(place: Place, level: number): Expression {
  const row = levels[level]
  if (row === undefined) return readOne(place)
  const of = [readChain(place, level + 1)]
  while (takeWord(place, row.word) || place.scanner.sign(row.sign)) of.push(readChain(place, level + 1))
  return of.length === 1 ? of[0]! : { kind: row.kind, of }
}

function takeWord({ scanner }: Place, wanted: string): boolean {
  const start = scanner.at
  if (scanner.word() === wanted) return true
  scanner.back(start)
  return false
}

function deeper(place: Place): Place {
  if (place.depth >= deepest) place.scanner.fail(`it is nested deeper than ${deepest} times`)
  return { ...place, depth: place.depth + 1 }
}

function readOne(place: Place): Expression {
  const { scanner } = place
  const start = scanner.at
  if (takeWord(place, 'not') || (scanner.sign('!') && !scanner.sign('=')))
    return { kind: 'not', of: readOne(deeper(place)) }
  if (scanner.sign('(')) {
    const inner = readOr(deeper(place))
    if (!scanner.sign(')')) scanner.fail("')' is missing")
    return inner
  }
  for (const value of [true, false]) if (takeWord(place, String(value))) return { kind: 'constant', value }
  const left = readOperand(place)
  if (left.is.kind === 'text' || left.is.kind === 'number')
    scanner.fail('a field or a function must stand on the left', start, scanner.at - start)
  if (left.each) scanner.fail('an array of answers needs any() or all() around it', start, scanner.at - start)
  return readTest(place, left, start)
}

function readTest(place: Place, left: Operand, start: number): Expression {
  if (left.type === 'Bool') return { kind: 'holds', of: left }
  return { kind: 'compare', left, how: readComparison(place.scanner, left, start) }
}

/** The argument of `any()` and `all()`: members compared one by one, or flags that a function gave for each. */
function readTests(place: Place): Operand {
  const start = place.scanner.at
  const left = readOperand(deeper(place))
  if (!left.each) return left
  const of: Expression = left.type === 'Bool' ? { kind: 'holds', of: left } : readTest(place, left, start)
  return { type: 'Array<Bool>', each: false, is: { kind: 'tests', of } }
}
