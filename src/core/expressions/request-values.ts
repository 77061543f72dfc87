/** What each field of the rules language is at a request. */
import { headerValues } from '#/http/header-list.ts'
import type { HeaderList } from '../exchange.ts'
import type { FieldName } from './fields.ts'
import { type ExpressionValue, lowerCase } from './functions.ts'

/** The request as the client sent it. */
export interface ExpressionFacts {
  readonly method: string
  readonly scheme: 'http' | 'https'
  readonly httpVersion: '1.0' | '1.1' | '2'
  /** Lower case, without port. */
  readonly host: string
  /** Path and query, as sent. */
  readonly path: string
  readonly headers: HeaderList
  /** Address of the client. */
  readonly address: string
  /** ISO 3166 code; `XX` where it is not known. */
  readonly country: string
}

/** Before the query. */
export function pathOf(path: string): string {
  const mark = path.indexOf('?')
  return mark === -1 ? path : path.slice(0, mark)
}

/** Behind the last dot of the last part of the path, in lower case; empty where there is none. */
export function extensionOf(path: string): string {
  const name = pathOf(path).slice(pathOf(path).lastIndexOf('/') + 1)
  const dot = name.lastIndexOf('.')
  return dot === -1 ? '' : lowerCase(name.slice(dot + 1))
}

const queryOf = (path: string) => path.slice(pathOf(path).length + 1)
const field = (name: string) => (facts: ExpressionFacts) => headerValues(facts.headers, name) ?? ''

type Pairs = readonly (readonly [string, string])[]

function headerPairs({ headers, host }: ExpressionFacts): Pairs {
  const pairs: [string, string][] = []
  for (let index = 0; index < headers.length; index += 2) pairs.push([lowerCase(headers[index]!), headers[index + 1]!])
  if (!pairs.some(([name]) => name === 'host')) pairs.push(['host', host])
  return pairs
}

function argumentPairs({ path }: ExpressionFacts): Pairs {
  const query = queryOf(path)
  if (query === '') return []
  return query.split('&').map((part) => split(part))
}

function cookiePairs({ headers }: ExpressionFacts): Pairs {
  const sent = headerValues(headers, 'cookie')
  if (sent === undefined) return []
  return sent.split(/[;,]/).map((part) => split(part.trim()))
}

function split(part: string): [string, string] {
  const equals = part.indexOf('=')
  return equals === -1 ? [part, ''] : [part.slice(0, equals), part.slice(equals + 1)]
}

function grouped(pairs: Pairs): ReadonlyMap<string, readonly string[]> {
  const map = new Map<string, string[]>()
  for (const [name, value] of pairs) {
    const values = map.get(name)
    if (values === undefined) map.set(name, [value])
    else values.push(value)
  }
  return map
}

const names = (pairs: Pairs) => pairs.map(([name]) => name)
const values = (pairs: Pairs) => pairs.map(([, value]) => value)

export const fieldValues: Readonly<Record<FieldName, (facts: ExpressionFacts) => ExpressionValue>> = {
  'http.host': ({ host }) => host,
  'http.cookie': field('cookie'),
  'http.referer': field('referer'),
  'http.user_agent': field('user-agent'),
  'http.x_forwarded_for': field('x-forwarded-for'),
  'http.request.method': ({ method }) => method,
  'http.request.version': ({ httpVersion }) => `HTTP/${httpVersion}`,
  'http.request.full_uri': ({ scheme, host, path }) => `${scheme}://${host}${path}`,
  'http.request.uri': ({ path }) => path,
  'http.request.uri.path': ({ path }) => pathOf(path),
  'http.request.uri.path.extension': ({ path }) => extensionOf(path),
  'http.request.uri.query': ({ path }) => queryOf(path),
  'http.request.uri.args': (facts) => grouped(argumentPairs(facts)),
  'http.request.uri.args.names': (facts) => names(argumentPairs(facts)),
  'http.request.uri.args.values': (facts) => values(argumentPairs(facts)),
  'http.request.headers': (facts) => grouped(headerPairs(facts)),
  'http.request.headers.names': (facts) => names(headerPairs(facts)),
  'http.request.headers.values': (facts) => values(headerPairs(facts)),
  'http.request.cookies': (facts) => grouped(cookiePairs(facts)),
  'ip.src': ({ address }) => address,
  'ip.src.country': ({ country }) => country,
  ssl: ({ scheme }) => scheme === 'https',
}
