/** Walks over the words of a query. */
import { type Offset, SqlRefusal } from './syntax.ts'
import type { Token } from './tokens.ts'

/** Queries and parentheses in each other; each level is one of the stack's as well. */
const mostDepth = 64

export interface Words {
  readonly now: Token
  take(): Token
  isWord(word: string): boolean
  isSign(sign: string): boolean
  takeWord(word: string): boolean
  /** Both or neither. */
  takeWords(first: string, second: string): boolean
  takeSign(sign: string): boolean
  wantWord(word: string): void
  wantSign(sign: string): void
  /** A name, in quotes or not. */
  name(): string
  /** A whole number. */
  count(): number
  list<Item>(read: () => Item): Item[]
  textSince(at: Offset): string
  deeper<Read>(read: () => Read): Read
  unexpected(wanted: string): SqlRefusal
}

export function createWords(tokens: readonly Token[], text: string): Words {
  let index = 0
  let depth = 0
  const at = (ahead = 0) => tokens[Math.min(index + ahead, tokens.length - 1)]!
  const isWordAt = (word: string, ahead = 0) => at(ahead).kind === 'word' && at(ahead).text.toUpperCase() === word
  const words: Words = {
    get now() {
      return at()
    },
    take() {
      const token = at()
      if (token.kind !== 'end') index++
      return token
    },
    isWord: (word) => isWordAt(word),
    isSign: (sign) => at().kind === 'sign' && at().text === sign,
    takeWord(word) {
      const found = isWordAt(word)
      if (found) index++
      return found
    },
    takeWords(first, second) {
      const found = isWordAt(first) && isWordAt(second, 1)
      if (found) index += 2
      return found
    },
    takeSign(sign) {
      const found = words.isSign(sign)
      if (found) index++
      return found
    },
    wantWord(word) {
      if (!words.takeWord(word)) throw words.unexpected(word)
    },
    wantSign(sign) {
      if (!words.takeSign(sign)) throw words.unexpected(sign)
    },
    name() {
      const { kind } = at()
      if (kind !== 'word' && kind !== 'quoted') throw words.unexpected('identifier')
      return words.take().text
    },
    count() {
      if (at().kind !== 'number' || !/^\d{1,15}$/.test(at().text)) throw words.unexpected('a whole number')
      return Number(words.take().text)
    },
    list(read) {
      const items = [read()]
      while (words.takeSign(',')) items.push(read())
      return items
    },
    textSince: (from) => text.slice(from, tokens[index - 1]!.end),
    deeper(read) {
      if (++depth > mostDepth) throw new SqlRefusal(`the query is nested more than ${mostDepth} levels deep`, at().at)
      const read_ = read()
      depth--
      return read_
    },
    unexpected: (wanted) =>
      new SqlRefusal(`unable to parse SQL query: Expected: ${wanted}, found: ${at().text.slice(0, 80)}`, at().at),
  }
  return words
}
