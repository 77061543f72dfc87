/**
 * One site's `AnswerPolicy`, compiled once into what a request asks of it.
 */
import type { AnswerPolicy, HeaderRule, RedirectRule } from '#/core/answer-policy.ts'
import type { Answer, HeaderList } from '#/core/exchange.ts'

export interface RuleFacts {
  readonly method: string
  readonly scheme: 'http' | 'https'
  readonly host: string
  readonly authority: string
  /** Path and query as sent. */
  readonly path: string
}

export interface SiteRules {
  /** A redirect instead of asking the target; undefined when no rule says so. */
  redirect(facts: RuleFacts): Answer | undefined
  /** The fields that go out: the same list where no rule matches. */
  headers(headers: HeaderList, facts: RuleFacts): HeaderList
}

export interface SiteRulesOptions {
  /** Where HTTPS is listened for; undefined where the port is the scheme's own. */
  readonly httpsPort: number | undefined
}

export function compileSiteRules(policy: AnswerPolicy, { httpsPort }: SiteRulesOptions): SiteRules {
  const findRedirect = compileRedirects(policy.redirects ?? [])
  const changes = (policy.headers ?? []).map(compileHeaderRule)
  const hsts = hstsValue(policy.hsts)
  return {
    redirect(facts) {
      if (policy.httpsRedirect === true && facts.scheme === 'http') return toHttps(facts, httpsPort)
      return findRedirect?.(facts.path)
    },
    headers(headers, facts) {
      const secure = hsts !== undefined && facts.scheme === 'https'
      const path = pathOf(facts.path)
      const matching = changes.filter((change) => change.matches(path))
      if (!secure && matching.length === 0) return headers
      const list = [...headers]
      for (const { rule } of matching) applyRule(list, rule)
      if (secure) {
        removeField(list, 'strict-transport-security')
        list.push('strict-transport-security', hsts)
      }
      return list
    },
  }
}

function pathOf(path: string): string {
  const end = path.indexOf('?')
  return end === -1 ? path : path.slice(0, end)
}

function moved(status: number, location: string): Answer {
  return { status, headers: ['location', location], body: null }
}

function toHttps({ method, host, authority, path }: RuleFacts, httpsPort: number | undefined): Answer {
  // Who named no port came to port 80, whatever it is mapped to, and gets to 443 the same way.
  const named = /:\d+$/.test(authority) && httpsPort !== undefined && httpsPort !== 443
  const status = method === 'GET' || method === 'HEAD' ? 301 : 308
  return moved(status, `https://${host}${named ? `:${httpsPort}` : ''}${path}`)
}

function compileRedirects(rules: readonly RedirectRule[]): ((path: string) => Answer | undefined) | undefined {
  if (rules.length === 0) return undefined
  const exact = new Map<string, RedirectRule>()
  const below: { readonly prefix: string; readonly rule: RedirectRule }[] = []
  for (const rule of rules)
    if (rule.from.endsWith('/*')) below.push({ prefix: rule.from.slice(0, -1), rule })
    else if (!exact.has(rule.from)) exact.set(rule.from, rule)
  return (target) => {
    const path = pathOf(target)
    const query = target.slice(path.length)
    const rule = exact.get(path)
    if (rule !== undefined) return moved(rule.status, locationOf(rule.to, '', query))
    for (const one of below) {
      if (path.startsWith(one.prefix))
        return moved(one.rule.status, locationOf(one.rule.to, path.slice(one.prefix.length), query))
      if (path === one.prefix.slice(0, -1)) return moved(one.rule.status, locationOf(one.rule.to, '', query))
    }
    return undefined
  }
}

/** `//host` and `/\host` in front would name another host (a splat may begin with a slash): one slash stays. */
function locationOf(to: string, splat: string, query: string): string {
  const filled = to.replaceAll(':splat', () => splat)
  const location = filled.startsWith('/') ? filled.replace(/^[/\\]+/, '/') : filled
  if (query === '' || location.includes('?')) return location
  const hash = location.indexOf('#')
  return hash === -1 ? location + query : location.slice(0, hash) + query + location.slice(hash)
}

interface CompiledHeaderRule {
  readonly rule: HeaderRule
  matches(path: string): boolean
}

function compileHeaderRule(rule: HeaderRule): CompiledHeaderRule {
  const { path } = rule
  if (path === undefined) return { rule, matches: () => true }
  if (!path.includes('*')) return { rule, matches: (asked) => asked === path }
  const parts = path.split('*')
  return { rule, matches: (asked) => matchesParts(asked, parts) }
}

/** Text between stars, in order and without backtracking: linear whatever the pattern is. */
function matchesParts(text: string, parts: readonly string[]): boolean {
  const first = parts[0]!
  const last = parts.at(-1)!
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return false
  let at = first.length
  const end = text.length - last.length
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, at)
    if (found === -1 || found + part.length > end) return false
    at = found + part.length
  }
  return true
}

function applyRule(list: HeaderList, rule: HeaderRule): void {
  if (rule.action !== 'add') removeField(list, rule.name.toLowerCase())
  if (rule.action !== 'remove') list.push(rule.name, rule.value)
}

function removeField(list: HeaderList, name: string): void {
  for (let index = list.length - 2; index >= 0; index -= 2)
    if (list[index]!.length === name.length && list[index]!.toLowerCase() === name) list.splice(index, 2)
}

function hstsValue(hsts: AnswerPolicy['hsts']): string | undefined {
  if (hsts === undefined) return undefined
  const subdomains = hsts.includeSubDomains === true ? '; includeSubDomains' : ''
  return `max-age=${hsts.maxAge}${subdomains}${hsts.preload === true ? '; preload' : ''}`
}
