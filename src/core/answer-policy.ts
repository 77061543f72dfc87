/**
 * What a site does to its answers besides caching: redirects, header rules, HSTS, compression, early hints. Nouns, and
 * the check that every door makes before it stores them.
 */
import type { Limits } from './limits.ts'
import type { Seconds } from './units.ts'

export interface AnswerPolicy {
  /** Cleartext requests get a redirect to HTTPS: 301 for GET and HEAD, 308 for what must keep its method. */
  readonly httpsRedirect?: boolean
  /** `Strict-Transport-Security` on answers over HTTPS (RFC 6797 §7.2). */
  readonly hsts?: { readonly maxAge: Seconds; readonly includeSubDomains?: boolean; readonly preload?: boolean }
  readonly redirects?: readonly RedirectRule[]
  /** In order, each on what the ones before it left. */
  readonly headers?: readonly HeaderRule[]
  /** Absent: on. */
  readonly compression?: 'on' | 'off'
  /**
   * Sends `Link` fields of a page's last answer ahead of its next one as 103 (RFC 8297). `http2`, also when absent:
   * only to clients with HTTP/2, as browsers ignore others; `always`: on HTTP/1.1 too.
   */
  readonly earlyHints?: 'off' | 'http2' | 'always'
}

/** The first exact rule wins, then the first with a star. */
export interface RedirectRule {
  /** A path; a final `/*` matches everything below it, and the path without the slash. */
  readonly from: string
  /** A path or an absolute URL; `:splat` is what the star matched. The query is kept where this has none. */
  readonly to: string
  readonly status: 301 | 302 | 303 | 307 | 308
}

export type HeaderRule = HeaderChange & {
  /** A path; `*` matches any text. Absent: every path. */
  readonly path?: string
}

type HeaderChange =
  | { readonly action: 'set' | 'add'; readonly name: string; readonly value: string }
  | { readonly action: 'remove'; readonly name: string }

const statuses: readonly number[] = [301, 302, 303, 307, 308]

/** Fields that frame the message or that the edge alone writes. */
const reserved: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
  'content-encoding',
  'date',
  'cf-ray',
  'x-served-by',
])

/** What is wrong with a policy, a sentence each that names the place; none when it can be used. */
export function answerPolicyProblems(
  policy: AnswerPolicy,
  limits: Pick<Limits, 'answerRedirects' | 'answerHeaderRules'>,
): string[] {
  const { hsts, redirects = [], headers = [] } = policy
  const problems: string[] = []
  if (hsts !== undefined && !(Number.isSafeInteger(hsts.maxAge) && hsts.maxAge >= 0))
    problems.push(`hsts.maxAge is ${hsts.maxAge}; it must be a whole number of seconds.`)
  if (hsts?.preload === true && !(hsts.includeSubDomains === true && hsts.maxAge >= 31_536_000))
    problems.push('hsts.preload needs includeSubDomains and a maxAge of a year (31536000): browsers refuse it else.')
  if (redirects.length > limits.answerRedirects)
    problems.push(`There are ${redirects.length} redirects; at most ${limits.answerRedirects} are kept.`)
  if (headers.length > limits.answerHeaderRules)
    problems.push(`There are ${headers.length} header rules; at most ${limits.answerHeaderRules} are kept.`)
  for (const [index, rule] of redirects.entries()) problems.push(...redirectProblems(rule, `redirects[${index}]`))
  for (const [index, rule] of headers.entries()) problems.push(...headerProblems(rule, `headers[${index}]`))
  return problems
}

function* redirectProblems({ from, to, status }: RedirectRule, place: string): Generator<string> {
  if (!/^\/[\x21-\x7e]*$/.test(from) || from.includes('?') || from.includes('#'))
    yield `${place}.from is ${JSON.stringify(from)}; it must be a path without query.`
  else if (from.includes('*') && !/^[^*]*\/\*$/.test(from))
    yield `${place}.from is ${from}; a star may only stand at the end, behind a slash.`
  if (!isTarget(to)) yield `${place}.to is ${JSON.stringify(to)}; it must be a path or an http(s) URL.`
  else if (to.includes(':splat') && !from.endsWith('/*')) yield `${place}.to has :splat, but ${from} has no star.`
  if (!statuses.includes(status)) yield `${place}.status is ${status}; it must be one of ${statuses.join(', ')}.`
  if (from === to) yield `${place} sends ${from} to itself.`
}

/** A target whose host depends on the request would send visitors wherever an attacker likes. */
function isTarget(to: string): boolean {
  if (!/^[\x21-\x7e]+$/.test(to)) return false
  if (to.startsWith('/')) return !/^\/[/\\]/.test(to)
  const authority = /^https?:\/\/([^/?#]+)/.exec(to)?.[1]
  return authority !== undefined && !authority.includes(':splat') && URL.canParse(to)
}

function* headerProblems(rule: HeaderRule, place: string): Generator<string> {
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(rule.name))
    yield `${place}.name is ${JSON.stringify(rule.name)}; that is no field name (RFC 9110 §5.1).`
  else if (reserved.has(rule.name.toLowerCase())) yield `${place}.name is ${rule.name}, which the edge itself writes.`
  if (
    rule.action !== 'remove' &&
    !/^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/.test(rule.value)
  )
    yield `${place}.value is no field value (RFC 9110 §5.5).`
  if (rule.path !== undefined && !rule.path.startsWith('/') && !rule.path.startsWith('*'))
    yield `${place}.path is ${JSON.stringify(rule.path)}; it must begin with a slash or a star.`
}
