/**
 * When a delivery rule applies: a small language of comparisons over the request and the answer, read once when a rule
 * is written and again when a Snapshot is applied. It is the common part of VCL's expressions, and nothing of it is skipped:
 * what is not understood is refused with its place.
 */
import { type Pattern, readPattern } from './pattern.ts'

/** What a request may be asked. */
export const requestFacts = {
  'req.url': 'path and query',
  'req.url.path': 'path without query',
  'req.url.qs': 'query without its question mark',
  'req.url.ext': 'after the last dot of the last part of the path',
  'req.url.basename': 'last part of the path',
  'req.url.dirname': 'path before its last part',
  'req.method': 'method',
  'req.request': 'method, by its old name',
  'req.proto': 'HTTP/1.1 and so on',
  'req.protocol': 'http or https',
  'req.is_ssl': 'came over TLS',
  'client.ip': "the client's address",
  'client.geo.country_code': "ISO 3166 code of the client's country",
  'server.datacenter': 'this point of presence',
} as const
export type RequestFact = keyof typeof requestFacts

/** Which message a rule of a phase may look at besides the request. */
export const answerOf = { request: undefined, cache: 'beresp', response: 'resp' } as const
export type ConditionPhase = keyof typeof answerOf

export type Value =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'number'; readonly number: number }
  | { readonly kind: 'flag'; readonly flag: boolean }
  | { readonly kind: 'fact'; readonly fact: RequestFact }
  /** A field in lower case; `part` names one cookie, or one member of a list such as Cache-Control. */
  | { readonly kind: 'field'; readonly of: 'request' | 'answer'; readonly field: string; readonly part?: string }
  | { readonly kind: 'status' }
  | { readonly kind: 'lookup'; readonly table: string; readonly key: Value; readonly otherwise?: Value }
  | { readonly kind: 'contains'; readonly table: string; readonly key: Value }
  | { readonly kind: 'lower' | 'upper'; readonly of: Value }
  | { readonly kind: 'join'; readonly parts: readonly Value[] }

export type Comparison = '==' | '!=' | '<' | '>' | '<=' | '>='

export type Condition =
  | { readonly kind: 'and' | 'or'; readonly all: readonly Condition[] }
  | { readonly kind: 'not'; readonly of: Condition }
  | { readonly kind: 'compare'; readonly left: Value; readonly is: Comparison; readonly right: Value }
  | { readonly kind: 'match'; readonly of: Value; readonly pattern: Pattern }
  /** An address in a list of addresses and networks. */
  | { readonly kind: 'listed'; readonly of: Value; readonly list: string }
  /** A flag that is set, or a field that is there. */
  | { readonly kind: 'holds'; readonly value: Value }

export type Read<Result> =
  | { readonly ok: true; readonly value: Result; readonly uses: Uses }
  | { readonly ok: false; readonly why: string }

/** What an expression needs besides the request. */
export interface Uses {
  readonly answer: boolean
  readonly tables: ReadonlySet<string>
  readonly lists: ReadonlySet<string>
}

/** Longest text, in characters; deepest nesting. Longer ones are programs and belong into one. */
const longest = 4096
const deepest = 40

/** Reads e.g. `req.url ~ "^/x" && !(client.ip ~ office)`. */
export function readCondition(text: string, phase: ConditionPhase): Read<Condition> {
  return read(text, phase, (reader) => reader.condition(0))
}

/** Reads the value of a header rule: texts and values one after the other, e.g. `"a=" req.http.A`. */
export function readValue(text: string, phase: ConditionPhase): Read<Value> {
  return read(text, phase, (reader) => reader.joined())
}

function read<Result>(text: string, phase: ConditionPhase, from: (reader: Reader) => Result): Read<Result> {
  try {
    if (text.length > longest) throw new Unreadable(`it is longer than ${longest} characters`)
    const reader = createReader(tokensOf(text), phase)
    const value = from(reader)
    reader.end()
    return { ok: true, value, uses: reader.uses }
  } catch (thrown) {
    if (thrown instanceof Unreadable) return { ok: false, why: thrown.message }
    throw thrown
  }
}

class Unreadable extends Error {}

interface Token {
  readonly kind: 'name' | 'text' | 'number' | 'sign'
  readonly text: string
  readonly at: number
  /** As written between the quotes: patterns keep their percent signs. */
  readonly raw: string
}

const token =
  /\s*(?:(?<name>[A-Za-z_][\w.:-]*)|(?<number>\d+)(?![\w.])|\{"(?<long>[\s\S]*?)"\}|"(?<text>[^"\n]*)"|(?<sign>&&|\|\||==|!=|!~|<=|>=|[!~<>(),+]))/y

function tokensOf(text: string): Token[] {
  const tokens: Token[] = []
  token.lastIndex = 0
  const end = text.trimEnd().length
  while (token.lastIndex < end) {
    const at = token.lastIndex
    const groups = token.exec(text)?.groups
    if (groups === undefined)
      throw new Unreadable(`${JSON.stringify(text.slice(at, at + 20).trimStart())} is not understood`)
    const { name, number, long, text: short, sign } = groups
    if (name !== undefined) tokens.push({ kind: 'name', text: name, raw: name, at })
    else if (number !== undefined) tokens.push({ kind: 'number', text: number, raw: number, at })
    else if (sign !== undefined) tokens.push({ kind: 'sign', text: sign, raw: sign, at })
    else if (long !== undefined) tokens.push({ kind: 'text', text: long, raw: long, at })
    else tokens.push({ kind: 'text', text: unescaped(short!), raw: short!, at })
  }
  return tokens
}

/** Short strings of VCL know `%41`, nothing else. */
function unescaped(text: string): string {
  return text.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

type Reader = ReturnType<typeof createReader>

function createReader(tokens: readonly Token[], phase: ConditionPhase) {
  let next = 0
  const uses = { answer: false, tables: new Set<string>(), lists: new Set<string>() }

  const take = (sign: string): boolean => {
    if (tokens[next]?.kind !== 'sign' || tokens[next]?.text !== sign) return false
    next += 1
    return true
  }
  const expect = (sign: string) => {
    if (!take(sign)) throw new Unreadable(`'${sign}' is missing ${place()}`)
  }
  const place = () => (tokens[next] === undefined ? 'at the end' : `before ${JSON.stringify(tokens[next]!.raw)}`)

  function condition(depth: number): Condition {
    if (depth > deepest) throw new Unreadable(`it is nested deeper than ${deepest} times`)
    const all = [both(depth)]
    while (take('||')) all.push(both(depth))
    return all.length === 1 ? all[0]! : { kind: 'or', all }
  }

  function both(depth: number): Condition {
    const all = [one(depth)]
    while (take('&&')) all.push(one(depth))
    return all.length === 1 ? all[0]! : { kind: 'and', all }
  }

  function one(depth: number): Condition {
    if (take('!')) {
      if (depth > deepest) throw new Unreadable(`it is nested deeper than ${deepest} times`)
      return { kind: 'not', of: one(depth + 1) }
    }
    if (take('(')) {
      const inner = condition(depth + 1)
      expect(')')
      return inner
    }
    return comparison(value())
  }

  function comparison(left: Value): Condition {
    for (const is of ['==', '!=', '<=', '>=', '<', '>'] as const) if (take(is)) return compare(left, is, value())
    if (take('~')) return match(left)
    if (take('!~')) return { kind: 'not', of: match(left) }
    if (left.kind === 'text' || left.kind === 'number') throw new Unreadable(`a comparison is missing ${place()}`)
    return { kind: 'holds', value: left }
  }

  function compare(left: Value, is: Comparison, right: Value): Condition {
    const [one, other] = [typeOf(left), typeOf(right)]
    if (one !== other) throw new Unreadable(`a ${one} is compared with a ${other} ${place()}`)
    if (one !== 'number' && is !== '==' && is !== '!=') throw new Unreadable(`'${is}' compares numbers only`)
    return { kind: 'compare', left, is, right }
  }

  function match(left: Value): Condition {
    const right = tokens[next]
    if (right?.kind === 'text') {
      next += 1
      const pattern = readPattern(right.raw)
      if (!pattern.ok) throw new Unreadable(pattern.why)
      if (typeOf(left) !== 'text') throw new Unreadable(`a ${typeOf(left)} cannot be matched with a pattern`)
      return { kind: 'match', of: left, pattern: pattern.pattern }
    }
    if (right?.kind !== 'name') throw new Unreadable(`a pattern in quotes or the name of an ACL is missing ${place()}`)
    if (left.kind !== 'fact' && left.kind !== 'field') throw new Unreadable('only an address can be in an ACL')
    next += 1
    uses.lists.add(right.text)
    return { kind: 'listed', of: left, list: right.text }
  }

  function joined(): Value {
    const parts = [value()]
    while (next < tokens.length) {
      take('+')
      parts.push(value())
    }
    return parts.length === 1 ? parts[0]! : { kind: 'join', parts }
  }

  function value(): Value {
    const found = tokens[next]
    if (found === undefined || found.kind === 'sign') throw new Unreadable(`a value is missing ${place()}`)
    next += 1
    if (found.kind === 'text') return { kind: 'text', text: found.text }
    if (found.kind === 'number') return { kind: 'number', number: Number(found.text) }
    if (found.text === 'true' || found.text === 'false') return { kind: 'flag', flag: found.text === 'true' }
    return take('(') ? call(found.text) : variable(found.text)
  }

  function call(name: string): Value {
    const inner = functions[name]
    if (inner === undefined) throw new Unreadable(`the function ${name}() is not supported`)
    const made = inner()
    expect(')')
    return made
  }

  const functions: Record<string, (() => Value) | undefined> = {
    'table.lookup': () => {
      const table = tableName()
      expect(',')
      const key = value()
      return take(',') ? { kind: 'lookup', table, key, otherwise: value() } : { kind: 'lookup', table, key }
    },
    'table.contains': () => {
      const table = tableName()
      expect(',')
      return { kind: 'contains', table, key: value() }
    },
    'std.tolower': () => ({ kind: 'lower', of: value() }),
    'std.toupper': () => ({ kind: 'upper', of: value() }),
  }

  function tableName(): string {
    const found = tokens[next]
    if (found?.kind !== 'name') throw new Unreadable(`the name of a dictionary is missing ${place()}`)
    next += 1
    uses.tables.add(found.text)
    return found.text
  }

  function variable(name: string): Value {
    if (name in requestFacts) return { kind: 'fact', fact: name as RequestFact }
    const own = answerOf[phase]
    const field = /^(req|beresp|resp)\.http\.([\w!#$%&'*+.^`|~-]+)(?::([\w.-]+))?$/.exec(name)
    const message = field?.[1] ?? /^(beresp|resp)\.status$/.exec(name)?.[1]
    if (message === undefined) throw new Unreadable(`the variable ${name} is not supported`)
    if (message !== 'req' && message !== own)
      throw new Unreadable(`${name} is not known in a rule of the phase '${phase}'`)
    if (message !== 'req') uses.answer = true
    if (field === null) return { kind: 'status' }
    const of = message === 'req' ? 'request' : 'answer'
    const part = field[3]
    return { kind: 'field', of, field: field[2]!.toLowerCase(), ...(part !== undefined && { part }) }
  }

  return {
    uses,
    condition,
    joined,
    end() {
      if (next < tokens.length) throw new Unreadable(`something is left over ${place()}`)
    },
  }
}

function typeOf(value: Value): 'text' | 'number' | 'flag' {
  if (value.kind === 'number' || value.kind === 'status') return 'number'
  if (value.kind === 'flag' || value.kind === 'contains') return 'flag'
  return value.kind === 'fact' && value.fact === 'req.is_ssl' ? 'flag' : 'text'
}
