/**
 * SQL text cut into its statements, as SQLite itself would take them one after the other: by its tokens
 * (https://www.sqlite.org/lang.html), with the body of a trigger kept whole (https://www.sqlite.org/c3ref/complete.html).
 */

export interface SqlStatement {
  /** With its semicolon, without what stands around it. */
  readonly text: string
  /** Highest number of a parameter, as `sqlite3_bind_parameter_count` counts. */
  readonly parameters: number
}

type Kind = 'space' | 'quoted' | 'variable' | 'word' | 'other'

interface Token {
  readonly kind: Kind
  readonly end: number
}

const spaces = /[\s\ufeff]+/y
const words = /[\w$\u0080-\uffff]+/y
const variables = /\?\d*|[$@:#](?:[\w$\u0080-\uffff]|::)+(?:\([^\s)]*\))?/y

function matchEnd(pattern: RegExp, text: string, at: number): number | undefined {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : undefined
}

/** What is not closed goes to the end of the text. */
function closedBy(text: string, mark: string, from: number): number {
  const found = text.indexOf(mark, from)
  return found === -1 ? text.length : found + mark.length
}

/** A doubled quote inside stands for itself. */
function quotedEnd(text: string, quote: string, at: number): number {
  let end = closedBy(text, quote, at + 1)
  while (text[end] === quote && end > at + 1) end = closedBy(text, quote, end + 1)
  return end
}

/** The token that begins there; the text goes on at least one character further. */
export function readToken(text: string, at: number): Token {
  const char = text[at]!
  if (char === "'" || char === '"' || char === '`') return { kind: 'quoted', end: quotedEnd(text, char, at) }
  if (char === '[') return { kind: 'quoted', end: closedBy(text, ']', at) }
  if (char === '-' && text[at + 1] === '-') return { kind: 'space', end: closedBy(text, '\n', at) }
  if (char === '/' && text[at + 1] === '*') return { kind: 'space', end: closedBy(text, '*/', at + 2) }
  const kinds = [
    ['space', spaces],
    ['variable', variables],
    ['word', words],
  ] as const
  for (const [kind, pattern] of kinds) {
    const end = matchEnd(pattern, text, at)
    if (end !== undefined) return { kind, end }
  }
  return { kind: 'other', end: at + 1 }
}

/**
 * Where in a statement a scan stands. A trigger ends with `;` and `END`, because there are semicolons inside it
 * (SQLite: complete.c).
 */
type Place = 'start' | 'explain' | 'create' | 'inside' | 'trigger' | 'trigger-semicolon' | 'trigger-end'

function afterWord(place: Place, word: string): Place {
  switch (place) {
    case 'start':
    case 'explain':
      if (word === 'CREATE') return 'create'
      if (word === 'EXPLAIN' && place === 'start') return 'explain'
      // Of `EXPLAIN QUERY PLAN`.
      return place === 'explain' && (word === 'QUERY' || word === 'PLAN') ? 'explain' : 'inside'
    case 'create':
      if (word === 'TEMP' || word === 'TEMPORARY') return 'create'
      return word === 'TRIGGER' ? 'trigger' : 'inside'
    case 'trigger-semicolon':
      return word === 'END' ? 'trigger-end' : 'trigger'
    case 'trigger-end':
      return 'trigger'
    default:
      return place
  }
}

function afterOther(place: Place): Place {
  if (place === 'trigger-semicolon' || place === 'trigger-end') return 'trigger'
  return place === 'trigger' ? 'trigger' : 'inside'
}

/** Texts of nothing but space, comments and semicolons give none. */
export function splitStatements(text: string): SqlStatement[] {
  const statements: SqlStatement[] = []
  const splitter = createSplitter((statement) => statements.push(statement))
  splitter.take(text)
  splitter.end()
  return statements
}

export interface Splitter {
  take(text: string): void
  end(): void
  /** Characters of the statement that is not whole yet. */
  readonly pending: number
}

/** The same for text that comes in parts; `found` is told of each statement once it is whole. */
export function createSplitter(found: (statement: SqlStatement) => void): Splitter {
  let rest = ''
  /** Of `rest`: looked at already, and the place of the statement's first token; -1 before it. */
  let at = 0
  let from = -1
  let place: Place = 'start'
  let names = new Set<string>()
  let highest = 0

  function noteVariable(variable: string): void {
    if (variable === '?') highest += 1
    else if (variable.startsWith('?')) highest = Math.max(highest, Number(variable.slice(1)))
    else if (!names.has(variable)) {
      names.add(variable)
      highest += 1
    }
  }

  function finish(end: number): void {
    if (from >= 0) found({ text: rest.slice(from, end), parameters: highest })
    rest = rest.slice(end)
    at = 0
    from = -1
    place = 'start'
    highest = 0
    if (names.size > 0) names = new Set()
  }

  function step({ kind, end }: Token): void {
    const start = at
    at = end
    if (kind === 'space') return
    if (kind === 'other' && rest[start] === ';') {
      if (place === 'trigger' || place === 'trigger-semicolon') place = 'trigger-semicolon'
      else finish(end)
      return
    }
    if (from < 0) from = start
    if (kind === 'variable') noteVariable(rest.slice(start, end))
    place = kind === 'word' ? afterWord(place, rest.slice(start, end).toUpperCase()) : afterOther(place)
  }

  function scan(isEnd: boolean): void {
    while (at < rest.length) {
      const next = readToken(rest, at)
      // What reaches the end of a part may go on in the next.
      if (!isEnd && next.end >= rest.length && rest[at] !== ';') return
      step(next)
    }
  }

  return {
    take(text) {
      rest += text
      scan(false)
    },
    end() {
      scan(true)
      finish(rest.length)
      rest = ''
    },
    get pending() {
      return rest.length
    },
  }
}
