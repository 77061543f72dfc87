/** Cache rules as one closure for a domain: compiled once for a Snapshot, asked once a request. */
import { headerValue, headerValues } from '#/http/header-list.ts'
import type { CachePolicy, CacheWish } from './cache-policy.ts'
import type { CacheRuleOfDomain, CacheSettings, DomainCacheRules, RequestKey } from './cache-settings.ts'
import type { Answer, HeaderList } from './exchange.ts'
import { compileExpression, type Matches } from './expressions/compile-expression.ts'
import { readExpression } from './expressions/read-expression.ts'
import { type ExpressionFacts, extensionOf } from './expressions/request-values.ts'
import { isStaticExtension, typeFitsExtension } from './static-files.ts'

/** What the rules make of one request. */
export interface CacheDecision {
  readonly wish: CacheWish
  /** On what the origin said, before it is stored. */
  readonly onOriginAnswer: ((answer: Answer) => Answer) | undefined
  /** On its way to the client. */
  readonly onClientAnswer: ((answer: Answer) => Answer) | undefined
}

type Decide = (facts: ExpressionFacts) => CacheDecision | undefined

const compiled = new WeakMap<DomainCacheRules, Decide>()

/** Does this domain lie around this host? Both in lower case. */
export function coversHost(domain: string, host: string): boolean {
  return (
    host === domain || (host.length > domain.length && host.endsWith(domain) && host.at(-domain.length - 1) === '.')
  )
}

/** Undefined: no rule says anything. `domains` come longest first. */
export function decideCaching(
  domains: readonly DomainCacheRules[] | undefined,
  facts: ExpressionFacts,
): CacheDecision | undefined {
  const found = domains?.find(({ domain }) => coversHost(domain, facts.host))
  if (found === undefined) return undefined
  let decide = compiled.get(found)
  if (decide === undefined) {
    decide = compileCacheRules(found)
    compiled.set(found, decide)
  }
  return decide(facts)
}

/** Throws a TypeError for a rule that does not read: `control/` has checked each before it went into a Snapshot. */
export function compileCacheRules({ rules }: Pick<DomainCacheRules, 'rules'>): Decide {
  const all = rules.map((rule) => ({ matches: compileWhen(rule), settings: rule.settings }))
  return (facts) => {
    let settings: CacheSettings | undefined
    for (const one of all)
      if (one.matches(facts)) settings = settings === undefined ? one.settings : { ...settings, ...one.settings }
    return settings && decisionOf(settings, facts)
  }
}

function compileWhen({ name, when }: CacheRuleOfDomain): Matches {
  const read = readExpression(when)
  if (!read.ok) throw new TypeError(`rule '${name}': ${read.why}`)
  return compileExpression(read.expression)
}

/** What settings mean for one request; `facts` are the request as the client sent it. */
export function decisionOf(settings: CacheSettings, facts: ExpressionFacts): CacheDecision {
  const { keep, fittingTypesOnly, clientTtl, keepStrongTags } = settings
  const extension = extensionOf(facts.path)
  // A time to live alone is for files: a page that nobody asked to keep stays as private as it was.
  const counts = keep === true || (keep === undefined && isStaticExtension(extension))
  const statedOnly = counts && settings.ttl?.mode === 'stated'
  const armored = fittingTypesOnly === true && isStaticExtension(extension)
  const toClient = (clientTtl !== undefined && clientTtl.mode !== 'respect') || keepStrongTags === true
  return {
    wish: keep === false ? { bypass: true } : wishOf(settings, counts, facts),
    onOriginAnswer:
      statedOnly || armored
        ? (answer) => withhold(answer, { statedOnly, extension: armored ? extension : '' })
        : undefined,
    onClientAnswer: toClient ? (answer) => toldClient(answer, settings) : undefined,
  }
}

function wishOf(
  { keep, ttl, key, neverWhileUpdating }: CacheSettings,
  counts: boolean,
  facts: ExpressionFacts,
): CacheWish {
  const policy: CachePolicy = key === undefined ? {} : { key: shapeOf(key, facts) }
  const override = counts && ttl?.mode === 'override' && ttl.seconds !== undefined
  return {
    ...(key !== undefined && { policy }),
    ...(keep === true && ttl?.mode !== 'stated' && { everything: true }),
    ...(override && { ttl: ttl.seconds }),
    ...(counts && ttl?.byStatus !== undefined && { ttlByStatus: ttl.byStatus }),
    ...(neverWhileUpdating === true && { staleWhileRevalidate: 0 }),
  }
}

/** The parts of the key that are made of more than one field of the request go along as texts. */
function shapeOf(key: RequestKey, { headers, country }: ExpressionFacts) {
  const { deviceType, country: byCountry, language, presentHeaders, presentCookies, containedIn, ...shape } = key
  const parts: string[] = []
  if (deviceType === true) parts.push(`device ${deviceOf(headerValue(headers, 'user-agent'))}`)
  if (byCountry === true) parts.push(`country ${country}`)
  if (language === true) parts.push(`language ${languageOf(headerValue(headers, 'accept-language'))}`)
  for (const name of presentHeaders ?? []) parts.push(`${name} ${headerValue(headers, name) !== undefined}`)
  const cookies = presentCookies === undefined ? undefined : cookieNames(headerValues(headers, 'cookie'))
  for (const name of presentCookies ?? []) parts.push(`cookie ${name} ${cookies!.has(name)}`)
  for (const { header, texts } of containedIn ?? []) {
    const value = headerValues(headers, header) ?? ''
    parts.push(`${header} ${texts.map((text) => (value.includes(text) ? '1' : '0')).join('')}`)
  }
  return parts.length === 0 ? shape : { ...shape, parts }
}

function cookieNames(field: string | undefined): ReadonlySet<string> {
  return new Set((field ?? '').split(/[;,]/).map((pair) => pair.split('=', 1)[0]!.trim()))
}

/** Three kinds: https://developers.cloudflare.com/cache/how-to/cache-keys/ (device type). */
export function deviceOf(userAgent = ''): 'mobile' | 'tablet' | 'desktop' {
  if (/iPad|Tablet|PlayBook|Silk|Android(?!.*Mobile)/i.test(userAgent)) return 'tablet'
  return /Mobi|iPhone|iPod|BlackBerry|Opera Mini|IEMobile/i.test(userAgent) ? 'mobile' : 'desktop'
}

/** The first language that is asked for, without its region. */
function languageOf(field = ''): string {
  return /^\s*([A-Za-z]{1,8})/.exec(field)?.[1]?.toLowerCase() ?? ''
}

const speaking: ReadonlySet<string> = new Set([
  'surrogate-control',
  'cloudflare-cdn-cache-control',
  'cdn-cache-control',
  'cache-control',
  'expires',
])

/** A 304 is about what was judged when it was stored. */
function withhold(answer: Answer, wanted: { readonly statedOnly: boolean; readonly extension: string }): Answer {
  const { headers, status } = answer
  if (status === 304) return answer
  const silent = wanted.statedOnly && !names(headers).some((name) => speaking.has(name))
  const fits = typeFitsExtension(wanted.extension, headerValue(headers, 'content-type'))
  return silent || !fits ? { ...answer, withheld: true } : answer
}

function toldClient(answer: Answer, { clientTtl, keepStrongTags, ttl }: CacheSettings): Answer {
  const tag = headerValue(answer.headers, 'etag')
  const verbatim = keepStrongTags === true && tag?.startsWith('"') === true
  // What is for one person stays so for everybody on the way, unless the site shares it against its word anyway.
  const personal = ttl?.mode !== 'override' && isPersonal(answer.headers)
  const headers = personal ? answer.headers : toldHeaders(answer, clientTtl)
  return verbatim ? { ...answer, headers, verbatim } : { ...answer, headers }
}

function isPersonal(headers: HeaderList): boolean {
  return /(?:^|,)\s*(?:private|no-store)\b/i.test(headerValues(headers, 'cache-control') ?? '')
}

function toldHeaders({ headers, status }: Answer, told: CacheSettings['clientTtl']): HeaderList {
  // Errors keep what they say: nobody wants a browser to remember one for hours.
  if (told === undefined || told.mode === 'respect' || (status >= 400 && told.mode === 'override')) return headers
  if (told.mode === 'stated' && names(headers).some((name) => name === 'cache-control' || name === 'expires'))
    return headers
  const value = told.mode === 'stated' ? 'no-store' : `max-age=${told.seconds}`
  return [...without(without(headers, 'cache-control'), 'expires'), 'cache-control', value]
}

function names(headers: HeaderList): string[] {
  return headers.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase())
}

function without(headers: HeaderList, name: string): HeaderList {
  const kept: HeaderList = []
  for (let index = 0; index < headers.length; index += 2)
    if (headers[index]!.toLowerCase() !== name) kept.push(headers[index]!, headers[index + 1]!)
  return kept
}
