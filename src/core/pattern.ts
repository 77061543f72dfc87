/**
 * Regular expressions that tenants write, matched in time linear in the text: RE2's language (Perl's without look-around
 * and back references), so that no pattern can hold up the requests of others. https://github.com/google/re2/wiki/Syntax
 */
import { RE2JS } from 're2js'

export interface Pattern {
  test(text: string): boolean
  /** `\1` to `\9` in the replacement stand for groups and `\0` for the whole match, as in VCL's `regsub`. */
  replace(text: string, replacement: string, how: { readonly all: boolean }): string
}

export type ReadPattern =
  | { readonly ok: true; readonly pattern: Pattern }
  | { readonly ok: false; readonly why: string }

/** An anchored or free run of ordinary characters: most patterns in the field. */
const plain = /^(\^?)((?:[^\\.^$|?*+()[\]{}]|\\[^a-zA-Z0-9])*)(\$?)$/

/** Compile once, when configuration is applied. */
export function readPattern(source: string): ReadPattern {
  let compiled: RE2JS
  try {
    compiled = RE2JS.compile(source)
  } catch (error) {
    return { ok: false, why: `the pattern ${JSON.stringify(source.slice(0, 200))} is not supported: ${words(error)}` }
  }
  return { ok: true, pattern: { test: testOf(source, compiled), replace: (...given) => replace(compiled, ...given) } }
}

function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function testOf(source: string, compiled: RE2JS): (text: string) => boolean {
  const match = plain.exec(source)
  if (match === null) return (text) => compiled.matcher(text).find()
  const [, start, escaped, end] = match as unknown as [string, string, string, string]
  const literal = escaped.replace(/\\(.)/g, '$1')
  if (start !== '' && end !== '') return (text) => text === literal
  if (start !== '') return (text) => text.startsWith(literal)
  if (end !== '') return (text) => text.endsWith(literal)
  return (text) => text.includes(literal)
}

function replace(compiled: RE2JS, text: string, replacement: string, how: { readonly all: boolean }): string {
  const matcher = compiled.matcher(text)
  let done = ''
  let from = 0
  while (matcher.find()) {
    done += text.slice(from, matcher.start())
    done += replacement.replace(/\\(\d)/g, (_, digit: string) => {
      const group = Number(digit)
      return group > matcher.groupCount() ? '' : (matcher.group(group) ?? '')
    })
    from = matcher.end()
    if (!how.all) break
  }
  return done + text.slice(from)
}
