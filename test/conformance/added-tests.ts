/**
 * Tests that the suite has today and its release of 2021 has not, under the suite's ids, so that totals compare with
 * published ones: RFC 9111, RFC 5861, RFC 8297 and RFC 9213.
 */
import type { Interim, SuiteGroup, SuiteHeader, SuiteKind, SuiteRequest, SuiteTest } from './suite-test.ts'

const cacheControl = (value: string): SuiteHeader => ['Cache-Control', value]
const targeted = (value: string): SuiteHeader => ['CDN-Cache-Control', value]
const now: SuiteHeader = ['Date', 0]
const month = 2_592_000

interface Plan {
  readonly id: string
  readonly kind?: SuiteKind
  readonly needs?: readonly string[]
  /** Fields of the first answer. */
  readonly headers: SuiteHeader[]
  readonly first?: SuiteRequest
  readonly next: SuiteRequest
}

function twice({ id, kind = 'required', needs, headers, first, next }: Plan): SuiteTest {
  return {
    id,
    name: id,
    kind,
    ...(needs && { depends_on: [...needs] }),
    requests: [{ response_headers: headers, setup: true, pause_after: true, ...first }, next],
  }
}

const cached: SuiteRequest = { expected_type: 'cached' }
const notCached: SuiteRequest = { expected_type: 'not_cached' }

function largeAge(id: string, age: string): SuiteTest {
  const headers: SuiteHeader[] = [now, cacheControl('max-age=3600'), ['Age', age, false]]
  return twice({ id, needs: ['freshness-max-age-age'], headers, next: notCached })
}

/** Is the first answer still used after a later one said not to store? */
function oldAndNew(id: string, second: string): SuiteTest {
  return {
    id,
    name: id,
    depends_on: ['cc-resp-no-store'],
    requests: [
      {
        response_headers: [cacheControl('max-age=10000'), ['Expires', 10000], now, ['A', '1']],
        setup: true,
        pause_after: true,
      },
      { response_headers: [cacheControl(second), now, ['A', '2']], setup: true, pause_after: true },
      { expected_type: 'cached', expected_response_headers: [['a', '1']] },
    ],
  }
}

const byGroup: Record<string, readonly SuiteTest[]> = {
  'cc-freshness': [
    twice({
      id: 'freshness-max-age-stale',
      needs: ['freshness-max-age'],
      headers: [cacheControl('max-age=2'), now, ['Template-A', '1']],
      next: notCached,
    }),
  ],
  'age-parse': [
    largeAge('age-parse-large-minus-one', '2147483647'),
    largeAge('age-parse-large', '2147483648'),
    largeAge('age-parse-larger', '2147483649'),
  ],
  'cc-response': [
    oldAndNew('cc-resp-no-store-old-new', 'no-store'),
    oldAndNew('cc-resp-no-store-old-max-age', 'no-store, max-age=0'),
  ],
  stale: [
    twice({
      id: 'stale-while-revalidate',
      kind: 'optimal',
      needs: ['freshness-max-age-stale'],
      headers: [cacheControl('max-age=1, stale-while-revalidate=3600'), ['ETag', '"abc"']],
      next: cached,
    }),
    {
      id: 'stale-while-revalidate-window',
      name: 'stale-while-revalidate-window',
      depends_on: ['stale-while-revalidate'],
      requests: [
        {
          setup: true,
          pause_after: true,
          response_headers: [cacheControl('max-age=1, stale-while-revalidate=4'), ['ETag', '"abc"']],
        },
        {
          setup: true,
          pause_after: true,
          response_headers: [
            ['Cache-Control', 'no-cache', false],
            ['ETag', '"def"', false],
          ],
          expected_type: 'cached',
        },
        { expected_response_headers: [['client-request-count', '3']] },
      ],
    },
  ],
  status: [
    twice({
      id: 'status-200-must-understand',
      kind: 'optimal',
      needs: ['status-200-fresh', 'cc-resp-no-store-fresh'],
      headers: [cacheControl('max-age=3600, no-store, must-understand')],
      first: { response_status: [200, 'OK'], pause_after: false },
      next: cached,
    }),
  ],
  other: [
    {
      id: 'other-age-delay',
      name: 'other-age-delay',
      kind: 'check',
      requests: [
        {
          response_headers: [cacheControl('max-age=3600'), now],
          response_pause: 5,
          expected_response_headers: [['age', '>', 0]],
        },
      ],
    },
    twice({
      id: 'other-date-update-expires',
      needs: ['freshness-expires-future'],
      headers: [['Expires', month], now],
      next: { expected_type: 'cached', expected_response_headers: [['Date', 0]] },
    }),
    twice({
      id: 'other-date-update-expires-update',
      kind: 'check',
      needs: ['freshness-expires-future'],
      headers: [['Expires', month], now],
      next: { expected_type: 'cached', expected_response_headers: [['Expires', month]] },
    }),
  ],
}

/** Capabilities of the Edge Architecture Specification that RFC 9213 has not. */
const notTargeted = new Set([
  'cdn-max-age-me-target',
  'cdn-max-age-other-target',
  'cdn-no-store',
  'cdn-append-capabilities',
])

/** The package's tests of `Surrogate-Control`, said with `CDN-Cache-Control`, and those that came after. */
function targetedTests(surrogate: SuiteGroup): readonly SuiteTest[] {
  const text = JSON.stringify(surrogate.tests)
    .replaceAll('Surrogate-Control', 'CDN-Cache-Control')
    .replaceAll(';CAPABILITY_TARGET', '')
    .replaceAll('"surrogate-', '"cdn-')
  const tests = (JSON.parse(text) as SuiteTest[]).filter(({ id }) => !notTargeted.has(id))
  for (const one of tests) {
    if (one.id === 'cdn-max-age-case-insensitive') one.kind = 'check'
    if (one.id === 'cdn-no-store-cc-fresh' || one.id === 'cdn-fresh-cc-nostore') one.depends_on = ['freshness-none']
  }
  const fresh: SuiteHeader[] = [cacheControl('max-age=10000'), ['Expires', 10000], now]
  const invalid = (value: string): SuiteHeader[] => [['CDN-Cache-Control', value, false], cacheControl('no-store')]
  const needs = ['cdn-max-age']
  const exceeds = (short: SuiteHeader[]) => [...short, targeted('max-age=10000'), now]
  const first = { pause_after: false }
  return [
    ...tests,
    twice({ id: 'cdn-private', headers: [targeted('private'), ...fresh], first, next: notCached }),
    twice({ id: 'cdn-no-cache', headers: [targeted('no-cache'), ...fresh], next: notCached }),
    twice({
      id: 'cdn-cc-invalid-sh-type-unknown',
      needs,
      headers: invalid('max-age=10000, &&&&&'),
      next: notCached,
    }),
    twice({ id: 'cdn-cc-invalid-sh-type-wrong', needs, headers: invalid('max-age="10000"'), next: notCached }),
    twice({
      id: 'cdn-remove-age-exceed',
      kind: 'check',
      needs,
      headers: exceeds([cacheControl('max-age=1')]),
      next: { expected_response_headers: ['Age'] },
    }),
    twice({
      id: 'cdn-date-update-exceed',
      kind: 'check',
      needs,
      headers: exceeds([cacheControl('max-age=1')]),
      next: { expected_response_headers: [['Date', 0]] },
    }),
    twice({
      id: 'cdn-expires-update-exceed',
      kind: 'check',
      needs,
      headers: exceeds([cacheControl('max-age=1'), ['Expires', 1]]),
      next: { expected_response_headers: [['Expires', 1]] },
    }),
  ]
}

function interim(id: string, kind: SuiteKind, sent: Interim[], first?: SuiteRequest, next?: SuiteRequest): SuiteTest {
  return twice({
    id,
    kind,
    headers: [cacheControl('max-age=100000'), now],
    first: { setup: false, interim_responses: sent, expected_interim_responses: sent, ...first },
    next: { ...cached, ...next },
  })
}

function interimTests(): readonly SuiteTest[] {
  const link: [string, string] = ['link', '</a.css>; rel=preload; as=style']
  const other: [string, string] = ['x-my-header', 'test']
  const missing = { expected_response_headers_missing: ['x-my-header'] }
  return [
    interim('interim-102', 'optimal', [[102]]),
    interim('interim-103', 'optimal', [[103, [link, other]]]),
    interim('interim-not-cached', 'required', [[103, [link]]], {}, { expected_interim_responses: [] }),
    interim('interim-no-header-reuse', 'optimal', [[103, [link, other]]], missing, missing),
  ]
}

export function addedTests(surrogate: SuiteGroup) {
  const groups: readonly SuiteGroup[] = [
    { id: 'cdn-cache-control', name: 'CDN-Cache-Control', tests: [...targetedTests(surrogate)] },
    { id: 'interim', name: 'Interim Response Handling', tests: [...interimTests()] },
  ]
  return { byGroup, groups }
}
