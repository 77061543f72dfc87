/** Cloudflare's calls for KV as other clients than wrangler make them. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Hono } from 'hono'
import { VendorError } from '#/apis/cloudflare/envelope.ts'
import { kvRoutes } from '#/apis/cloudflare/kv.ts'
import { defaultLimits } from '#/core/limits.ts'
import type { Fabric } from '#/core/ports.ts'
import { openSqliteFabric } from '#/fabric/sqlite/fabric.ts'
import { createKvStores } from '#/stores/kv.ts'

const limits = { ...defaultLimits, kvValueBytes: 200_000, kvBulkBytes: 100_000, kvBulkKeys: 100 }
const clock = () => 1_800_000_000_000
const app = new Hono()
let folder: string
let fabric: Fabric

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rimward-kv-routes-'))
  fabric = await openSqliteFabric({ folder, clock, limits })
  app.onError((error, c) => {
    if (!(error instanceof VendorError)) throw error
    return c.json({ success: false, errors: [{ code: error.code, message: error.message }] }, error.status as 400)
  })
  app.route('/', kvRoutes({ kv: createKvStores({ fabric, limits, clock }), fabric, limits, clock }))
})

after(async () => {
  await fabric.close()
  await rm(folder, { recursive: true })
})

type Envelope = { success: boolean; errors: { code: number; message: string }[]; result: never; result_info: never }

async function call(
  method: string,
  path: string,
  body?: RequestInit['body'] | object,
  headers?: Record<string, string>,
) {
  const plain = body !== undefined && Object.getPrototypeOf(body) === Object.prototype
  const init = {
    method,
    headers: headers ?? {},
    body: plain || Array.isArray(body) ? JSON.stringify(body) : body,
    duplex: 'half',
  }
  const response = await app.request(`/accounts/a/storage/kv/namespaces${path}`, init as RequestInit)
  const bytes = Buffer.from(await response.arrayBuffer())
  const json = response.headers.get('content-type')?.includes('json')
    ? (JSON.parse(bytes.toString()) as Envelope)
    : undefined
  return { status: response.status, headers: response.headers, bytes, json: json! }
}

async function make(title: string): Promise<string> {
  const { json } = await call('POST', '', { title })
  return `/${(json.result as { id: string }).id}`
}

async function refused(
  [status, code, message]: readonly [number, number, RegExp],
  ...request: Parameters<typeof call>
): Promise<void> {
  const answer = await call(...request)
  const [error] = answer.json.errors
  assert.deepEqual(
    [answer.status, error?.code],
    [status, code],
    `${request[0]} ${request[1].slice(0, 60)} ${error?.message}`,
  )
  assert.match(error!.message, message)
}

test('namespaces are listed by page and order', async () => {
  for (const title of ['c', 'a', 'b']) await make(title)
  const { json } = await call('GET', '?per_page=2&page=2&order=title&direction=desc')
  assert.deepEqual(
    (json.result as { title: string }[]).map((one) => one.title),
    ['a'],
  )
  assert.deepEqual(json.result_info, { page: 2, per_page: 2, count: 1, total_count: 3, total_pages: 2 })
  assert.deepEqual((await call('GET', '?per_page=1000&page=2')).json.result, [])
  const at = await make('one')
  const found = { id: at.slice(1), title: 'one', supports_url_encoding: true }
  assert.deepEqual((await call('GET', at)).json.result, found)
})

test('keys are listed with a cursor', async () => {
  const at = await make('list')
  for (let i = 0; i < 5; i++) await call('PUT', `${at}/values/k${i}?expiration_ttl=60`, 'v')
  const first = await call('GET', `${at}/keys?limit=3&prefix=k`)
  assert.equal((first.json.result as unknown[]).length, 3)
  const { cursor } = first.json.result_info as { cursor: string }
  const second = await call('GET', `${at}/keys?limit=3&prefix=k&cursor=${cursor}`)
  const expiration = 1_800_000_060
  assert.deepEqual(
    second.json.result,
    ['k3', 'k4'].map((name) => ({ name, expiration })),
  )
  assert.deepEqual(second.json.result_info, { count: 2, cursor: '' })
})

test('values: raw, by form, with their expiration and metadata', async () => {
  const at = await make('values')
  const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
  const form = Buffer.concat([
    Buffer.from('--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{"a":1}'),
    Buffer.from('\r\n--b\r\nContent-Disposition: form-data; name="value"\r\n\r\n'),
    every,
    Buffer.from('\r\n--b--\r\n'),
  ])
  const type = { 'content-type': 'multipart/form-data; boundary=b' }
  assert.equal((await call('PUT', `${at}/values/a/b%2Fc?expiration=1800000100`, form, type)).status, 200)
  const got = await call('GET', `${at}/values/a%2Fb/c`)
  assert.ok(every.equals(got.bytes))
  assert.equal(got.headers.get('expiration'), '1800000100')
  assert.deepEqual((await call('GET', `${at}/metadata/a/b/c`)).json.result, { a: 1 })
  await call('PUT', `${at}/values/empty`)
  assert.equal((await call('GET', `${at}/values/empty`)).bytes.length, 0)
  assert.equal((await call('GET', `${at}/metadata/empty`)).json.result, null)
  assert.equal((await call('DELETE', `${at}/values/never-there`)).status, 200)
})

test('bulk get: text, JSON, metadata', async () => {
  const at = await make('bulk')
  const pairs = [
    { key: '__proto__', value: '{"x":1}', metadata: 'm', expiration: 1_800_000_100 },
    { key: 'no json', value: '{', metadata: null },
  ]
  const put = await call('PUT', `${at}/bulk`, pairs)
  assert.deepEqual(put.json.result, { successful_key_count: 2, unsuccessful_keys: [] })
  const keys = ['__proto__', 'missing']
  const text = JSON.stringify((await call('POST', `${at}/bulk/get`, { keys })).json.result)
  assert.equal(text, '{"values":{"__proto__":"{\\"x\\":1}","missing":null}}')
  const json = await call('POST', `${at}/bulk/get`, { keys, type: 'json', withMetadata: true })
  const found = '{"value":{"x":1},"metadata":"m","expiration":1800000100}'
  assert.equal(JSON.stringify(json.json.result), `{"values":{"__proto__":${found},"missing":null}}`)
  await refused([400, 10033, /not JSON/], 'POST', `${at}/bulk/get`, { keys: ['no json'], type: 'json' })
  const removed = await call('POST', `${at}/bulk/delete`, ['no json', 'missing'])
  assert.deepEqual(removed.json.result, { successful_key_count: 2, unsuccessful_keys: [] })
})

test('what does not fit is refused in the vendor’s words', async () => {
  const at = await make('refusals')
  const none = `/${'0'.repeat(32)}`
  const type = { 'content-type': 'multipart/form-data; boundary="b"' }
  const field = (name: string, value: string) =>
    `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
  const endless = () =>
    new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(new Uint8Array(50_000))
      },
    })
  const cases: [readonly [number, number, RegExp], ...Parameters<typeof call>][] = [
    [[400, 10014, /a namespace with this account ID and title already exists/], 'POST', '', { title: 'refusals' }],
    [[400, 10019, /title is missing/], 'POST', '', {}],
    [[400, 10019, /too long/], 'PUT', at, { title: 'x'.repeat(513) }],
    [[400, 10033, /not JSON/], 'POST', '', '{'],
    [[400, 10033, /Invalid per_page/], 'GET', '?per_page=x'],
    [[404, 10013, /^rename namespace: 'namespace not found'$/], 'PUT', none, { title: 'x' }],
    [[404, 10013, /^remove namespace: /], 'DELETE', none],
    [[404, 10013, /^list keys: /], 'GET', `${none}/keys`],
    [[404, 10013, /^put: 'namespace not found'$/], 'PUT', `${none}/values/k`, 'v'],
    [[404, 10013, /^get: /], 'GET', `${none}/values/k`],
    [[404, 10013, /^bulk put keys: /], 'PUT', `${none}/bulk`, []],
    [[404, 10009, /^get: 'key not found'$/], 'GET', `${at}/values/k`],
    [[404, 10009, /^get: 'key not found'$/], 'GET', `${at}/metadata/k`],
    [[400, 10033, /Invalid limit/], 'GET', `${at}/keys?limit=1001`],
    [[400, 10033, /Invalid cursor/], 'GET', `${at}/keys?cursor=x`],
    [[414, 10030, /^put: 'UTF-8 encoded length of 513/], 'PUT', `${at}/values/${'k'.repeat(513)}`, 'v'],
    [[414, 10030, /^get: 'UTF-8 encoded length of 513/], 'GET', `${at}/values/${'k'.repeat(513)}`],
    [[414, 10030, /^get: /], 'GET', `${at}/metadata/${'k'.repeat(513)}`],
    [[414, 10030, /^remove: /], 'DELETE', `${at}/values/${'k'.repeat(513)}`],
    [[414, 10030, /^bulk get keys: /], 'POST', `${at}/bulk/get`, { keys: ['k'.repeat(513)] }],
    [[414, 10030, /^list keys: /], 'GET', `${at}/keys?prefix=${'k'.repeat(513)}`],
    [[400, 10033, /percent-encoded/], 'PUT', `${at}/values/%E0%A4%A`, 'v'],
    [[400, 10033, /Invalid expiration of 1/], 'PUT', `${at}/values/k?expiration=1`, 'v'],
    [[413, 10033, /exceeds limit of 200000/], 'PUT', `${at}/values/k`, Buffer.alloc(200_001)],
    [[413, 10033, /exceeds limit of 200000/], 'PUT', `${at}/values/k`, endless()],
    [
      [400, 10147, /^metadata must be valid json$/],
      'PUT',
      `${at}/values/k`,
      `${field('value', 'v')}${field('metadata', '{')}--b--`,
      type,
    ],
    [
      [413, 10033, /^put: 'Metadata length of 1025 exceeds limit of 1024/],
      'PUT',
      `${at}/values/k`,
      `${field('value', 'v')}${field('metadata', JSON.stringify('m'.repeat(1023)))}--b--`,
      type,
    ],
    [[400, 10033, /"value" is missing/], 'PUT', `${at}/values/k`, `${field('metadata', '1')}--b--`, type],
    [[400, 10033, /"other" is unknown/], 'PUT', `${at}/values/k`, `${field('other', '1')}--b--`, type],
    [[400, 10033, /cut short/], 'PUT', `${at}/values/k`, field('value', 'v').slice(0, -4), type],
    [[400, 10033, /Invalid input/], 'PUT', `${at}/bulk`, [{ key: 'k' }]],
    [[400, 10033, /Unrecognized key/], 'PUT', `${at}/bulk`, [{ key: 'k', value: 'v', ttl: 1 }]],
    [[400, 10033, /not base64/], 'PUT', `${at}/bulk`, [{ key: 'k', value: '!', base64: true }]],
    [
      [400, 10033, /key "k": Invalid expiration_ttl/],
      'PUT',
      `${at}/bulk`,
      [{ key: 'k', value: 'v', expiration_ttl: 1 }],
    ],
    [[400, 10033, /101 keys; 100/], 'PUT', `${at}/bulk`, Array(101).fill({ key: 'k', value: 'v' })],
    [[413, 10033, /larger than 100000/], 'PUT', `${at}/bulk`, [{ key: 'k', value: 'v'.repeat(100_000) }]],
    [[400, 10033, /101 keys; 100/], 'POST', `${at}/bulk/get`, { keys: Array(101).fill('k') }],
  ]
  for (const one of cases) await refused(...one)
  assert.deepEqual((await call('GET', `${at}/keys`)).json.result, [])
})
