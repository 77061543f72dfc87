/**
 * The newest release of the suite on npm is of January 2021, written against drafts of RFC 9111. This brings it to what
 * the suite says today: kinds, expectations that the RFC turned round, dependencies between tests, and pauses.
 */
import { addedTests } from './added-tests.ts'
import type { SuiteGroup, SuiteHeader, SuiteKind, SuiteTest } from './suite-test.ts'

/** Gone from the suite. */
const removed = new Set([
  'freshness-max-age-ignore-quoted-all',
  'freshness-max-age-ignore-quoted-all-rev',
  'freshness-max-age-multiple-line',
  'freshness-max-age-multiple-directive',
])

const list = (prefix: string, names: string) => names.split(' ').map((name) => prefix + name)

const invalidExpires = list(
  'freshness-expires-invalid-',
  'utc aest 2-digit-year no-comma multiple-spaces date-dashes time-periods 1-digit-hour multiple-lines',
)

const kinds: Record<SuiteKind, readonly string[]> = {
  check: [
    ...list('age-parse-', 'parameter numeric-parameter'),
    ...list(
      '304-etag-update-response-',
      'Content-Encoding Content-Location Content-MD5 Content-Range Content-Security-Policy Content-Type ' +
        'Clear-Site-Data ETag Expires Public-Key-Pins Set-Cookie Set-Cookie2 X-Frame-Options X-XSS-Protection',
    ),
    ...list('invalidate-', 'POST-location PUT-location DELETE-location M-SEARCH-location'),
    ...list('invalidate-', 'POST-cl PUT-cl DELETE-cl M-SEARCH-cl'),
  ],
  optimal: list(
    'freshness-expires-',
    '32bit far-future rfc850 ansi-c wrong-case-weekday wrong-case-month wrong-case-tz',
  ),
  required: [...invalidExpires, 'partial-use-stored-headers'],
}

/** RFC 9111 §5.1: an `Age` that cannot be read is ignored. §5.3: an `Expires` that cannot be read is in the past. */
const expectations = new Map<string, 'cached' | 'not_cached'>([
  ...list('age-parse-', 'nonnumeric negative float prefix-twoline dup-0 dup-0-twoline dup-old').map(
    (id) => [id, 'cached'] as const,
  ),
  ...invalidExpires.map((id) => [id, 'not_cached'] as const),
])

/** What a test presupposes; the first row whose pattern matches, for tests that name nothing themselves. */
const dependencies: readonly (readonly [RegExp, string])[] = [
  [/^headers-omit-headers-listed-in-Cache-Control/, 'cc-resp-no-cache-revalidate'],
  [/^pragma-response-no-cache-heuristic$|^other-heuristic-content-disposition-attachment$/, 'heuristic-200-cached'],
  [/^stale-(close|503|sie-close|sie-503)$|^ccreq-max-stale$|^head-writethrough$/, 'freshness-max-age-stale'],
  [/^conditional-(lm-stale|etag-strong-generate|etag-weak-generate-weak)$/, 'freshness-max-age-stale'],
  [/^other-age-update-expires$/, 'freshness-expires-future'],
  [/^ccreq-(?!oic)|^pragma-|^status-.*-fresh$|^headers-(store|omit)-|^vary-match$/, 'freshness-max-age'],
  [/^conditional-lm-fresh|^conditional-etag-(strong|weak)-respond$/, 'freshness-max-age'],
  [/^invalidate-[A-Z-]+$|^partial-store-(partial|complete)-(reuse|complete)|^query-args-/, 'freshness-max-age'],
  [/^other-(authorization$|age-gen|age-update-max-age|date-update$|fresh-|set-cookie|cookie)/, 'freshness-max-age'],
  [/^vary-2-(no-match|match-omit)$|^vary-3-match$/, 'vary-2-match'],
  [/^vary-3-/, 'vary-3-match'],
  [/^vary-(no-match|omit-stored|omit|invalidate|cache-key|2-match|normalise-.*)$/, 'vary-match'],
  [/^vary-syntax-(star|empty|foo)/, 'vary-match'],
]

const dependenciesById: Readonly<Record<string, string[]>> = {
  'conditional-etag-vary-headers-mismatch': ['conditional-etag-vary-headers', 'vary-no-match'],
  'head-200-update': ['head-200-freshness-update'],
  'head-410-update': ['head-200-freshness-update'],
}

/** Today the suite waits after the first request of nearly every test; not in these. */
const unpaused = [
  /^freshness-expires-(present|age-(slow|fast)|invalid-(date$|multiple|date-|time-|1-))/,
  /^cc-resp-|^heuristic-|^status-599-must|^ccreq-(max-stale-age|min-fresh|no-cache)|^pragma-response/,
  /^vary-|^invalidate-.*-(location|cl)$|^partial-|^other-heuristic/,
]

/** `lastStatus` tells which status a test's client saw last: some tests take any. */
export function correctSuite(
  groups: readonly SuiteGroup[],
  surrogate: SuiteGroup,
  lastStatus: (id: string) => number | undefined,
): readonly SuiteGroup[] {
  const kindOf = new Map(Object.entries(kinds).flatMap(([kind, ids]) => ids.map((id) => [id, kind as SuiteKind])))
  const added = addedTests(surrogate)
  const corrected = groups.map((group) => {
    const tests = group.tests.filter(({ id }) => !removed.has(id))
    for (const one of tests) {
      const kind = kindOf.get(one.id)
      if (kind !== undefined) one.kind = kind
      correctTest(one, lastStatus)
    }
    return { ...group, tests: [...tests, ...(added.byGroup[group.id] ?? [])] }
  })
  return [...corrected, ...added.groups]
}

function correctTest(one: SuiteTest, lastStatus: (id: string) => number | undefined): void {
  const { id, requests } = one
  const first = requests[0]!
  const last = requests.at(-1)!
  const expected = expectations.get(id)
  if (expected !== undefined) last.expected_type = expected
  correctDependencies(one)
  const invalidates = /^invalidate-(.*)-(?:location|cl)$/.exec(id)
  if (invalidates !== null) requests[1]!.request_method = invalidates[1]!
  const waits = requests.length > 1 && (first.setup === true || id.startsWith('query-args-'))
  if (waits && !unpaused.some((pattern) => pattern.test(id))) first.pause_after = true
  if (/^stale-close-(must|proxy|no-cache|s-maxage)/.test(id)) {
    delete last.expected_type
    last.check_body = false
    last.expected_response_headers_missing = ['server-request-count']
    Object.defineProperty(last, 'expected_status', { get: () => lastStatus(id) })
  }
  if (id === 'stale-sie-503') {
    delete requests[1]!.disconnect
    Object.assign(requests[1]!, { response_status: [503, 'Service Unavailable'], expected_status: 200 })
  }
  correctHeaders(one)
}

function correctDependencies(one: SuiteTest): void {
  const invalidates = /^invalidate-(.*)-(?:location|cl)$/.exec(one.id)
  const rule = dependencies.find(([pattern]) => pattern.test(one.id))
  if (invalidates !== null) one.depends_on = [`invalidate-${invalidates[1]}`]
  else if (dependenciesById[one.id] !== undefined) one.depends_on = dependenciesById[one.id]!
  else if (one.depends_on === undefined && rule !== undefined) one.depends_on = [rule[1]]
}

function field(headers: readonly SuiteHeader[] | undefined, name: string): [string, string | number] | undefined {
  return headers?.find((header) => Array.isArray(header) && header[0] === name) as [string, string | number] | undefined
}

function correctHeaders({ id, requests }: SuiteTest): void {
  const [first, second, third] = requests
  const set = (name: string, change: (value: string) => string) => {
    const header = field(first!.response_headers, name)!
    header[1] = change(String(header[1]))
  }
  if (id === 'status-599-must-understand') set('Cache-Control', () => 'max-age=3600, no-store, must-understand')
  if (/^freshness-expires-(32bit|far-future)$/.test(id)) set('Expires', (value) => value.replace(/^(\w+),? /, '$1, '))
  if (/^age-parse-(suffix|prefix)$/.test(id)) set('Age', (value) => value.replace(/, ?/, ', '))
  if (id === '304-etag-update-response-Content-Length')
    for (const request of requests)
      for (const headers of [request.response_headers, request.expected_response_headers]) {
        const length = field(headers, 'Content-Length')
        if (length !== undefined) length[1] = '36'
      }
  const updates = /^304-etag-update-response-(Content-Encoding|Content-MD5|Content-Range|ETag)$/.exec(id)
  if (updates === null) return
  // These asked whether the field stays; today they ask whether it changes.
  const value = field(second!.response_headers, updates[1]!)![1]
  for (const headers of [
    second!.expected_response_headers,
    third!.response_headers,
    third!.expected_response_headers,
  ]) {
    const header = field(headers, updates[1]!)
    if (header !== undefined) header[1] = value
  }
}
