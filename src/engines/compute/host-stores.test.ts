import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { buffer, type Call, callAll, load, out } from './call-sequence.fixture.ts'
import { linked, openHost } from './host.fixture.ts'
import type { HostRun } from './host-calls.ts'
import { storeCalls } from './host-stores.ts'
import { status } from './inside/status.ts'
import { memoryKv, memoryStores } from './stores.fixture.ts'
import type { InCall } from './wire-messages.ts'

const { ok, none, badHandle, bufferTooSmall, invalidArgument } = status
/** `kv_error` of the ABI. */
const [fine, notFound, precondition, tooLarge] = [1, 3, 4, 5] as const

const lookup: Call = ['fastly_kv_store.lookup', load('kv'), 'a key', 0, 0, out('pending')]
const waitFor = (name: string): Call => [
  'fastly_kv_store.lookup_wait_v2',
  load('pending'),
  out(`${name} body`),
  buffer(`${name} metadata`),
  out(`${name} metadata length`),
  out(`${name} generation`),
  out(`${name} error`),
]
const read = (name: string): Call => [
  'fastly_http_body.read',
  load(`${name} body`),
  buffer(name),
  out(`${name} length`),
]
const insert = (
  text: string,
  error: string,
  mask = 0,
  config: Call[1] = { struct: [0, 0, 0, 0, 0, 0, 0n] },
): Call[] => [
  ['fastly_http_body.new', out('body')],
  ['fastly_http_body.write', load('body'), text, 0, out('written')],
  ['fastly_kv_store.insert', load('kv'), 'a key', load('body'), mask, config, out('pending')],
  ['fastly_kv_store.insert_wait', load('pending'), out(error)],
]

test('KV: a round trip with metadata and generations', async (t) => {
  const stage = await openHost(t)
  const first = await callAll(
    stage,
    [
      ['fastly_kv_store.open', 'things', out('kv')],
      ...insert('a value', 'insert', 8, { struct: [0, 0, 'the metadata', 0, 0n] }),
      lookup,
      waitFor('one'),
      read('one'),
    ],
    { code: linked },
  )
  assert.deepEqual(new Set(first.statuses), new Set([ok]))
  assert.equal(first.text('one', 'one length'), 'a value')
  assert.equal(first.text('one metadata', 'one metadata length'), 'the metadata')
  assert.deepEqual([first.u32('insert'), first.u32('one error')], [fine, fine])
  const generation = first.u64('one generation')
  assert.ok(generation > 0n)

  const cases: [string, number, bigint, number, string][] = [
    ['another generation', 32, generation + 9n, precondition, 'a value'],
    ['its generation', 32, generation, fine, 'new'],
  ]
  for (const [what, mask, wanted, error, after] of cases) {
    const second = await callAll(
      stage,
      [
        ['fastly_kv_store.open', 'things', out('kv')],
        ...insert('new', 'insert', mask, { struct: [0, 0, 0, 0, 0, 0, wanted] }),
        lookup,
        waitFor('one'),
        read('one'),
      ],
      { code: linked },
    )
    assert.equal(second.u32('insert'), error, what)
    assert.equal(second.text('one', 'one length'), after, what)
  }
})

test('KV: metadata as long as Fastly takes it, and no longer', async (t) => {
  const stage = await openHost(t)
  const noted = (bytes: number) => ({ struct: [0, 0, 'm'.repeat(bytes), 0, 0n] })
  const outcome = await callAll(
    stage,
    [
      ['fastly_kv_store.open', 'things', out('kv')],
      ...insert('a', 'longest', 8, noted(2000)),
      ...insert('b', 'longer', 8, noted(2001)),
    ],
    { code: linked },
  )
  assert.deepEqual([outcome.u32('longest'), outcome.u32('longer')], [fine, tooLarge])
})

test('KV: modes', async (t) => {
  const stage = await openHost(t)
  const mode = (number: number) => ({ struct: [number, 0, 0, 0, 0, 0, 0n] })
  const outcome = await callAll(
    stage,
    [
      ['fastly_kv_store.open', 'things', out('kv')],
      ...insert('b', 'add', 0, mode(1)),
      ...insert('never', 'add again', 0, mode(1)),
      ...insert('c', 'append', 0, mode(2)),
      ...insert('a', 'prepend', 0, mode(3)),
      lookup,
      waitFor('one'),
      read('one'),
    ],
    { code: linked },
  )
  assert.equal(outcome.text('one', 'one length'), 'abc')
  assert.deepEqual(
    ['add', 'add again', 'append', 'prepend'].map((name) => outcome.u32(name)),
    [fine, precondition, fine, fine],
  )
})

test('KV: a value lives as long as it was told', async (t) => {
  const stage = await openHost(t)
  const open: Call = ['fastly_kv_store.open', 'things', out('kv')]
  const ttl = { struct: [0, 0, 0, 0, 60, 0, 0n] }
  await callAll(stage, [open, ...insert('a value', 'insert', 16, ttl)], { code: linked })
  const there = await callAll(stage, [open, lookup, waitFor('one')], { code: linked })
  assert.equal(there.u32('one error'), fine)
  stage.pass(60_000)
  const gone = await callAll(stage, [open, lookup, waitFor('one')], { code: linked })
  assert.deepEqual([gone.u32('one error'), gone.statuses[2]], [notFound, ok])
})

test('KV: deleting, listing, pages', async (t) => {
  const stage = await openHost(t)
  for (const key of ['a/1', 'a/2', 'a/3', 'b']) await stage.kv.put('kv-1', key, { value: Buffer.from(key) })
  const page = (mask: number, fields: (number | string)[], name: string): Call[] => [
    ['fastly_kv_store.list', load('kv'), mask, { struct: fields }, out('pending')],
    ['fastly_kv_store.list_wait', load('pending'), out(`${name} body`), out(`${name} error`)],
    read(name),
  ]
  const outcome = await callAll(
    stage,
    [
      ['fastly_kv_store.open', 'things', out('kv')],
      ...page(4 | 8, [0, 0, 0, 2, 'a/'], 'first'),
      ...page(2 | 4 | 8, [0, 'a/2', 2, 'a/'], 'second'),
      ['fastly_kv_store.delete', load('kv'), 'b', 0, 0, out('pending')],
      ['fastly_kv_store.delete_wait', load('pending'), out('delete')],
      ['fastly_kv_store.delete', load('kv'), 'b', 0, 0, out('pending')],
      ['fastly_kv_store.delete_wait', load('pending'), out('again')],
      ...page(0, [0, 0, 0, 0, 0, 0], 'all'),
      ...page(8, [0, 0, 0, 0, ''], 'wrong'),
    ],
    { code: linked },
  )
  const json = (name: string) => JSON.parse(outcome.text(name, `${name} length`))
  assert.deepEqual(json('first'), { data: ['a/1', 'a/2'], meta: { limit: 2, prefix: 'a/', next_cursor: 'a/2' } })
  assert.deepEqual(json('second'), { data: ['a/3'], meta: { limit: 2, prefix: 'a/' } })
  assert.deepEqual(json('all').data, ['a/1', 'a/2', 'a/3'])
  assert.deepEqual([outcome.u32('delete'), outcome.u32('again')], [fine, notFound])
  assert.equal(outcome.statuses.at(-3), invalidArgument)
})

test('KV: what is refused', async (t) => {
  const stage = await openHost(t, { limits: { kvValueBytes: 4 } })
  const bad = ['', '.', 'a/../b', 'with\nline', 'x'.repeat(1025), '.well-known/acme-challenge/x', ' ', 'a?b']
  const outcome = await callAll(
    stage,
    [
      ['fastly_kv_store.open', 'nothing', out('kv')],
      ['fastly_kv_store.open', 'things', out('kv')],
      ...bad.map((key): Call => ['fastly_kv_store.lookup', load('kv'), key, 0, 0, out('pending')]),
      ['fastly_kv_store.lookup', load('kv'), 'x'.repeat(1024), 0, 0, out('pending')],
      ...insert('too long', 'insert'),
      ['fastly_kv_store.insert', load('kv'), 'k', load('body'), 0, { struct: [9, 0, 0, 0, 0, 0, 0n] }, out('pending')],
      ['fastly_kv_store.lookup', 999, 'k', 0, 0, out('pending')],
      ['fastly_kv_store.lookup_wait', load('kv'), out('b'), buffer('m'), out('n'), out('g'), out('e')],
    ],
    { code: linked },
  )
  assert.deepEqual(outcome.statuses, [
    invalidArgument,
    ok,
    ...bad.map(() => invalidArgument),
    ...[ok, ok, ok, ok, ok],
    invalidArgument,
    badHandle,
    badHandle,
  ])
  assert.equal(outcome.u32('insert'), 5)
})

test('KV: metadata that is too long for the buffer can be asked for again', async (t) => {
  const stage = await openHost(t)
  await stage.kv.put('kv-1', 'a key', { value: Buffer.from('v'), metadata: '"0123456789"' })
  const outcome = await callAll(
    stage,
    [
      ['fastly_kv_store.open', 'things', out('kv')],
      lookup,
      ['fastly_kv_store.lookup_wait', load('pending'), out('b'), buffer('small', 4), out('n'), out('g'), out('e')],
      ['fastly_kv_store.lookup_wait', load('pending'), out('b'), buffer('large', 64), out('m'), out('g'), out('e')],
      ['fastly_kv_store.lookup_wait', load('pending'), out('b'), buffer('large', 64), out('m'), out('g'), out('e')],
    ],
    { code: linked },
  )
  assert.deepEqual(outcome.statuses.slice(2), [bufferTooSmall, ok, badHandle])
  assert.deepEqual([outcome.u32('n'), outcome.text('large', 'm')], [10, '0123456789'])
})

test('a value larger than a frame of the line goes as a stream', async (t) => {
  const stage = await openHost(t)
  const calls: Call[] = [
    ['fastly_kv_store.open', 'things', out('kv')],
    ['fastly_http_body.new', out('body')],
  ]
  for (let part = 0; part < 8; part++)
    calls.push(['fastly_http_body.write', load('body'), { bytes: Buffer.alloc(65_536, 65 + part) }, 0, out('n')])
  calls.push(
    [
      'fastly_kv_store.insert',
      load('kv'),
      'large',
      load('body'),
      0,
      { struct: [0, 0, 0, 0, 0, 0, 0n] },
      out('pending'),
    ],
    ['fastly_kv_store.insert_wait', load('pending'), out('error')],
  )
  const outcome = await callAll(stage, calls, { code: linked })
  assert.equal(outcome.u32('error'), fine)
  assert.equal((await stage.kv.get('kv-1', 'large'))?.value.length, 8 * 65_536)
})

test('object stores: the older names', async (t) => {
  const stage = await openHost(t)
  const body: Call[] = [
    ['fastly_http_body.new', out('body')],
    ['fastly_http_body.write', load('body'), 'old', 0, out('n')],
  ]
  const outcome = await callAll(
    stage,
    [
      ['fastly_object_store.open', 'things', out('kv')],
      ...body,
      ['fastly_object_store.insert', load('kv'), 'one', load('body')],
      ...body,
      ['fastly_object_store.insert_async', load('kv'), 'two', load('body'), out('pending')],
      ['fastly_object_store.pending_insert_wait', load('pending')],
      ['fastly_object_store.lookup', load('kv'), 'one', out('one body')],
      read('one'),
      ['fastly_object_store.lookup_async', load('kv'), 'two', out('pending')],
      ['fastly_object_store.pending_lookup_wait', load('pending'), out('two body')],
      read('two'),
      ['fastly_object_store.lookup', load('kv'), 'three', out('untouched')],
      ['fastly_object_store.delete_async', load('kv'), 'two', out('pending')],
      ['fastly_object_store.pending_delete_wait', load('pending')],
      ['fastly_object_store.delete_async', load('kv'), 'two', out('pending')],
      ['fastly_object_store.pending_delete_wait', load('pending')],
    ],
    { code: linked },
  )
  assert.deepEqual(
    outcome.statuses.slice(0, -1),
    outcome.statuses.slice(0, -1).map(() => ok),
  )
  assert.equal(outcome.statuses.at(-1), none)
  assert.deepEqual([outcome.text('one', 'one length'), outcome.text('two', 'two length')], ['old', 'old'])
  assert.equal(outcome.u32('untouched'), 0)
})

for (const module of ['fastly_config_store', 'fastly_dictionary'] as const)
  test(`${module}: items, tables of the service first`, async (t) => {
    const stage = await openHost(t)
    const get = (store: string, key: string, name: string, size = 256): Call[] => [
      [`${module}.open`, store, out('store')],
      [`${module}.get`, load('store'), key, buffer(name, size), out(`${name} length`)],
    ]
    const outcome = await callAll(
      stage,
      [
        ...get('settings', 'greeting', 'one'),
        ...get('settings', 'nothing', 'two'),
        ...get('settings', 'a long one', 'three', 10),
        ...get('colours', 'sky', 'four'),
        ...get('colours', 'toString', 'five'),
        [`${module}.open`, 'elsewhere', out('store')],
      ],
      { code: linked, rest: { lookups: { tables: { colours: { sky: 'blue' } }, lists: {} } } },
    )
    assert.deepEqual(outcome.statuses, [ok, ok, ok, none, ok, bufferTooSmall, ok, ok, ok, none, badHandle])
    assert.equal(outcome.text('one', 'one length'), 'good day')
    assert.equal(outcome.u32('three length'), 200)
    assert.equal(outcome.text('four', 'four length'), 'blue')
  })

test('secrets: opened by name, read from their handle, made of bytes', async (t) => {
  const stage = await openHost(t)
  const outcome = await callAll(
    stage,
    [
      ['fastly_secret_store.open', 'other', out('vault')],
      ['fastly_secret_store.open', 'vault', out('vault')],
      ['fastly_secret_store.get', load('vault'), 'nothing', out('secret')],
      ['fastly_secret_store.get', load('vault'), 'token', out('secret')],
      ['fastly_secret_store.plaintext', load('secret'), buffer('small', 2), out('needed')],
      ['fastly_secret_store.plaintext', load('secret'), buffer('token'), out('token length')],
      ['fastly_secret_store.from_bytes', 'made here', out('own')],
      ['fastly_secret_store.plaintext', load('own'), buffer('own'), out('own length')],
      ['fastly_secret_store.plaintext', load('vault'), buffer('own'), out('own length')],
    ],
    { code: linked },
  )
  assert.deepEqual(outcome.statuses, [none, ok, none, ok, bufferTooSmall, ok, ok, ok, badHandle])
  assert.deepEqual([outcome.u32('needed'), outcome.text('token', 'token length')], [6, 's3cret'])
  assert.equal(outcome.text('own', 'own length'), 'made here')
})

test('access lists: the entry of an address', async (t) => {
  const stage = await openHost(t)
  const sixth = Buffer.from('20010db8000000000000000000000007', 'hex')
  const outcome = await callAll(
    stage,
    [
      ['fastly_acl.open', 'nobody', out('list')],
      ['fastly_acl.open', 'guests', out('list')],
      ['fastly_acl.lookup', load('list'), { bytes: Buffer.from([192, 0, 2, 7]) }, out('one body'), out('error')],
      read('one'),
      ['fastly_acl.lookup', load('list'), { bytes: Buffer.alloc(16, 1) }, out('two body'), out('none')],
      ['fastly_acl.lookup', load('list'), { bytes: Buffer.alloc(5) }, out('two body'), out('x')],
      ['fastly_acl.lookup', load('list'), { bytes: sixth }, out('six body'), out('error')],
      read('six'),
    ],
    { code: linked },
  )
  assert.deepEqual(outcome.statuses, [none, ok, ok, ok, ok, invalidArgument, ok, ok])
  const { prefix } = JSON.parse(outcome.text('six', 'six length'))
  assert.equal(prefix, '2001:0db8:0000:0000:0000:0000:0000:0000/32')
  assert.deepEqual(JSON.parse(outcome.text('one', 'one length')), { prefix: '192.0.2.0/24', action: 'BLOCK' })
  assert.deepEqual([outcome.u32('error'), outcome.u32('none')], [1, 2])
})

test('a store that the deployment does not link is not there, whatever a cell says', async () => {
  const kv = memoryKv(() => 0)
  await kv.put('kv-1', 'a key', { value: Buffer.from('of somebody else') })
  const limits = { ...defaultLimits }
  const calls = storeCalls({ kv, ...memoryStores({}), limits, clock: () => 0 })
  const run = { deployment: { compute: { stores: linked.stores } }, program: {} } as unknown as HostRun
  const ask = (store: string) => calls['kv.get']!(run, { do: 'kv.get', run: 1, store, key: 'a key' }, {} as InCall)
  assert.deepEqual((await ask('kv-1'))?.head, { trouble: 'badRequest' })
  assert.equal((await ask('settings'))?.head.trouble, 'badRequest')
  assert.equal(String((await ask('things'))?.body), 'of somebody else')
})
