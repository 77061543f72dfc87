/** Whatever is written is read or refused, and whatever is read can be asked: no text makes either throw. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileExpression } from './compile-expression.ts'
import { readExpression } from './read-expression.ts'
import type { ExpressionFacts } from './request-values.ts'

const words = `http.host http.request.uri.path http.request.headers http.request.headers.names http.request.cookies
  http.request.uri.args ip.src ip.src.country ssl true false eq ne lt gt le ge == != < > <= >= ~ contains matches wildcard strict in
  and or xor not ! && || ^^ ( ) ( ) { } [ ] [*] [0] ["x-two"] , .. / $list "a" "*" "x-two" r"a+" "(" 1 2 0x10 -3 1.2.3.4 10.0.0.0/8 ::1
  2001:db8::/32 lower( upper( len( starts_with( ends_with( concat( any( all( has_key( has_value( md5( \\ " '`
  .trim()
  .split(/\s+/)

/** Shapes that read often, so that there is something to ask. */
const shapes = [
  'F eq "a"',
  'any(H[*] eq "a")',
  'lower(F) contains "a"',
  'len(H) gt 1',
  'ip.src in {1.2.3.4 10.0.0.0/8 1.0.0.0..2.0.0.0}',
  'H[0] wildcard "*a"',
  'any(starts_with(lower(H[*])[*], "a"))',
  'has_key(http.request.headers, "a")',
  'concat(F, H[0]) matches "a"',
  'ssl',
]
const texts = ['http.host', 'http.cookie', 'http.request.uri.query', 'ip.src.country']
const lists = ['http.request.headers["x-two"]', 'http.request.uri.args["id"]', 'http.request.headers.names']

/** A small generator of its own, so that a failure comes again: mulberry32. */
function generator(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

const requests: readonly ExpressionFacts[] = [
  {
    ...{
      method: 'GET',
      scheme: 'https',
      httpVersion: '2',
      host: 'a.example',
      path: '/a.css?id=1&id=2&=&x',
      country: 'DE',
    },
    ...{ headers: ['X-Two', 'a', 'x-two', 'b', 'cookie', 'a=1; b; =; a=2'], address: '10.1.2.3' },
  },
  {
    ...{ method: 'POST', scheme: 'http', httpVersion: '1.0', host: '', path: '*', country: 'XX' },
    ...{ headers: [], address: 'no address' },
  },
]

test('5,000 sentences', () => {
  const pick = generator(7)
  let read = 0
  for (let round = 0; round < 5_000; round++) {
    const parts: string[] = []
    for (let length = 1 + pick(5); length > 0; length--) {
      const shape = shapes[pick(shapes.length)]!
      parts.push(shape.replaceAll('F', texts[pick(texts.length)]!).replaceAll('H', lists[pick(lists.length)]!))
      if (length > 1) parts.push(['and', 'or', 'xor', 'and not'][pick(4)]!)
    }
    let text = parts.join(' ')
    for (let change = pick(4); change > 0; change--) {
      const at = pick(text.length + 1)
      text = `${text.slice(0, at)} ${words[pick(words.length)]} ${text.slice(at + pick(6))}`
    }
    const result = readExpression(text)
    if (!result.ok) {
      assert.match(result.why, /^Filter parsing error \(\d+:\d+\):\n/, text)
      continue
    }
    read++
    const matches = compileExpression(result.expression)
    for (const facts of requests) assert.equal(typeof matches(facts), 'boolean', text)
  }
  assert.ok(read > 1_000, `${read} sentences were read`)
})
