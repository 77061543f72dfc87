/** Walks over the text of an expression, token by token as the reader asks for them, and knows where it is. */

/** The text is no expression; `message` names the place, as wirefilter prints it. */
export class Unreadable extends Error {}

const space = /[\t\n\r ]*/y
const word = /[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*/y
const integer = /-?(?:0x[0-9A-Fa-f]+|\d+)(?![\w.]*[A-Za-z_])/y
const address = /[0-9A-Fa-f:]+(?:\.[0-9A-Fa-f]+)*/y
const rawText = /r(#*)"/y

export type Scanner = ReturnType<typeof createScanner>

export function createScanner(text: string) {
  let at = 0

  function skip(): void {
    space.lastIndex = at
    space.exec(text)
    at = space.lastIndex
  }

  function take(pattern: RegExp): string | undefined {
    skip()
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    if (found !== undefined) at = pattern.lastIndex
    return found
  }

  /** `length` characters from `from` are underlined. */
  function fail(why: string, from = at, length = 1): never {
    const before = text.slice(0, from)
    const lineStart = before.lastIndexOf('\n') + 1
    const lineEnd = text.indexOf('\n', from)
    const line = text.slice(lineStart, lineEnd === -1 ? undefined : lineEnd)
    const column = from - lineStart
    const row = before.split('\n').length
    const marks = '^'.repeat(Math.max(1, Math.min(length, line.length - column)))
    throw new Unreadable(`Filter parsing error (${row}:${column + 1}):\n${line}\n${' '.repeat(column)}${marks} ${why}`)
  }

  function bareText(): string | undefined {
    skip()
    rawText.lastIndex = at
    const opening = rawText.exec(text)
    if (opening === null) return undefined
    const closing = `"${opening[1]}`
    const end = text.indexOf(closing, rawText.lastIndex)
    if (end === -1) return fail('the text does not end', at, opening[0].length)
    const found = bytesOf(text.slice(rawText.lastIndex, end))
    at = end + closing.length
    return found
  }

  /** `"…"` with `\"`, `\\`, `\xHH` and octal `\OOO`. */
  function quoted(escapes: (rest: string) => [string, number] | undefined): string | undefined {
    skip()
    if (text[at] !== '"') return undefined
    const start = at
    let found = ''
    let next = at + 1
    while (text[next] !== '"') {
      if (next >= text.length) return fail('the text does not end', start)
      const piece = text[next] === '\\' ? escapes(text.slice(next, next + 4)) : plainRun(text, next)
      if (piece === undefined) return fail('this escape is not known', next, 2)
      found += piece[0]
      next += piece[1]
    }
    at = next + 1
    return found
  }

  return {
    fail,
    get at() {
      skip()
      return at
    },
    get isAtEnd() {
      skip()
      return at >= text.length
    },
    back(to: number) {
      at = to
    },
    word: () => take(word),
    integer(): number | undefined {
      const start = at
      const found = take(integer)
      if (found === undefined) return undefined
      const digits = found.replace('-', '')
      const octal = /^0[0-7]+$/.test(digits)
      const value = octal ? Number.parseInt(digits, 8) : Number(digits)
      if (!Number.isSafeInteger(value)) fail('the number is too large', start, found.length)
      return found.startsWith('-') ? -value : value
    },
    address: () => take(address),
    sign(wanted: string): boolean {
      skip()
      if (!text.startsWith(wanted, at)) return false
      at += wanted.length
      return true
    },
    /** Bytes as Latin-1. Undefined: no text stands here. */
    text: () => bareText() ?? quoted(unescaped),
    /** The same where backslashes belong to what is written, and only `\"` is undone: patterns. */
    patternText: () => bareText() ?? quoted(keep),
  }
}

function unescaped(rest: string): [string, number] | undefined {
  if (rest[1] === '"' || rest[1] === '\\') return [rest[1], 2]
  const hex = /^\\x([0-9A-Fa-f]{2})/.exec(rest)?.[1]
  if (hex !== undefined) return [String.fromCharCode(Number.parseInt(hex, 16)), 4]
  const octal = /^\\([0-3][0-7]{2})/.exec(rest)?.[1]
  return octal === undefined ? undefined : [String.fromCharCode(Number.parseInt(octal, 8)), 4]
}

function keep(rest: string): [string, number] | undefined {
  if (rest.length < 2) return undefined
  return rest[1] === '"' ? ['"', 2] : [rest.slice(0, 2), 2]
}

function plainRun(text: string, from: number): [string, number] {
  let end = from
  while (end < text.length && text[end] !== '"' && text[end] !== '\\') end++
  return [bytesOf(text.slice(from, end)), end - from]
}

/** Characters beyond ASCII stand for their UTF-8 bytes. */
function bytesOf(text: string): string {
  return /[^\0-\x7f]/.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text
}
