/** The operator behind an operand and what it is compared with, by the type of the operand. */
import ipaddr from 'ipaddr.js'
import { readPattern } from '../pattern.ts'
import { lowerCase } from './functions.ts'
import type { Scanner } from './scanner.ts'
import type { AddressRange, Comparison, NumberRange, Operand, Ordering, Type } from './syntax.ts'

/** Most values in one `in {…}`. */
const mostValues = 1000

const orderings: Readonly<Record<string, Ordering>> = { eq: 'eq', ne: 'ne', lt: 'lt', le: 'le', gt: 'gt', ge: 'ge' }
/** Longer signs first. */
const signs: readonly (readonly [string, string])[] = [
  ['==', 'eq'],
  ['!=', 'ne'],
  ['<=', 'le'],
  ['>=', 'ge'],
  ['<', 'lt'],
  ['>', 'gt'],
  ['~', 'matches'],
]

/** Throws `Unreadable`. */
export function readComparison(scanner: Scanner, { type }: Operand, start: number): Comparison {
  const from = scanner.at
  const operator = readOperator(scanner)
  if (operator === undefined) return scanner.fail(`a comparison is missing behind this ${type}`, start, from - start)
  const refuse = (): never => scanner.fail(`'${operator}' does not compare ${type}`, from, operator.length)
  if (operator === 'in') return readSet(scanner, type, refuse)
  const ordering = orderings[operator]
  if (ordering !== undefined) return readOrdering(scanner, type, ordering, refuse)
  if (type !== 'Bytes') return refuse()
  switch (operator) {
    case 'contains':
      return { kind: 'contains', text: textAt(scanner) }
    case 'matches':
      return readMatch(scanner)
    case 'wildcard':
    case 'strict wildcard':
      return readWildcard(scanner, operator === 'strict wildcard')
    default:
      return scanner.fail(`the operator '${operator}' is not supported`, from, operator.length)
  }
}

function readOperator(scanner: Scanner): string | undefined {
  for (const [sign, name] of signs) if (scanner.sign(sign)) return name
  const name = scanner.word()
  if (name !== 'strict') return name
  return scanner.word() === 'wildcard' ? 'strict wildcard' : 'strict'
}

function textAt(scanner: Scanner): string {
  return scanner.text() ?? scanner.fail('a text in quotes is missing')
}

function readOrdering(scanner: Scanner, type: Type, is: Ordering, refuse: () => never): Comparison {
  switch (type) {
    case 'Bytes':
      return { kind: 'order', is, with: textAt(scanner) }
    case 'Int':
      return { kind: 'order', is, with: scanner.integer() ?? scanner.fail('a number is missing') }
    case 'Ip':
      if (is !== 'eq' && is !== 'ne') return refuse()
      return { kind: 'address', is, with: addressAt(scanner) }
    default:
      return refuse()
  }
}

function addressAt(scanner: Scanner): string {
  const start = scanner.at
  const text = scanner.address()
  if (text === undefined) return scanner.fail('an address is missing')
  if (!ipaddr.isValid(text) || (text.includes('.') && !ipaddr.IPv4.isValidFourPartDecimal(text) && !text.includes(':')))
    return scanner.fail(`'${text}' is no address`, start, text.length)
  return text
}

function readMatch(scanner: Scanner): Comparison {
  const start = scanner.at
  const source = scanner.patternText()
  if (source === undefined) return scanner.fail('a pattern in quotes is missing')
  const read = readPattern(source)
  return read.ok ? { kind: 'matches', pattern: read.pattern } : scanner.fail(read.why, start, scanner.at - start)
}

/** `*` is any text, `\*` a star, `\\` a backslash. */
function readWildcard(scanner: Scanner, strict: boolean): Comparison {
  const start = scanner.at
  const source = scanner.patternText()
  if (source === undefined) return scanner.fail('a text in quotes is missing')
  const refuse = (why: string): never => scanner.fail(why, start, scanner.at - start)
  const pieces = ['']
  for (let index = 0; index < source.length; index++) {
    const character = source[index]!
    if (character === '*') {
      if (source[index + 1] === '*') return refuse('two stars stand side by side')
      pieces.push('')
      continue
    }
    const next = source[index + 1]
    if (character === '\\' && next !== '*' && next !== '\\') return refuse('a backslash stands only before * and \\')
    if (character === '\\') index++
    pieces[pieces.length - 1] += source[index]!
  }
  return { kind: 'wildcard', pieces: strict ? pieces : pieces.map(lowerCase), strict }
}

function readSet(scanner: Scanner, type: Type, refuse: () => never): Comparison {
  if (scanner.sign('$')) {
    const name = scanner.word() ?? ''
    return scanner.fail(`the list '$${name}' is not supported`, scanner.at - name.length - 1, name.length + 1)
  }
  if (type !== 'Bytes' && type !== 'Int' && type !== 'Ip') return refuse()
  if (!scanner.sign('{')) return scanner.fail("'{' is missing")
  const texts: string[] = []
  const numbers: NumberRange[] = []
  const addresses: AddressRange[] = []
  let count = 0
  while (!scanner.sign('}')) {
    if (++count > mostValues) return scanner.fail(`there are more than ${mostValues} values`)
    if (scanner.isAtEnd) return scanner.fail("'}' is missing")
    if (type === 'Bytes') texts.push(textAt(scanner))
    else if (type === 'Int') numbers.push(numbersAt(scanner))
    else addresses.push(addressesAt(scanner))
  }
  if (count === 0) return scanner.fail('the set is empty')
  if (type === 'Bytes') return { kind: 'texts', texts: new Set(texts) }
  return type === 'Int' ? { kind: 'numbers', ranges: numbers } : { kind: 'addresses', ranges: addresses }
}

function numbersAt(scanner: Scanner): NumberRange {
  const start = scanner.at
  const from = scanner.integer() ?? scanner.fail('a number is missing')
  const to = scanner.sign('..') ? (scanner.integer() ?? scanner.fail('a number is missing')) : from
  return from <= to ? { from, to } : scanner.fail('the range ends before it begins', start, scanner.at - start)
}

/** `192.0.2.1`, `192.0.2.0/24` or `192.0.2.1..192.0.2.9`. */
function addressesAt(scanner: Scanner): AddressRange {
  const start = scanner.at
  const from = addressAt(scanner)
  const kind = ipaddr.parse(from).kind()
  if (scanner.sign('/')) {
    const prefix = scanner.integer()
    if (prefix === undefined || prefix < 0 || prefix > (kind === 'ipv4' ? 32 : 128))
      return scanner.fail('the length of the network does not fit', start, scanner.at - start)
    return { from, prefix }
  }
  if (!scanner.sign('..')) return { from }
  const to = addressAt(scanner)
  if (ipaddr.parse(to).kind() !== kind || addressNumber(to) < addressNumber(from))
    return scanner.fail('the range ends before it begins', start, scanner.at - start)
  return { from, to }
}

/** For comparing addresses of one kind. */
export function addressNumber(address: string): bigint {
  let number = 0n
  for (const byte of ipaddr.parse(address).toByteArray()) number = number * 256n + BigInt(byte)
  return number
}
