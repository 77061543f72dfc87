import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import type { KvStores, KvValue } from '#/core/ports.ts'
import { kvHandler } from './backplane-kv.ts'

const now = 1_700_000_000_000

/** One small store; a page ends after `limit` keys and its cursor is the last of them. */
function oneStore(content: Record<string, KvValue> = {}): KvStores & { content: Map<string, KvValue> } {
  const map = new Map(Object.entries(content))
  return {
    content: map,
    get: async (_store, key) => map.get(key),
    put: async (_store, key, value) => map.set(key, value).size,
    delete: async (_store, key) => map.delete(key),
    clear: async () => map.clear(),
    async list(_store, { limit, cursor = '', prefix = '' }) {
      const keys = [...map.keys()].filter((name) => name > cursor && name.startsWith(prefix)).sort()
      const page = keys.slice(0, limit).map((name) => ({ name, ...map.get(name)! }))
      return keys.length > limit ? { keys: page, cursor: page.at(-1)!.name } : { keys: page }
    },
  }
}

type Init = { method?: string; headers?: string[]; body?: string | Uint8Array; limits?: Partial<typeof defaultLimits> }

async function ask(kv: KvStores, url: string, { method = 'GET', headers = [], body, limits }: Init = {}) {
  const handler = kvHandler({ kv, clock: () => now, limits: { ...defaultLimits, ...limits } })
  const stream = body === undefined ? null : (Readable.from([Buffer.from(body)]) as unknown as IncomingMessage)
  const signal = new AbortController().signal
  const answer = await handler({
    id: 's',
    method,
    host: 'kv',
    url,
    headers,
    cf: '',
    body: stream,
    wantsUpgrade: false,
    signal,
  })
  return { status: answer.status, headers: answer.headers, text: Buffer.from(answer.body as Uint8Array).toString() }
}

const bytes = (text: string) => Buffer.from(text)

test('put keeps value, metadata and expiry; get gives them back', async () => {
  const kv = oneStore()
  const headers = ['CF-KV-Metadata', '{"a":1}']
  assert.equal(
    (await ask(kv, '/a%2Fb?urlencoded=true&expiration_ttl=60', { method: 'PUT', headers, body: 'v' })).status,
    200,
  )
  assert.deepEqual(kv.content.get('a/b'), { value: bytes('v'), metadata: '{"a":1}', expiresAt: now + 60_000 })
  const found = await ask(kv, '/a%2Fb?urlencoded=true')
  assert.deepEqual([found.text, found.headers], ['v', ['content-length', '1', 'CF-KV-Metadata', '{"a":1}']])
  assert.equal((await ask(kv, '/a%2Fb?urlencoded=true', { method: 'DELETE' })).status, 200)
  assert.equal((await ask(kv, '/a%2Fb?urlencoded=true')).status, 404)
})

const refusals: [string, string, Init, number, string][] = [
  [
    'a long prefix',
    `/?prefix=${'k'.repeat(513)}`,
    {},
    414,
    'UTF-8 encoded length of 513 exceeds key length limit of 512.',
  ],
  ['a long key', `/${'k'.repeat(513)}`, {}, 414, 'UTF-8 encoded length of 513 exceeds key length limit of 512.'],
  [
    'a key long in bytes',
    `/${'%C3%A9'.repeat(257)}?urlencoded=true`,
    {},
    414,
    'UTF-8 encoded length of 514 exceeds key length limit of 512.',
  ],
  [
    'a large value',
    '/k',
    { method: 'PUT', body: '12345', limits: { kvValueBytes: 4 } },
    413,
    'Value length of 5 exceeds limit of 4.',
  ],
  [
    'large metadata',
    '/k',
    { method: 'PUT', body: '', headers: ['cf-kv-metadata', `"${'m'.repeat(1023)}"`] },
    413,
    'Metadata length of 1025 exceeds limit of 1024.',
  ],
  [
    'a short life',
    '/k?expiration_ttl=59',
    { method: 'PUT', body: '' },
    400,
    'Invalid expiration_ttl of 59. Expiration TTL must be at least 60.',
  ],
  [
    'no number',
    '/k?expiration_ttl=x',
    { method: 'PUT', body: '' },
    400,
    'Invalid expiration_ttl of x. Please specify integer greater than 0.',
  ],
  [
    'the past',
    '/k?expiration=1',
    { method: 'PUT', body: '' },
    400,
    'Invalid expiration of 1. Please specify integer greater than the current number of seconds since the UNIX epoch.',
  ],
  [
    'soon',
    `/k?expiration=${now / 1000 + 59}`,
    { method: 'PUT', body: '' },
    400,
    `Invalid expiration of ${now / 1000 + 59}. Expiration times must be at least 60 seconds in the future.`,
  ],
  ['a short cache life', '/k?cache_ttl=5', {}, 400, 'Invalid cache_ttl of 5. Cache TTL must be at least 30.'],
  [
    'a long page',
    '/?key_count_limit=1001',
    {},
    400,
    'Invalid key_count_limit of 1001. Please specify an integer between 1 and 1000.',
  ],
  [
    'many keys',
    '/bulk/get',
    { method: 'POST', body: JSON.stringify({ keys: Array(101).fill('k') }) },
    400,
    'You can request a maximum of 100 keys',
  ],
  [
    'bytes in bulk',
    '/bulk/get',
    { method: 'POST', body: '{"keys":["k"],"type":"arrayBuffer"}' },
    400,
    '"arrayBuffer" is not a valid type. Use "json" or "text"',
  ],
]
for (const [what, url, init, status, text] of refusals)
  test(`refused: ${what}`, async () => {
    const answer = await ask(oneStore(), url, init)
    assert.deepEqual([answer.status, answer.text], [status, text])
  })

test('list gives pages with expiry in seconds and metadata as text', async () => {
  const kv = oneStore({
    a: { value: bytes(''), metadata: '1' },
    b: { value: bytes(''), expiresAt: now },
    c: { value: bytes('') },
  })
  const first = JSON.parse((await ask(kv, '/?key_count_limit=2')).text)
  assert.deepEqual(first, {
    keys: [
      { name: 'a', metadata: '1' },
      { name: 'b', expiration: now / 1000 },
    ],
    list_complete: false,
    cursor: 'b',
  })
  const second = JSON.parse((await ask(kv, '/?cursor=b')).text)
  assert.deepEqual(second, { keys: [{ name: 'c' }], list_complete: true })
})

test('bulk get gives what is there and null for what is not', async () => {
  const kv = oneStore({ a: { value: bytes('{"x":1}'), metadata: '2' } })
  const bulk = async (body: object) =>
    JSON.parse((await ask(kv, '/bulk/get', { method: 'POST', body: JSON.stringify(body) })).text)
  assert.deepEqual(await bulk({ keys: ['a', 'b'] }), { a: '{"x":1}', b: null })
  assert.deepEqual(await bulk({ keys: ['a', 'b'], type: 'json', withMetadata: true }), {
    a: { value: { x: 1 }, metadata: 2 },
    b: null,
  })
})
