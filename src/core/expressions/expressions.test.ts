import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileExpression } from './compile-expression.ts'
import { readExpression } from './read-expression.ts'
import type { ExpressionFacts } from './request-values.ts'

const facts: ExpressionFacts = {
  method: 'GET',
  scheme: 'https',
  httpVersion: '1.1',
  host: 'shop.example.com',
  path: '/Shop/Article.JPG?id=7&id=8&q=a%20b',
  headers: [
    ...['Accept', 'text/html', 'X-Two', 'One', 'x-two', 'Zwei', 'Cookie', 'a=1; session=s=2'],
    ...['User-Agent', 'Mozilla/5.0 (iPhone)'],
  ],
  address: '192.0.2.17',
  country: 'DE',
}

const holds: readonly string[] = [
  'true',
  'http.host eq "shop.example.com"',
  'http.host == r"shop.example.com"',
  'http.host == r#"shop.example.com"#',
  'http.host ne "other"',
  'http.host != "other"',
  'http.request.uri eq "/Shop/Article.JPG?id=7&id=8&q=a%20b"',
  'http.request.uri.path eq "/Shop/Article.JPG"',
  'http.request.uri.path.extension eq "jpg"',
  'http.request.uri.path.extension in {"css" "jpg" "js"}',
  'http.request.uri.query contains "id=8"',
  'http.request.full_uri eq "https://shop.example.com/Shop/Article.JPG?id=7&id=8&q=a%20b"',
  'http.request.full_uri wildcard "https://*.EXAMPLE.com/shop/*.jpg?*"',
  'http.request.full_uri strict wildcard "https://*/Shop/*"',
  'not http.request.full_uri strict wildcard "https://*/shop/*"',
  'http.request.uri.path matches "^/Shop/[A-Z][a-z]+\\\\.JPG$" or true',
  'http.request.uri.path ~ r"^/Shop/[A-Z][a-z]+\\.JPG$"',
  'http.request.method in {"GET" "HEAD"} and ssl',
  'not (ssl and false)',
  '!ssl || ssl',
  'true xor false',
  'not (true xor true)',
  'true ^^ false',
  // `or` binds least, then `xor`, then `and`.
  'true or true and false',
  'true xor true and false',
  'true or true xor true',
  'ip.src eq 192.0.2.17',
  'ip.src ne 192.0.2.18',
  'ip.src in {10.0.0.0/8 192.0.2.0/24 2001:db8::/32}',
  'ip.src in {192.0.2.10..192.0.2.20}',
  'not ip.src in {192.0.2.18..192.0.2.20 2001:db8::1..2001:db8::ff}',
  'ip.src.country eq "DE" and ip.geoip.country in {"DE" "AT"}',
  'http.request.headers["x-two"][0] eq "One"',
  'http.request.headers["X-Two"][1] eq "Zwei"',
  'any(http.request.headers["x-two"][*] eq "Zwei")',
  'any(lower(http.request.headers["x-two"][*])[*] eq "zwei")',
  'all(http.request.headers["x-two"][*] ne "three")',
  'not all(http.request.headers["x-two"][*] eq "One")',
  'any(starts_with(http.request.headers["x-two"][*], "Zw"))',
  'any(http.request.headers.names[*] eq "accept")',
  // What is not there is unequal to everything, and nothing else.
  'http.request.headers["absent"][0] ne "a"',
  'not http.request.headers["absent"][0] eq "a"',
  'not any(http.request.headers["absent"][*] eq "a")',
  'not lower(http.request.headers["absent"][0]) contains ""',
  'has_key(http.request.headers, "accept") and not has_key(http.request.uri.args, "x")',
  'http.request.uri.args["id"][1] eq "8"',
  'len(http.request.uri.args["id"]) eq 2',
  'has_value(http.request.uri.args.values, "7")',
  'http.request.cookies["session"][0] eq "s=2"',
  'http.cookie contains "session="',
  'http.user_agent contains "iPhone"',
  'http.referer eq ""',
  'starts_with(http.request.uri.path, "/Shop/")',
  'ends_with(lower(http.request.uri.path), ".jpg")',
  'upper(http.host) eq "SHOP.EXAMPLE.COM"',
  'len(http.host) in {1..15 16 20..30}',
  'len(http.host) gt 15 and len(http.host) le 0x10 and len(http.host) ge 020',
  'concat(http.host, "/", http.request.method) eq "shop.example.com/GET"',
  'http.host lt "t" and http.host gt "a"',
  'not http.host eq "a\\"b\\\\\\x41\\101"',
]

for (const text of holds)
  test(`${text} holds`, () => {
    const read = readExpression(text)
    if (!read.ok) assert.fail(read.why)
    assert.equal(compileExpression(read.expression)(facts), true)
  })

/** The last line of what is said: marks below the place, and why. */
const refused: readonly (readonly [string, RegExp])[] = [
  ['', /\(1:1\):\n\n\^ a field or a function is missing/],
  ['http.hst eq "a"', /\(1:1\):\nhttp\.hst eq "a"\n\^{8} the field 'http\.hst' is not supported$/],
  ['ssl and\ncf.bot_management.score gt 3', /\(2:1\):\ncf\..*\n\^{23} the field 'cf\.bot_management\.score'/],
  ['http.host', /a comparison is missing behind this Bytes/],
  ['http.host eq 5', /\(1:14\).*\n.*\n {13}\^ a text in quotes is missing/],
  ['ssl eq true', /something is left over/],
  ['http.host gt', /a text in quotes is missing/],
  ['http.host in $hosts', /the list '\$hosts' is not supported/],
  ['http.host in {}', /the set is empty/],
  ['http.host in {"a"', /'\}' is missing/],
  ['http.host in {"a" 5}', /a text in quotes is missing/],
  ['http.host like "a"', /the operator 'like' is not supported/],
  ['len(http.host) contains "a"', /'contains' does not compare Int/],
  ['ip.src gt 1.2.3.4', /'gt' does not compare Ip/],
  ['ip.src eq "1.2.3.4"', /an address is missing/],
  ['ip.src eq 1.2.3', /'1\.2\.3' is no address/],
  ['ip.src in {1.2.3.4/33}', /the length of the network does not fit/],
  ['ip.src in {1.2.3.4..1.2.3.3}', /ends before it begins/],
  ['len(http.host) in {5..3}', /ends before it begins/],
  ['http.host matches "("', /the pattern .* is not supported/],
  ['http.host matches "(?=a)"', /the pattern .* is not supported/],
  ['http.host wildcard "a**"', /two stars/],
  ['http.host wildcard "a\\x"', /a backslash stands only before/],
  ['md5(http.host) eq "a"', /the function 'md5' is not supported/],
  ['lower(ssl) eq "a"', /the function 'lower' takes Bytes, not Bool/],
  ['starts_with(http.host)', /takes 2 arguments/],
  ['starts_with(http.host, "a", "b")', /takes 2 arguments/],
  ['http.request.headers["a"] eq "b"', /'eq' does not compare Array<Bytes>/],
  ['http.request.headers["a"][*] eq "b"', /an array of answers needs any\(\) or all\(\)/],
  ['http.host["a"] eq "b"', /a Bytes has no member of this name/],
  ['http.host[0] eq "b"', /a Bytes has no members/],
  ['http.request.headers["a"][-1] eq "b"', /a name in quotes, a number or \* is missing/],
  ['(ssl', /'\)' is missing/],
  ['ssl)', /something is left over/],
  ['ssl and', /a field or a function is missing/],
  ['http.host eq "a', /the text does not end/],
  ['http.host eq r#"a"', /the text does not end/],
  ['http.host eq "\\q"', /this escape is not known/],
  ['len(http.host) eq 99999999999999999999', /the number is too large/],
  ['"a" eq "a"', /a field or a function must stand on the left/],
  [`${'('.repeat(50)}ssl${')'.repeat(50)}`, /nested deeper/],
  [`${'not '.repeat(50)}ssl`, /nested deeper/],
  [`${'lower('.repeat(50)}http.host${')'.repeat(50)} eq "a"`, /nested deeper/],
  [`http.host eq "${'a'.repeat(5000)}"`, /longer than 4096/],
]

for (const [text, why] of refused)
  test(`${text.slice(0, 60)} is refused`, () => {
    const read = readExpression(text)
    assert.match(read.ok ? 'it was read' : read.why, why)
  })

test('texts are bytes: what a person writes beyond ASCII is its UTF-8', () => {
  const umlaut = Buffer.from('/ü').toString('latin1')
  for (const text of [
    'http.request.uri.path eq "/ü"',
    'http.request.uri.path ~ r"^/ü$"',
    'http.request.uri.path eq "/\\xc3\\xbc"',
  ]) {
    const read = readExpression(text)
    if (!read.ok) assert.fail(read.why)
    assert.equal(compileExpression(read.expression)({ ...facts, path: umlaut }), true, text)
  }
})

test('a wildcard takes time linear in the text', () => {
  const read = readExpression(`http.request.uri.path wildcard "${'*a'.repeat(200)}*b"`)
  if (!read.ok) assert.fail(read.why)
  const matches = compileExpression(read.expression)
  const path = `/${'a'.repeat(15_000)}`
  const began = performance.now()
  for (let round = 0; round < 50; round++) assert.equal(matches({ ...facts, path }), false)
  assert.ok(performance.now() - began < 500)
})
