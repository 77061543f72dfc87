import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileCondition, compileValue, type RuleFacts } from './compile-condition.ts'
import { compileLookups } from './compile-rules.ts'
import { type ConditionPhase, readCondition, readValue } from './condition.ts'

const facts: RuleFacts = {
  method: 'GET',
  url: '/api/items/list.json?a=1&b=2',
  headers: [
    'Host',
    'shop.example',
    'cookie',
    'id=7; theme="dark"',
    'x-empty',
    '',
    'cache-control',
    'no-cache, max-age=5',
  ],
  scheme: 'https',
  httpVersion: '1.1',
  address: '10.1.2.3',
  country: 'DE',
  pop: 'fra',
  lookups: compileLookups({
    tables: { flags: { beta: 'on' } },
    lists: {
      office: [
        { address: '10.1.0.0', prefix: 16, negated: false },
        { address: '10.1.9.0', prefix: 24, negated: true },
        { address: '2001:db8::', prefix: 32, negated: false },
      ],
    },
  }),
  answer: { status: 404, headers: ['content-type', 'text/html'] },
}

const held: [string, boolean][] = [
  ['req.url ~ "^/api"', true],
  ['req.url ~ "^/api/items/list.json$"', false],
  ['req.url.path ~ "\\.json$"', true],
  ['req.url ~ "(?i)^/API/"', true],
  ['req.url !~ "^/api"', false],
  ['req.url.qs == "a=1&b=2"', true],
  ['req.url.ext == "json" && req.url.basename == "list.json" && req.url.dirname == "/api/items"', true],
  ['req.http.Host == "shop.example"', true],
  ['req.http.host != "shop.example"', false],
  ['req.http.X-Missing', false],
  ['!req.http.X-Missing', true],
  ['req.http.X-Empty', true],
  ['req.http.X-Missing == ""', false],
  ['req.http.Cookie:id == "7" && req.http.Cookie:theme == "dark"', true],
  ['req.http.Cookie:none', false],
  ['req.http.Cache-Control:max-age == "5"', true],
  ['req.method == "GET" || req.method == "HEAD"', true],
  ['req.request == "POST" || (req.is_ssl && req.protocol == "https")', true],
  ['!(req.method == "GET") || req.proto == "HTTP/1.1"', true],
  ['client.ip ~ office', true],
  ['client.ip !~ office', false],
  ['client.ip == "10.1.2.3" && client.geo.country_code == "DE" && server.datacenter == "fra"', true],
  ['table.lookup(flags, "beta") == "on"', true],
  ['table.lookup(flags, "other", "off") == "off"', true],
  ['table.lookup(flags, "other")', false],
  ['table.contains(flags, "beta")', true],
  ['std.tolower(req.method) == "get"', true],
  ['std.toupper("ab") == {"AB"}', true],
  ['req.url == "/a%20b"', false],
  ['true && !false', true],
]

test('conditions over the request', () => {
  for (const [text, expected] of held) {
    const read = readCondition(text, 'request')
    assert.ok(read.ok, `${text}: ${read.ok ? '' : read.why}`)
    assert.equal(compileCondition(read.value)(facts), expected, text)
  }
})

test('conditions over the answer know it in their phase only', () => {
  const cases: [string, ConditionPhase, boolean][] = [
    ['beresp.status == 404', 'cache', true],
    ['beresp.status >= 400 && beresp.status < 404', 'cache', false],
    ['beresp.http.Content-Type ~ "^text/"', 'cache', true],
    ['resp.status != 200 && resp.http.Content-Type', 'response', true],
  ]
  for (const [text, phase, expected] of cases) {
    const read = readCondition(text, phase)
    assert.ok(read.ok, text)
    assert.equal(read.uses.answer, true)
    assert.equal(compileCondition(read.value)(facts), expected, text)
  }
  for (const [text, phase] of [
    ['beresp.status == 1', 'request'],
    ['resp.status == 1', 'cache'],
    ['beresp.status == 1', 'response'],
  ] as const)
    assert.match(JSON.stringify(readCondition(text, phase)), /is not known in a rule of the phase/)
})

test('what is not understood is refused, and says what', () => {
  const cases: [string, RegExp][] = [
    ['', /a value is missing at the end/],
    ['req.url ~', /a pattern in quotes or the name of an ACL is missing/],
    ['req.url ~ "("', /pattern .* is not supported/],
    ['req.url ~ "(a)\\1"', /pattern .* is not supported/],
    ['req.url ~ "(?!a)b"', /pattern .* is not supported/],
    ['req.url == "a" req.url', /something is left over before "req.url"/],
    ['(req.url == "a"', /'\)' is missing/],
    ['req.url = "a"', /"= \\"a\\"" is not understood/],
    ['req.hash == "a"', /the variable req.hash is not supported/],
    ['obj.status == 200', /the variable obj.status is not supported/],
    ['randombool(1, 2)', /the function randombool\(\) is not supported/],
    ['req.url == 5', /a text is compared with a number/],
    ['req.url < "a"', /'<' compares numbers only/],
    ['"a"', /a comparison is missing/],
    ['table.lookup("a", "b")', /the name of a dictionary is missing/],
    ['table.lookup(flags, "beta") ~ office', /only an address can be in an ACL/],
    ['req.url == "a" # comment', /is not understood/],
    ['if (req.url) { }', /is not understood/],
    [`${'('.repeat(50)}req.is_ssl${')'.repeat(50)}`, /nested deeper/],
    [`${'!'.repeat(50)}req.is_ssl`, /nested deeper/],
    [`req.url == "${'a'.repeat(5000)}"`, /longer than 4096/],
  ]
  for (const [text, why] of cases) {
    const read = readCondition(text, 'request')
    assert.equal(read.ok, false, text)
    if (!read.ok) assert.match(read.why, why, text)
  }
})

test('values of header rules are texts and facts one after the other', () => {
  const cases: [string, string][] = [
    ['"plain"', 'plain'],
    ['"a=" req.http.Host " b=" client.ip', 'a=shop.example b=10.1.2.3'],
    ['"a" + "b"', 'ab'],
    ['req.http.X-Missing "x"', 'x'],
    ['table.lookup(flags, "beta", "off")', 'on'],
    ['req.is_ssl', '1'],
    ['"tab%09"', 'tab\t'],
  ]
  for (const [text, expected] of cases) {
    const read = readValue(text, 'request')
    assert.ok(read.ok, text)
    assert.equal(
      String(compileValue(read.value)(facts) === true ? '1' : compileValue(read.value)(facts)),
      expected,
      text,
    )
  }
  assert.equal(readValue('regsub(req.url, "a", "b")', 'request').ok, false)
})

test('lists: the longest prefix decides, whatever the family', () => {
  const { lists } = facts.lookups
  const inside = (address: string) => lists.get('office')!(address)
  assert.deepEqual(['10.1.2.3', '10.1.9.9', '10.2.0.1', '2001:db8::5', '::ffff:10.1.2.3', 'no address'].map(inside), [
    true,
    false,
    false,
    true,
    true,
    false,
  ])
})

test('a pattern that would hold up a backtracking matcher is over at once', () => {
  const read = readCondition('req.url ~ "^/(a+)+$"', 'request')
  assert.ok(read.ok)
  const started = performance.now()
  assert.equal(compileCondition(read.value)({ ...facts, url: `/${'a'.repeat(10_000)}!` }), false)
  assert.ok(performance.now() - started < 1000)
})

test('whatever is written is read or refused, never thrown', () => {
  const words =
    'req.url beresp.status client.ip table.lookup ( ) ! && || == ~ , "a" "(" 7 office {"x"} true < %zz " { é'.split(' ')
  let seed = 7
  const next = (below: number) => {
    seed = (seed * 1103515245 + 12345) % 2147483648
    return seed % below
  }
  let read = 0
  for (let turn = 0; turn < 5000; turn++) {
    const text = Array.from({ length: 1 + next(9) }, () => words[next(words.length)]).join(next(4) === 0 ? '' : ' ')
    const result = readCondition(text, 'cache')
    if (!result.ok) {
      assert.ok(result.why.length > 0, text)
      continue
    }
    read++
    assert.equal(typeof compileCondition(result.value)(facts), 'boolean', text)
  }
  assert.ok(read > 50, `${read} were read`)
})
