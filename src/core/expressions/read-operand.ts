/** Fields, functions and their arguments, with `["name"]`, `[0]` and `[*]` behind them. */
import { fieldTypes, findField } from './fields.ts'
import { type ExpressionFunction, functions, lowerCase } from './functions.ts'
import type { Scanner } from './scanner.ts'
import type { Operand, Type } from './syntax.ts'

export interface Place {
  readonly scanner: Scanner
  readonly depth: number
  /** Reads the argument of `any()` and `all()`. */
  readonly nested: (place: Place) => Operand
}

const deepest = 40

/** Throws `Unreadable`. */
export function readOperand(place: Place): Operand {
  const { scanner } = place
  const text = scanner.text()
  if (text !== undefined) return { type: 'Bytes', each: false, is: { kind: 'text', text } }
  const number = scanner.integer()
  if (number !== undefined) return { type: 'Int', each: false, is: { kind: 'number', number } }
  const start = scanner.at
  const name = scanner.word()
  if (name === undefined) return scanner.fail('a field or a function is missing')
  if (scanner.sign('(')) return readIndexes(place, readCall(place, name, start))
  const field = findField(name)
  if (field === undefined) return scanner.fail(`the field '${name}' is not supported`, start, name.length)
  return readIndexes(place, { type: fieldTypes[field], each: false, is: { kind: 'field', name: field } })
}

function readIndexes({ scanner }: Place, operand: Operand): Operand {
  let found = operand
  while (true) {
    const start = scanner.at
    if (!scanner.sign('[')) return found
    found = readIndex(scanner, found, start)
    if (!scanner.sign(']')) scanner.fail("']' is missing")
  }
}

function readIndex(scanner: Scanner, of: Operand, start: number): Operand {
  const refuse = (why: string): never => scanner.fail(why, start, scanner.at - start)
  if (scanner.sign('*')) {
    if (of.each) {
      // A function was asked for each member: its array is what `[*]` goes through.
      return isMapped(of) ? of : refuse('there is no array in the array')
    }
    const type = memberOf(of.type)
    return type === undefined ? refuse(`a ${of.type} has no members`) : { type, each: true, is: { kind: 'each', of } }
  }
  if (of.each) return refuse('[*] has taken the members already')
  const key = scanner.text()
  if (key !== undefined) {
    if (of.type !== 'Map<Array<Bytes>>') return refuse(`a ${of.type} has no member of this name`)
    return { type: 'Array<Bytes>', each: false, is: { kind: 'item', of, at: isHeaders(of) ? lowerCase(key) : key } }
  }
  const index = scanner.integer()
  if (index === undefined || index < 0) return refuse('a name in quotes, a number or * is missing')
  const type = memberOf(of.type)
  return type === undefined
    ? refuse(`a ${of.type} has no members`)
    : { type, each: false, is: { kind: 'item', of, at: index } }
}

function isMapped({ is }: Operand): boolean {
  return is.kind === 'call'
}

/** Names of header fields have no case. */
function isHeaders({ is }: Operand): boolean {
  return is.kind === 'field' && is.name === 'http.request.headers'
}

function memberOf(type: Type): Type | undefined {
  return /^Array<(\w+)>$/.exec(type)?.[1] as Type | undefined
}

function readCall(place: Place, name: string, start: number): Operand {
  const { scanner } = place
  const known = Object.hasOwn(functions, name) ? functions[name] : undefined
  if (known === undefined) return scanner.fail(`the function '${name}' is not supported`, start, name.length)
  if (place.depth >= deepest) return scanner.fail(`it is nested deeper than ${deepest} times`)
  const inner = { ...place, depth: place.depth + 1 }
  const given: Operand[] = []
  while (given.length === 0 || scanner.sign(',')) given.push(readArgument(inner, name, known, given.length))
  if (!scanner.sign(')')) scanner.fail("')' is missing")
  if (given.length < known.takes.length)
    scanner.fail(`the function '${name}' takes ${known.takes.length} arguments`, start, scanner.at - start)
  return { type: known.gives, each: given[0]!.each, is: { kind: 'call', name, given } }
}

function readArgument(place: Place, name: string, known: ExpressionFunction, index: number): Operand {
  const { scanner } = place
  const start = scanner.at
  const refuse = (why: string): never => scanner.fail(why, start, Math.max(1, scanner.at - start))
  const wanted = known.takes[index] ?? (known.many === true ? known.takes.at(-1) : undefined)
  if (wanted === undefined) return refuse(`the function '${name}' takes ${known.takes.length} arguments`)
  const given = wanted.includes('Array<Bool>') ? place.nested(place) : readOperand(place)
  if (given.each && !(known.each === true && index === 0))
    return refuse(`the function '${name}' does not take [*] here`)
  if (!wanted.includes(given.type))
    return refuse(`the function '${name}' takes ${wanted.join(' or ')}, not ${given.type}`)
  return given
}
