/**
 * Patterns of `_headers`, `_redirects` and `run_worker_first`: `*` stands for any characters, `:name` for at least one
 * within a path segment. Patterns come from tenants and paths from anybody, so a match takes time proportional to
 * pattern times path whatever they hold; a regular expression would backtrack for minutes on `/:a-:b-:c`.
 */

/** At most this many wildcards a pattern: bounds the work of one match. */
export const patternWildcards = 16

type Token =
  | { readonly kind: 'literal'; readonly text: string }
  /** `stop`: characters that end it. `least`: how many characters it takes at least. */
  | { readonly kind: 'wildcard'; readonly name: string; readonly stop: string; readonly least: 0 | 1 }

/** What the wildcards stood for, by name (`splat` for `*`); `undefined` when the text does not match. */
export type Matcher = (text: string) => ReadonlyMap<string, string> | undefined

const empty: ReadonlyMap<string, string> = new Map()

function tokenize(pattern: string, named: boolean): Token[] {
  const tokens: Token[] = []
  const hostEnd = pattern.startsWith('https://') ? pattern.indexOf('/', 'https://'.length) : 0
  const wildcard = named ? /\*|:[A-Za-z]\w*/g : /\*/g
  let from = 0
  for (const match of pattern.matchAll(wildcard)) {
    if (match.index > from) tokens.push({ kind: 'literal', text: pattern.slice(from, match.index) })
    from = match.index + match[0].length
    if (match[0] === '*') tokens.push({ kind: 'wildcard', name: 'splat', stop: '', least: 0 })
    else {
      const inHost = match.index < hostEnd
      tokens.push({ kind: 'wildcard', name: match[0].slice(1), stop: inHost ? '/.' : '/', least: 1 })
    }
  }
  if (from < pattern.length) tokens.push({ kind: 'literal', text: pattern.slice(from) })
  return tokens
}

/** Why a pattern cannot be used, as a sentence; `undefined` when it can. */
export function patternFault(pattern: string): string | undefined {
  const names = tokenize(pattern, true).flatMap((token) => (token.kind === 'wildcard' ? [token.name] : []))
  if (names.length > patternWildcards) return `At most ${patternWildcards} wildcards and placeholders a rule.`
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice === undefined) return undefined
  if (twice === 'splat') return 'Only one wildcard (*, whose name is :splat) is allowed per rule.'
  return `Placeholder :${twice} is used twice in one rule.`
}

/** `fits[position]`: can the tokens after this one match the text from `position` on? Returns the same with it. */
function extend(token: Token, text: string, fits: Uint8Array): Uint8Array {
  const result = new Uint8Array(text.length + 1)
  if (token.kind === 'literal') {
    for (let at = text.length - token.text.length; at >= 0; at--)
      if (fits[at + token.text.length] === 1 && text.startsWith(token.text, at)) result[at] = 1
    return result
  }
  // `reach` says: from a later position of the same run without a stop character, the rest fits.
  let reach = 0
  for (let at = text.length; at >= 0; at--) {
    if (at < text.length && token.stop.includes(text[at]!)) reach = 0
    else if (at < text.length && fits[at + 1] === 1) reach = 1
    result[at] = token.least === 0 ? reach | fits[at]! : reach
  }
  return result
}

function capture(tokens: readonly Token[], text: string, table: readonly Uint8Array[]): Map<string, string> {
  const found = new Map<string, string>()
  let at = 0
  tokens.forEach((token, index) => {
    if (token.kind === 'literal') {
      at += token.text.length
      return
    }
    let end = at
    while (end < text.length && !token.stop.includes(text[end]!)) end++
    // The longest one wins, as with a greedy expression.
    while (table[index + 1]![end] !== 1) end--
    found.set(token.name, text.slice(at, end))
    at = end
  })
  return found
}

function matchTokens(tokens: readonly Token[], text: string): ReadonlyMap<string, string> | undefined {
  const table: Uint8Array[] = new Array(tokens.length + 1)
  const end = new Uint8Array(text.length + 1)
  end[text.length] = 1
  table[tokens.length] = end
  for (let index = tokens.length - 1; index >= 0; index--)
    table[index] = extend(tokens[index]!, text, table[index + 1]!)
  return table[0]![0] === 1 ? capture(tokens, text, table) : undefined
}

/** Compiles a pattern once. `named: false` takes `:` literally, as `run_worker_first` does. */
export function compilePattern(pattern: string, { named }: { readonly named: boolean }): Matcher {
  const tokens = tokenize(pattern, named)
  const [first, second] = tokens
  if (first === undefined) return (text) => (text === '' ? empty : undefined)
  if (first.kind === 'wildcard') return (text) => matchTokens(tokens, text)
  if (second === undefined) return (text) => (text === first.text ? empty : undefined)
  const prefix = first.text
  if (tokens.length === 2 && second.kind === 'wildcard' && second.stop === '' && second.least === 0)
    return (text) => (text.startsWith(prefix) ? new Map([[second.name, text.slice(prefix.length)]]) : undefined)
  return (text) => (text.startsWith(prefix) ? matchTokens(tokens, text) : undefined)
}

/** Puts what the wildcards stood for in the place of `:name`. */
export function fillPlaceholders(template: string, values: ReadonlyMap<string, string>): string {
  let filled = template
  for (const [name, value] of values) filled = filled.replaceAll(`:${name}`, () => value)
  return filled
}
