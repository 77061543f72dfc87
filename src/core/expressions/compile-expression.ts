/** Expressions as closures: compiled once for a Snapshot, asked once a request. */
import ipaddr from 'ipaddr.js'
import { type ExpressionValue, functions, lowerCase } from './functions.ts'
import { addressNumber } from './read-comparison.ts'
import { type ExpressionFacts, fieldValues } from './request-values.ts'
import type { AddressRange, Comparison, Expression, Operand, Ordering } from './syntax.ts'

export type Matches = (facts: ExpressionFacts) => boolean
type Ask = (facts: ExpressionFacts) => ExpressionValue
type Test = (value: ExpressionValue) => boolean

export function compileExpression(expression: Expression): Matches {
  switch (expression.kind) {
    case 'or': {
      const all = expression.of.map(compileExpression)
      return (facts) => all.some((one) => one(facts))
    }
    case 'and': {
      const all = expression.of.map(compileExpression)
      return (facts) => all.every((one) => one(facts))
    }
    case 'xor': {
      const all = expression.of.map(compileExpression)
      return (facts) => all.filter((one) => one(facts)).length % 2 === 1
    }
    case 'not': {
      const of = compileExpression(expression.of)
      return (facts) => !of(facts)
    }
    case 'constant':
      return () => expression.value
    case 'holds':
    case 'compare': {
      const [ask, test] = compileTest(expression)
      return (facts) => test(ask(facts))
    }
  }
}

function compileTest(expression: Extract<Expression, { kind: 'holds' | 'compare' }>): [Ask, Test] {
  if (expression.kind === 'holds') return [compileOperand(expression.of), (value) => value === true]
  const { left, how } = expression
  const test = compileComparison(how)
  // What is not there is unequal to everything, and nothing else.
  const missing = (how.kind === 'order' || how.kind === 'address') && how.is === 'ne'
  return [compileOperand(left), (value) => (value === undefined ? missing : test(value))]
}

function compileOperand({ is }: Operand): Ask {
  switch (is.kind) {
    case 'field':
      return fieldValues[is.name]
    case 'text':
      return () => is.text
    case 'number':
      return () => is.number
    case 'each':
      return compileOperand(is.of)
    case 'item': {
      const of = compileOperand(is.of)
      const { at } = is
      return (facts) => {
        const value = of(facts)
        return value instanceof Map
          ? value.get(at as string)
          : (value as readonly ExpressionValue[] | undefined)?.[at as number]
      }
    }
    case 'tests':
      return compileTests(is.of)
    case 'call':
      return compileCall(is)
  }
}

function compileTests(of: Expression): Ask {
  const [ask, test] = compileTest(of as Extract<Expression, { kind: 'holds' | 'compare' }>)
  return (facts) => ((ask(facts) ?? []) as readonly ExpressionValue[]).map(test)
}

/** A function of what is not there gives nothing. */
function compileCall({ name, given }: Extract<Operand['is'], { kind: 'call' }>): Ask {
  const { call } = functions[name]!
  const [first, ...rest] = given.map(compileOperand) as [Ask, ...Ask[]]
  if (given[0]!.each)
    return (facts) => {
      const others = rest.map((ask) => ask(facts))
      return others.includes(undefined)
        ? []
        : ((first(facts) ?? []) as readonly ExpressionValue[]).map((member) => call([member, ...others]))
    }
  return (facts) => {
    const values = [first(facts), ...rest.map((ask) => ask(facts))]
    return values.includes(undefined) ? undefined : call(values)
  }
}

const orders: Readonly<Record<Ordering, (one: string | number, other: string | number) => boolean>> = {
  eq: (one, other) => one === other,
  ne: (one, other) => one !== other,
  lt: (one, other) => one < other,
  le: (one, other) => one <= other,
  gt: (one, other) => one > other,
  ge: (one, other) => one >= other,
}

function compileComparison(how: Comparison): Test {
  switch (how.kind) {
    case 'order': {
      const order = orders[how.is]
      return (value) => order(value as string | number, how.with)
    }
    case 'contains':
      return (value) => (value as string).includes(how.text)
    case 'matches':
      return (value) => how.pattern.test(value as string)
    case 'wildcard':
      return how.strict
        ? (value) => matchesPieces(how.pieces, value as string)
        : (value) => matchesPieces(how.pieces, lowerCase(value as string))
    case 'texts':
      return (value) => how.texts.has(value as string)
    case 'numbers':
      return (value) => how.ranges.some(({ from, to }) => (value as number) >= from && (value as number) <= to)
    case 'address': {
      const inside = addressMatcher([{ from: how.with }])
      return (value) => inside(value as string) === (how.is === 'eq')
    }
    case 'addresses': {
      const inside = addressMatcher(how.ranges)
      return (value) => inside(value as string)
    }
  }
}

/** Pieces between stars, one after the other; linear in the text for each piece. */
function matchesPieces(pieces: readonly string[], text: string): boolean {
  if (pieces.length === 1) return text === pieces[0]
  const [first, last] = [pieces[0]!, pieces.at(-1)!]
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return false
  let at = first.length
  const end = text.length - last.length
  for (const piece of pieces.slice(1, -1)) {
    const found = text.indexOf(piece, at)
    if (found === -1 || found + piece.length > end) return false
    at = found + piece.length
  }
  return true
}

function addressMatcher(ranges: readonly AddressRange[]): (address: string) => boolean {
  const tests = ranges.map(addressTest)
  return (text) => {
    if (!ipaddr.isValid(text)) return false
    const address = ipaddr.process(text)
    return tests.some((test) => test(address))
  }
}

type Address = ipaddr.IPv4 | ipaddr.IPv6

function addressTest({ from, prefix, to }: AddressRange): (address: Address) => boolean {
  const first = ipaddr.parse(from)
  if (to === undefined) {
    const bits = prefix ?? (first.kind() === 'ipv4' ? 32 : 128)
    return (address) => address.kind() === first.kind() && address.match(first as ipaddr.IPv4, bits)
  }
  const [low, high] = [addressNumber(from), addressNumber(to)]
  return (address) => {
    if (address.kind() !== first.kind()) return false
    const number = addressNumber(address.toString())
    return number >= low && number <= high
  }
}
