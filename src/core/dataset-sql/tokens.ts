/** The words of a query. */
import { type Offset, SqlRefusal } from './syntax.ts'

export interface Token {
  /** `word`: a name or keyword as it stands; `quoted`: a name in quotes, never a keyword. */
  readonly kind: 'word' | 'quoted' | 'string' | 'number' | 'sign' | 'end'
  readonly text: string
  readonly at: Offset
  /** Behind its last character. */
  readonly end: Offset
}

const space = /(?:\s+|--[^\n]*|\/\*[\s\S]*?\*\/)+/y
const word = /[A-Za-z_][A-Za-z0-9_]*/y
const number = /(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![A-Za-z0-9_])/y
const sign = /<=|>=|<>|!=|==|\|\||::|[-+*/%=<>(),.;]/y
/** A quote is doubled or behind a backslash. */
const quoted = {
  "'": /'((?:[^'\\]|''|\\[\s\S])*)'/y,
  '"': /"((?:[^"\\]|""|\\[\s\S])*)"/y,
  '`': /`((?:[^`\\]|``|\\[\s\S])*)`/y,
}

const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', 0: '\0', b: '\b', f: '\f' }

/** Throws a `SqlRefusal`. The last token is `end`. */
export function readTokens(query: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at
    return pattern.exec(query) ?? undefined
  }
  for (;;) {
    at += take(space)?.[0].length ?? 0
    if (at >= query.length) break
    const token = readOne(query, at, take)
    if (token === undefined) throw new SqlRefusal(unreadable(query, at), at)
    tokens.push(token)
    at = token.end
  }
  tokens.push({ kind: 'end', text: 'EOF', at, end: at })
  return tokens
}

function readOne(query: string, at: Offset, take: (pattern: RegExp) => RegExpExecArray | undefined): Token | undefined {
  const first = query[at]!
  if (Object.hasOwn(quoted, first)) {
    const found = take(quoted[first as keyof typeof quoted])
    if (found === undefined) return undefined
    const text = withoutEscapes(found[1]!, first)
    return { kind: first === "'" ? 'string' : 'quoted', text, at, end: at + found[0].length }
  }
  for (const [kind, pattern] of [
    ['word', word],
    ['number', number],
    ['sign', sign],
  ] as const) {
    const found = take(pattern)
    if (found !== undefined) return { kind, text: found[0], at, end: at + found[0].length }
  }
  return undefined
}

function withoutEscapes(text: string, quote: string): string {
  return text.replace(/\\([\s\S])|(['"`])\2/g, (whole, escaped: string | undefined, doubled: string | undefined) => {
    if (escaped !== undefined) return escapes[escaped] ?? escaped
    return doubled === quote ? quote : whole
  })
}

function unreadable(query: string, at: Offset): string {
  const first = query[at]!
  if (Object.hasOwn(quoted, first))
    return `unable to parse SQL query: unterminated ${first === "'" ? 'string' : 'name'}`
  return `unable to parse SQL query: unexpected character ${JSON.stringify(first)}`
}
