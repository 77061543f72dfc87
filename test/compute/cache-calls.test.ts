/** Single host calls of the caches that SDKs seldom make: replacing, giving up, closing, facts of what was replaced. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buffer, type Call, callAll, load, out } from '#/engines/compute/call-sequence.fixture.ts'
import { status } from '#/engines/compute/inside/status.ts'
import { openBackends } from '../support/compute.ts'

const { ok, none, badHandle } = status
const second = 1_000_000_000n
/** `cache_write_options`: 60 s, 30 s stale, the metadata «meta». */
const write = { struct: [60n * second, 0, 0, 0, 0, 0n, 30n * second, 0, 0, 0n, 'meta', 0n, 0, 0] }
const writeMask = (1 << 4) | (1 << 7)
const noOptions = { struct: [0, 0, 0, 0] }

const c = 'fastly_cache'
const lookup = (name: string): Call[] => [
  [`${c}.lookup`, 'key', 0, noOptions, out(name)],
  [`${c}.get_body`, load(name), 0, { struct: [0n, 0n] }, out(`${name} body`)],
  ['fastly_http_body.read', load(`${name} body`), buffer(name), out(`${name} length`)],
]
const fill = (body: string, text: string): Call[] => [
  ['fastly_http_body.write', load(body), text, 0, out('written')],
  ['fastly_http_body.close', load(body)],
]

test('the core cache: what is replaced is known, and gives way', async (t) => {
  const stage = await openBackends(t)
  const facts: readonly [name: string, value: bigint][] = [
    ['max_age_ns', 60n * second],
    ['stale_while_revalidate_ns', 30n * second],
    // The lookup before, and this one.
    ['hits', 2n],
  ]
  const calls: Call[] = [
    [`${c}.insert`, 'key', writeMask, write, out('body')],
    ...fill('body', 'first'),
    ...lookup('one'),
    [`${c}.get_stale_while_revalidate_ns`, load('one'), out('stale')],
    [`${c}.close`, load('one')],
    [`${c}.close`, load('one')],
    [`${c}.replace`, 'key', 0, noOptions, out('replace')],
    [`${c}.replace_get_state`, load('replace'), out('state')],
    [`${c}.replace_get_length`, load('replace'), out('length')],
    ...facts.map(([name]): Call => [`${c}.replace_get_${name}`, load('replace'), out(name)]),
    [`${c}.replace_get_age_ns`, load('replace'), out('age')],
    [`${c}.replace_get_user_metadata`, load('replace'), buffer('metadata'), out('metadata length')],
    [`${c}.replace_get_body`, load('replace'), 0, { struct: [0n, 0n] }, out('old body')],
    ['fastly_http_body.read', load('old body'), buffer('old'), out('old length')],
    [`${c}.replace_insert`, load('replace'), writeMask, write, out('body')],
    ...fill('body', 'second'),
    ...lookup('two'),
  ]
  const outcome = await callAll(stage, calls)
  const wrong = calls.flatMap(([name], index) =>
    outcome.statuses[index] === ok ? [] : [[name, outcome.statuses[index]]],
  )
  assert.deepEqual(wrong, [[`${c}.close`, badHandle]])
  assert.equal(outcome.u64('stale'), 30n * second)
  for (const [name, value] of facts) assert.equal(outcome.u64(name), value, name)
  const texts = ['one', 'metadata', 'old', 'two'].map((name) => outcome.text(name, `${name} length`))
  assert.deepEqual(texts, ['first', 'meta', 'first', 'second'])
})

test('the core cache: a turn that is taken and given up', async (t) => {
  const stage = await openBackends(t)
  const calls: Call[] = [
    [`${c}.transaction_lookup_async`, 'key', 0, noOptions, out('busy')],
    [`${c}.cache_busy_handle_wait`, load('busy'), out('entry')],
    [`${c}.get_state`, load('entry'), out('state')],
    [`${c}.transaction_cancel`, load('entry')],
    [`${c}.close`, load('entry')],
    [`${c}.transaction_lookup_async`, 'key', 0, noOptions, out('busy')],
    [`${c}.close_busy`, load('busy')],
    [`${c}.close_busy`, load('busy')],
    [`${c}.replace`, 'key', 0, noOptions, out('replace')],
    [`${c}.replace_get_state`, load('replace'), out('x')],
    [`${c}.replace_get_body`, load('replace'), 0, { struct: [0n, 0n] }, out('x')],
  ]
  const outcome = await callAll(stage, calls)
  assert.deepEqual(outcome.statuses, [ok, ok, ok, ok, ok, ok, ok, badHandle, ok, none, none])
  // Nothing was found, and it is this program's turn to bring it.
  assert.equal(outcome.u32('state') & 0b1001, 0b1000)
})

test('the HTTP cache: keys, lookups without a turn, and a turn given up', async (t) => {
  const stage = await openBackends(t)
  const h = 'fastly_http_cache'
  const calls: Call[] = [
    ['fastly_http_req.new', out('request')],
    ['fastly_http_req.uri_set', load('request'), 'http://shop.test/a'],
    [`${h}.get_suggested_cache_key`, load('request'), buffer('key'), out('key length')],
    [`${h}.lookup`, load('request'), 0, noOptions, out('entry')],
    [`${h}.get_state`, load('entry'), out('state')],
    [`${h}.close`, load('entry')],
    [`${h}.transaction_lookup`, load('request'), 0, noOptions, out('turn')],
    [`${h}.get_state`, load('turn'), out('turn state')],
    [`${h}.transaction_abandon`, load('turn')],
    [`${h}.close`, load('turn')],
    [`${h}.close`, load('turn')],
  ]
  const outcome = await callAll(stage, calls)
  assert.deepEqual(outcome.statuses, [...new Array(10).fill(ok), badHandle])
  assert.equal(outcome.u32('key length'), 32)
  assert.deepEqual([outcome.u32('state') & 0b1001, outcome.u32('turn state') & 0b1001], [0, 0b1000])
})

test('the HTTP cache: a stale answer is made fresh', async (t) => {
  const stage = await openBackends(t)
  const h = 'fastly_http_cache'
  /** Times in ns: the longest age, then vary rule, initial age, how long it may be used while it is brought anew. */
  const options = (maxAge: bigint) => ({ struct: [maxAge, 0, 0, 0n, 60n * second, 0n, 0, 0, 0n] })
  const stale = 1 << 3
  const calls: Call[] = [
    ['fastly_http_req.new', out('request')],
    ['fastly_http_req.uri_set', load('request'), 'http://shop.test/a'],
    [`${h}.transaction_lookup`, load('request'), 0, noOptions, out('turn')],
    ['fastly_http_resp.new', out('response')],
    [`${h}.transaction_insert`, load('turn'), load('response'), stale, options(0n), out('body')],
    ...fill('body', 'the page'),
    [`${h}.transaction_lookup`, load('request'), 0, noOptions, out('turn')],
    [`${h}.get_state`, load('turn'), out('before')],
    ['fastly_http_resp.new', out('response')],
    [`${h}.transaction_update`, load('turn'), load('response'), stale, options(60n * second)],
    [`${h}.lookup`, load('request'), 0, noOptions, out('entry')],
    [`${h}.get_state`, load('entry'), out('after')],
    [`${h}.get_max_age_ns`, load('entry'), out('age')],
  ]
  const outcome = await callAll(stage, calls)
  assert.deepEqual(
    outcome.statuses,
    calls.map(() => ok),
  )
  // found 1, usable 2, stale 4, must insert or update 8.
  assert.deepEqual([outcome.u32('before'), outcome.u32('after'), outcome.u64('age')], [15, 3, 60n * second])
})
