/** Conditions and values as closures: compiled once for a Snapshot, asked once a request. */
import { headerValue, headerValues } from '#/http/header-list.ts'
import type { Condition, RequestFact, Value } from './condition.ts'
import type { HeaderList } from './exchange.ts'

/** The request as rules see and change it, and the answer where there is one by now. */
export interface RuleFacts {
  method: string
  /** Path and query. */
  url: string
  headers: HeaderList
  readonly scheme: 'http' | 'https'
  readonly httpVersion: '1.0' | '1.1' | '2'
  readonly address: string
  readonly country: string
  readonly pop: string
  readonly lookups: CompiledLookups
  /** From the origin in the phase `cache`, on its way to the client in the phase `response`. */
  answer: { status: number; headers: HeaderList } | undefined
}

export interface CompiledLookups {
  readonly tables: ReadonlyMap<string, ReadonlyMap<string, string>>
  readonly lists: ReadonlyMap<string, (address: string) => boolean>
}

type Ask<Result> = (facts: RuleFacts) => Result

export function compileCondition(condition: Condition): Ask<boolean> {
  switch (condition.kind) {
    case 'and': {
      const all = condition.all.map(compileCondition)
      return (facts) => all.every((one) => one(facts))
    }
    case 'or': {
      const all = condition.all.map(compileCondition)
      return (facts) => all.some((one) => one(facts))
    }
    case 'not': {
      const of = compileCondition(condition.of)
      return (facts) => !of(facts)
    }
    case 'compare':
      return compileComparison(condition)
    case 'match': {
      const of = compileValue(condition.of)
      const { pattern } = condition
      return (facts) => pattern.test(textOf(of(facts)))
    }
    case 'listed': {
      const of = compileValue(condition.of)
      return (facts) => facts.lookups.lists.get(condition.list)?.(textOf(of(facts))) ?? false
    }
    case 'holds': {
      const value = compileValue(condition.value)
      return (facts) => {
        const found = value(facts)
        return found !== undefined && found !== false
      }
    }
  }
}

/** An absent field is unequal to every text, also to the empty one. */
function compileComparison({ left, is, right }: Extract<Condition, { kind: 'compare' }>): Ask<boolean> {
  const [one, other] = [compileValue(left), compileValue(right)]
  switch (is) {
    case '==':
      return (facts) => one(facts) === other(facts)
    case '!=':
      return (facts) => one(facts) !== other(facts)
    case '<':
      return (facts) => Number(one(facts)) < Number(other(facts))
    case '>':
      return (facts) => Number(one(facts)) > Number(other(facts))
    case '<=':
      return (facts) => Number(one(facts)) <= Number(other(facts))
    case '>=':
      return (facts) => Number(one(facts)) >= Number(other(facts))
  }
}

export type RuleValue = string | number | boolean | undefined

/** A value as text; what is absent is empty, as VCL writes it into a header. */
export function textOf(value: RuleValue): string {
  return value === undefined ? '' : value === true ? '1' : value === false ? '0' : String(value)
}

export function compileValue(value: Value): Ask<RuleValue> {
  switch (value.kind) {
    case 'text':
      return () => value.text
    case 'number':
      return () => value.number
    case 'flag':
      return () => value.flag
    case 'fact':
      return facts[value.fact]
    case 'status':
      return ({ answer }) => answer?.status
    case 'field':
      return compileField(value)
    case 'lookup': {
      const key = compileValue(value.key)
      const otherwise = value.otherwise === undefined ? () => undefined : compileValue(value.otherwise)
      return (facts) => facts.lookups.tables.get(value.table)?.get(textOf(key(facts))) ?? otherwise(facts)
    }
    case 'contains': {
      const key = compileValue(value.key)
      return (facts) => facts.lookups.tables.get(value.table)?.has(textOf(key(facts))) ?? false
    }
    case 'lower': {
      const of = compileValue(value.of)
      return (facts) => textOf(of(facts)).toLowerCase()
    }
    case 'upper': {
      const of = compileValue(value.of)
      return (facts) => textOf(of(facts)).toUpperCase()
    }
    case 'join': {
      const parts = value.parts.map(compileValue)
      return (facts) => parts.map((part) => textOf(part(facts))).join('')
    }
  }
}

function compileField({ of, field, part }: Extract<Value, { kind: 'field' }>): Ask<string | undefined> {
  const list = (facts: RuleFacts) => (of === 'request' ? facts.headers : (facts.answer?.headers ?? []))
  if (part === undefined) return (facts) => headerValue(list(facts), field)
  const separator = field === 'cookie' ? ';' : ','
  return (facts) => memberOf(headerValues(list(facts), field), part, separator)
}

/** `a` in `a=1; b=2`; a member without a value is the empty text. */
function memberOf(list: string | undefined, name: string, separator: string): string | undefined {
  for (const member of list?.split(separator) ?? []) {
    const [key, ...rest] = member.split('=') as [string, ...string[]]
    if (key.trim() === name)
      return rest
        .join('=')
        .trim()
        .replace(/^"(.*)"$/, '$1')
  }
  return undefined
}

const pathOf = (url: string) => {
  const query = url.indexOf('?')
  return query === -1 ? url : url.slice(0, query)
}
const basename = (url: string) => pathOf(url).slice(pathOf(url).lastIndexOf('/') + 1)

const facts: Record<RequestFact, Ask<RuleValue>> = {
  'req.url': ({ url }) => url,
  'req.url.path': ({ url }) => pathOf(url),
  'req.url.qs': ({ url }) => url.slice(pathOf(url).length + 1),
  'req.url.ext': ({ url }) => {
    const name = basename(url)
    const dot = name.lastIndexOf('.')
    return dot === -1 ? '' : name.slice(dot + 1)
  },
  'req.url.basename': ({ url }) => basename(url),
  'req.url.dirname': ({ url }) => pathOf(url).slice(0, Math.max(1, pathOf(url).lastIndexOf('/'))),
  'req.method': ({ method }) => method,
  'req.request': ({ method }) => method,
  'req.proto': ({ httpVersion }) => `HTTP/${httpVersion}`,
  'req.protocol': ({ scheme }) => scheme,
  'req.is_ssl': ({ scheme }) => scheme === 'https',
  'client.ip': ({ address }) => address,
  'client.geo.country_code': ({ country }) => country,
  'server.datacenter': ({ pop }) => pop,
}
