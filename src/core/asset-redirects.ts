/**
 * The `_redirects` file: parsed at deploy to report its faults, and when a deployment is first served.
 * Source: developers.cloudflare.com/workers/static-assets/redirects.
 */
import { compilePattern, fillPlaceholders, type Matcher, patternFault } from './asset-pattern.ts'
import { hasHost, parseRuleUrl, type RuleFault, ruleLineLength } from './asset-rule-url.ts'
import type { AssetsDeployment } from './snapshot.ts'

export const staticRedirectRules = 2000
export const dynamicRedirectRules = 100

const statuses = [200, 301, 302, 303, 307, 308] as const
export type RedirectStatus = (typeof statuses)[number]

export interface RedirectRule {
  readonly line: number
  readonly from: string
  readonly to: string
  readonly status: RedirectStatus
  /** Has no wildcard and stands above all that have one: found by look-up. */
  readonly fixed: boolean
}

/** Where a request goes; status 200 serves another path under the same address. */
export interface Redirect {
  readonly to: string
  readonly status: RedirectStatus
}

/** `path` is percent-encoded, without query. */
export type RedirectFinder = (path: string) => Redirect | undefined

type Parsed = Omit<RedirectRule, 'fixed'>

function parseLine(text: string, line: number, htmlHandling: AssetsDeployment['htmlHandling']): Parsed | string {
  const tokens = text.replace(/\s+#.*$/, '').split(/\s+/)
  if (tokens.length < 2 || tokens.length > 3)
    return `Expected 2 or 3 tokens separated by white space, got ${tokens.length}.`
  const [source, target, statusText = '302'] = tokens as [string, string, string?]
  const from = parseRuleUrl(source, { onlyPath: true, allowPort: false, search: false })
  if ('fault' in from) return from.fault
  const to = parseRuleUrl(target, { onlyPath: false, allowPort: true, search: true })
  if ('fault' in to) return to.fault
  const status = statuses.find((known) => String(known) === statusText)
  if (status === undefined)
    return `Valid status codes are 200, 301, 302 (default), 303, 307 and 308, not ${statusText}.`
  if (status === 200 && hasHost(to.url)) return `Proxy (200) redirects can only point to relative paths, not ${to.url}.`
  // `html_handling` strips `/index` and `.html` again, and the rule would match for ever.
  const toIndex = !hasHost(to.url) && /\/index(\.html)?$/.test(to.url)
  if (toIndex && (from.url.endsWith('/*') || (from.url.endsWith('/') && htmlHandling !== 'none')))
    return 'Infinite loop: html_handling strips the index again, and the rule matches once more.'
  return patternFault(from.url) ?? { line, from: from.url, to: to.url, status }
}

const wildcard = /\*|:[A-Za-z]\w*/

/** Parses the file; every line that cannot be used is a fault. */
export function parseRedirects(
  text: string,
  htmlHandling: AssetsDeployment['htmlHandling'],
): { readonly rules: readonly RedirectRule[]; readonly faults: readonly RuleFault[] } {
  const rules: RedirectRule[] = []
  const faults: RuleFault[] = []
  const seen = new Set<string>()
  const counts = { fixed: 0, dynamic: 0 }
  text.split('\n').forEach((raw, index) => {
    const line = index + 1
    const trimmed = raw.trim()
    if (trimmed === '' || trimmed.startsWith('#')) return
    const parsed = trimmed.length > ruleLineLength ? `Longer than ${ruleLineLength} characters.` : undefined
    const rule = parsed ?? parseLine(trimmed, line, htmlHandling)
    if (typeof rule === 'string') {
      faults.push({ line, message: rule })
      return
    }
    if (seen.has(rule.from)) {
      faults.push({ line, message: `A rule for ${rule.from} stands above.` })
      return
    }
    seen.add(rule.from)
    const fixed = counts.dynamic === 0 && !wildcard.test(rule.from)
    counts[fixed ? 'fixed' : 'dynamic']++
    if (fixed && counts.fixed > staticRedirectRules)
      faults.push({ line, message: `At most ${staticRedirectRules} static rules are supported.` })
    else if (!fixed && counts.dynamic > dynamicRedirectRules)
      faults.push({ line, message: `At most ${dynamicRedirectRules} dynamic rules are supported.` })
    else rules.push({ ...rule, fixed })
  })
  return { rules, faults }
}

/** A rule that names a host means it; a path stays one whatever its placeholders stood for (`//host` leads away). */
function fillTarget(template: string, values: ReadonlyMap<string, string>): string {
  const target = fillPlaceholders(template, values).trim()
  if (/^(?:\w+:\/\/|\/\/[^/\\\s?#])/.test(template)) return target
  const suffix = target.search(/[?#]/)
  const path = suffix < 0 ? target : target.slice(0, suffix)
  return path.replace(/[/\\]+/g, '/') + (suffix < 0 ? '' : target.slice(suffix))
}

/** Compiles rules once: static ones first, then the others in order. */
export function compileRedirects(rules: readonly RedirectRule[]): RedirectFinder {
  const fixed = new Map(rules.filter((rule) => rule.fixed).map((rule) => [rule.from, rule]))
  const dynamic: readonly (readonly [Matcher, RedirectRule])[] = rules
    .filter((rule) => !rule.fixed)
    .map((rule) => [compilePattern(rule.from, { named: true }), rule])
  return (path) => {
    const found = fixed.get(path)
    if (found !== undefined) return found
    for (const [match, rule] of dynamic) {
      const values = match(path)
      if (values === undefined) continue
      return { status: rule.status, to: fillTarget(rule.to, values) }
    }
    return undefined
  }
}
