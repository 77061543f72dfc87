/** Structured Fields (RFC 9651), as far as caches read them: dictionaries; parameters are checked and left out. */

export type BareItem = number | string | boolean | Uint8Array

/** A cursor over one field. Each reader returns undefined when the text does not fit the grammar. */
interface Cursor {
  readonly text: string
  at: number
}

function take(cursor: Cursor, pattern: RegExp): string | undefined {
  pattern.lastIndex = cursor.at
  const match = pattern.exec(cursor.text)
  if (match === null) return undefined
  cursor.at = pattern.lastIndex
  return match[0]
}

const key = /[a-z*][a-z0-9_.*-]*/y
const number = /-?\d{1,15}(?:\.\d{1,3})?(?![\d.])/y
const string = /"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"/y
const token = /[A-Za-z*][!#$%&'*+.^_`|~:/0-9A-Za-z-]*/y
const binary = /:[A-Za-z0-9+/=]*:/y
const truth = /\?[01]/y
const date = /@-?\d{1,15}/y

function bareItem(cursor: Cursor): BareItem | undefined {
  const text = take(cursor, number)
  if (text !== undefined) return Number(text)
  const quoted = take(cursor, string)
  if (quoted !== undefined) return quoted.slice(1, -1).replace(/\\(.)/g, '$1')
  const flag = take(cursor, truth)
  if (flag !== undefined) return flag === '?1'
  const bytes = take(cursor, binary)
  if (bytes !== undefined) return Uint8Array.from(atob(bytes.slice(1, -1)), (byte) => byte.charCodeAt(0))
  const when = take(cursor, date)
  if (when !== undefined) return Number(when.slice(1))
  return take(cursor, token)
}

function parameters(cursor: Cursor): boolean {
  while (take(cursor, /; */y) !== undefined) {
    if (take(cursor, key) === undefined) return false
    if (take(cursor, /=/y) !== undefined && bareItem(cursor) === undefined) return false
  }
  return true
}

function innerList(cursor: Cursor): BareItem[] | undefined {
  const items: BareItem[] = []
  while (take(cursor, / *\)/y) === undefined) {
    take(cursor, / */y)
    const item = bareItem(cursor)
    if (item === undefined || !parameters(cursor) || !/[ )]/.test(cursor.text[cursor.at] ?? '')) return undefined
    items.push(item)
  }
  return items
}

/** §4.2.2. Undefined when the text is no dictionary; a later member replaces an earlier one of the same name. */
export function parseDictionary(field: string): Map<string, BareItem | readonly BareItem[]> | undefined {
  const cursor: Cursor = { text: field.replace(/^ +| +$/g, ''), at: 0 }
  const members = new Map<string, BareItem | readonly BareItem[]>()
  while (cursor.at < cursor.text.length) {
    const name = take(cursor, key)
    if (name === undefined) return undefined
    let value: BareItem | readonly BareItem[] | undefined = true
    if (take(cursor, /=/y) !== undefined)
      value = take(cursor, /\(/y) === undefined ? bareItem(cursor) : innerList(cursor)
    if (value === undefined || !parameters(cursor)) return undefined
    members.set(name, value)
    if (cursor.at === cursor.text.length) break
    // A comma must be followed by another member.
    if (take(cursor, /[ \t]*,[ \t]*/y) === undefined || cursor.at === cursor.text.length) return undefined
  }
  return members
}
