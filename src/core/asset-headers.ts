/**
 * The `_headers` file: parsed at deploy to report its faults, and when a deployment is first served.
 * Source: developers.cloudflare.com/workers/static-assets/headers.
 */
import { compilePattern, fillPlaceholders, patternFault } from './asset-pattern.ts'
import { parseRuleUrl, type RuleFault, ruleLineLength } from './asset-rule-url.ts'
import type { HeaderList } from './exchange.ts'

export const headerRules = 100

export interface HeaderRule {
  readonly line: number
  /** A path, or `https://host/path`. */
  readonly pattern: string
  /** Lower-case name and value; a name twice is joined with a comma. */
  readonly set: ReadonlyMap<string, string>
  /** Lower-case names. */
  readonly remove: readonly string[]
}

/** Changes the header list in place. `host` is without port, `path` percent-encoded without query. */
export type HeaderPatch = (host: string, path: string, headers: HeaderList) => void

/** RFC 9110 §5.6.2 */
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
/** RFC 9110 §5.5: no controls but the tab. */
const controls = /[\u0000-\u0008\u000a-\u001f\u007f]/

interface Draft {
  line: number
  pattern: string
  set: Map<string, string>
  remove: string[]
}

function addField(draft: Draft, text: string): string | undefined {
  const colon = text.indexOf(':')
  if (colon < 0) {
    if (!text.startsWith('! ')) return 'Expected a header with a colon (name: value), or "! name".'
    const name = text.slice(2).trim().toLowerCase()
    if (!token.test(name)) return `Not a header name: ${name}.`
    draft.remove.push(name)
    return undefined
  }
  const name = text.slice(0, colon).trim().toLowerCase()
  const value = text.slice(colon + 1).trim()
  if (name === '') return 'No header name.'
  if (!token.test(name)) return `Not a header name: ${name}.`
  if (value === '') return `No value for header ${name}.`
  if (controls.test(value)) return `Control character in the value of ${name}.`
  const earlier = draft.set.get(name)
  draft.set.set(name, earlier === undefined ? value : `${earlier}, ${value}`)
  return undefined
}

const looksLikeUrl = /^([^\s]+:\/\/|\/)/

/** Parses the file; every line that cannot be used is a fault. */
export function parseHeaderRules(text: string): {
  readonly rules: readonly HeaderRule[]
  readonly faults: readonly RuleFault[]
} {
  const drafts: Draft[] = []
  const faults: RuleFault[] = []
  let current: Draft | undefined
  // Fields under a refused URL are not reported one by one.
  let skipping = false
  text.split('\n').forEach((raw, index) => {
    const line = index + 1
    const trimmed = raw.trim()
    if (trimmed === '' || trimmed.startsWith('#')) return
    if (trimmed.length > ruleLineLength) {
      faults.push({ line, message: `Longer than ${ruleLineLength} characters.` })
      return
    }
    if (looksLikeUrl.test(trimmed)) {
      const url = parseRuleUrl(trimmed, { onlyPath: false, allowPort: false, search: false })
      const fault = 'fault' in url ? url.fault : patternFault(url.url)
      skipping = fault !== undefined
      current = undefined
      if (fault !== undefined) faults.push({ line, message: fault })
      if (skipping || 'fault' in url) return
      current = { line, pattern: url.url, set: new Map(), remove: [] }
      drafts.push(current)
      return
    }
    if (skipping) return
    const fault = current === undefined ? 'A path must come before the first header.' : addField(current, trimmed)
    if (fault !== undefined) faults.push({ line, message: fault })
  })
  for (const draft of drafts)
    if (draft.set.size === 0 && draft.remove.length === 0)
      faults.push({ line: draft.line, message: `No headers for ${draft.pattern}.` })
  const over = drafts[headerRules]
  if (over !== undefined) faults.push({ line: over.line, message: `At most ${headerRules} rules are supported.` })
  return { rules: drafts.slice(0, headerRules), faults: faults.sort((a, b) => a.line - b.line) }
}

/** Removes every field of this lower-case name. */
export function removeField(headers: HeaderList, name: string): void {
  for (let index = headers.length - 2; index >= 0; index -= 2)
    if (headers[index]!.toLowerCase() === name) headers.splice(index, 2)
}

/** What goes out byte by byte: UTF-8, in the one-byte characters that header writers take. */
function wireText(value: string): string {
  return Buffer.from(value, 'utf8').toString('latin1')
}

/** Compiles rules once: all that match apply in order; the first set of a name replaces, later ones add. */
export function compileHeaderRules(rules: readonly HeaderRule[]): HeaderPatch {
  const compiled = rules.map((rule) => ({
    rule,
    match: compilePattern(rule.pattern, { named: true }),
    absolute: rule.pattern.startsWith('https://'),
  }))
  return (host, path, headers) => {
    const mine = new Set<string>()
    for (const { rule, match, absolute } of compiled) {
      const values = match(absolute ? `https://${host}${path}` : path)
      if (values === undefined) continue
      for (const name of rule.remove) removeField(headers, name)
      for (const [name, template] of rule.set) {
        if (!mine.has(name)) removeField(headers, name)
        mine.add(name)
        headers.push(name, wireText(fillPlaceholders(template, values)))
      }
    }
  }
}
