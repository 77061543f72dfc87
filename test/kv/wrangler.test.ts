/** `wrangler kv …`, the real program, against the routes on the real fabric. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { VendorError } from '#/apis/cloudflare/envelope.ts'
import { kvRoutes } from '#/apis/cloudflare/kv.ts'
import { defaultLimits } from '#/core/limits.ts'
import type { Fabric, KvStores } from '#/core/ports.ts'
import { openSqliteFabric } from '#/fabric/sqlite/fabric.ts'
import { createKvStores } from '#/stores/kv.ts'

const wranglerProgram = resolve(import.meta.dirname, '../../node_modules/wrangler/bin/wrangler.js')

let folder: string
let fabric: Fabric
let kv: KvStores
let base: string
const server = createServer()

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rimward-wrangler-kv-'))
  fabric = await openSqliteFabric({ folder: join(folder, 'data'), clock: Date.now, limits: defaultLimits })
  kv = createKvStores({ fabric, limits: defaultLimits, clock: Date.now })
  const app = new Hono()
  app.onError((error, c) => {
    if (!(error instanceof VendorError)) throw error
    const errors = [{ code: error.code, message: error.message }]
    return c.json({ success: false, errors, messages: [], result: null }, error.status as 400)
  })
  app.route('/client/v4', kvRoutes({ kv, fabric, limits: defaultLimits, clock: Date.now }))
  server.on('request', getRequestListener(app.fetch)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/client/v4`
})

after(async () => {
  server.closeAllConnections()
  server.close()
  await fabric.close()
  await rm(folder, { recursive: true })
})

async function wrangler(...words: string[]): Promise<{ code: number; out: Buffer; text: string }> {
  const child = spawn(process.execPath, [wranglerProgram, 'kv', ...words], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH,
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
      HOME: folder,
      CI: 'true',
      WRANGLER_SEND_METRICS: 'false',
      CLOUDFLARE_API_BASE_URL: base,
      CLOUDFLARE_API_TOKEN: 'token',
      CLOUDFLARE_ACCOUNT_ID: 'account',
    },
  })
  const chunks: Buffer[] = []
  let errors = ''
  child.stdout.on('data', (chunk) => chunks.push(chunk))
  child.stderr.on('data', (chunk) => {
    errors += chunk
  })
  const [code] = await once(child, 'close')
  const out = Buffer.concat(chunks)
  return { code, out, text: out.toString() + errors }
}

async function passes(...words: string[]): Promise<Buffer> {
  const { code, out, text } = await wrangler(...words)
  assert.equal(code, 0, `wrangler kv ${words.join(' ')}\n${text}`)
  return out
}

async function fails(wanted: RegExp, ...words: string[]): Promise<void> {
  const { code, text } = await wrangler(...words)
  assert.notEqual(code, 0, text)
  assert.match(text, wanted)
}

async function namespace(title: string): Promise<string[]> {
  const response = await fetch(`${base}/accounts/account/storage/kv/namespaces`, {
    method: 'POST',
    body: JSON.stringify({ title }),
  })
  const { result } = (await response.json()) as { result: { id: string } }
  return ['--remote', '--namespace-id', result.id]
}

describe('wrangler kv', { concurrency: 2 }, () => {
  test('namespace create, list, rename, delete', async () => {
    const made = await passes('namespace', 'create', 'LIFE')
    const id = /"?id"?\s*[:=]\s*"([0-9a-f]{32})"/.exec(made.toString())?.[1]
    assert.ok(id, made.toString())
    await fails(/already exists/, 'namespace', 'create', 'LIFE')
    const listed = JSON.parse((await passes('namespace', 'list')).toString()) as { id: string; title: string }[]
    assert.equal(listed.find((one) => one.id === id)?.title, 'LIFE')
    assert.match(
      String(await passes('namespace', 'rename', '--namespace-id', id, '--new-name', 'new life')),
      /new life/,
    )
    await passes('key', 'put', 'k', 'v', '--remote', '--namespace-id', id)
    await passes('namespace', 'delete', '--namespace-id', id, '-y')
    await fails(/namespace not found/, 'key', 'put', 'k', 'v', '--remote', '--namespace-id', id)
    await fails(/namespace not found.*10013/s, 'namespace', 'delete', '--namespace-id', id, '-y')
    assert.equal(await kv.get(id, 'k'), undefined)
  })

  test('key put, get, list and delete, whatever the key', async () => {
    const at = await namespace('keys')
    const keys = ['plain', 'with space/ключ/🔑', 'a/b/../c', '100%', '%2F?b#c&d=e+f', '%%%"\\']
    for (const key of keys) {
      await passes('key', 'put', key, `value of ${key}`, ...at)
      assert.equal(String(await passes('key', 'get', key, ...at, '--text')).trimEnd(), `value of ${key}`)
    }
    const listed = JSON.parse(String(await passes('key', 'list', ...at))) as { name: string }[]
    assert.deepEqual(
      listed,
      (await kv.list(at[2]!, { limit: 100 })).keys.map(({ name }) => ({ name })),
    )
    assert.deepEqual(listed.map((key) => key.name).sort(), keys.toSorted())
    const some = JSON.parse(String(await passes('key', 'list', ...at, '--prefix', 'with space/к')))
    assert.deepEqual(some, [{ name: keys[1] }])
    for (const key of keys.slice(1, 5)) await passes('key', 'delete', key, ...at)
    assert.equal((await kv.list(at[2]!, { limit: 100 })).keys.length, keys.length - 4)
    await fails(/404/, 'key', 'get', keys[1]!, ...at)
  })

  test('metadata and time to live', async () => {
    const at = await namespace('metadata')
    const store = at[2]!
    const start = Math.floor(Date.now() / 1000)
    const metadata = JSON.stringify({ a: [1, 'ä'], b: null })
    await passes('key', 'put', 'm', 'v', '--metadata', metadata, '--ttl', '120', ...at)
    const [key] = JSON.parse(String(await passes('key', 'list', ...at)))
    assert.deepEqual(key.metadata, JSON.parse(metadata))
    assert.ok(key.expiration >= start + 120 && key.expiration <= Date.now() / 1000 + 120)
    await passes('key', 'put', 'e', 'v', '--expiration', `${start + 5000}`, ...at)
    assert.equal((await kv.get(store, 'e'))!.expiresAt, (start + 5000) * 1000)
    await fails(/Expiration TTL must be at least 60.*10033/s, 'key', 'put', 'x', 'v', '--ttl', '59', ...at)
    await fails(
      /Metadata length of \d+ exceeds limit of 1024/,
      'key',
      'put',
      'x',
      'v',
      '--metadata',
      JSON.stringify({ m: 'm'.repeat(2000) }),
      ...at,
    )
    assert.equal(await kv.get(store, 'x'), undefined)
  })

  test('a large binary value, raw and with metadata', async () => {
    const at = await namespace('binary')
    const value = Buffer.alloc(1_000_003)
    for (let i = 0; i < value.length; i++) value[i] = i * 7 + (i >> 9)
    await writeFile(join(folder, 'binary'), value)
    await passes('key', 'put', 'raw', '--path', 'binary', ...at)
    assert.ok(value.equals((await kv.get(at[2]!, 'raw'))!.value))
    await passes('key', 'put', 'form', '--path', 'binary', '--metadata', '{"type":"x"}', ...at)
    assert.ok(value.equals((await kv.get(at[2]!, 'form'))!.value))
    assert.ok(value.equals(await passes('key', 'get', 'form', ...at)))
  })

  test('bulk put, get and delete', async () => {
    const at = await namespace('bulk')
    const store = at[2]!
    const binary = Buffer.from([0, 255, 128])
    const pairs = [
      { key: 'text/ä', value: 'ü', metadata: { n: 1 }, expiration_ttl: 3600 },
      { key: 'binary', value: binary.toString('base64'), base64: true },
      ...Array.from({ length: 1500 }, (_, i) => ({ key: `many/${i}`, value: `${i}` })),
    ]
    await writeFile(join(folder, 'pairs.json'), JSON.stringify(pairs))
    await passes('bulk', 'put', 'pairs.json', ...at)
    assert.ok(binary.equals((await kv.get(store, 'binary'))!.value))
    assert.equal((await kv.get(store, 'text/ä'))!.metadata, '{"n":1}')
    assert.equal((JSON.parse(String(await passes('key', 'list', ...at))) as unknown[]).length, pairs.length)

    await writeFile(join(folder, 'wanted.json'), JSON.stringify(['text/ä', 'many/7', 'missing']))
    const got = String(await passes('bulk', 'get', 'wanted.json', ...at))
    const values = JSON.parse(got.slice(got.indexOf('{'), got.lastIndexOf('}') + 1))
    assert.deepEqual(values, { 'text/ä': 'ü', 'many/7': '7', missing: null })

    await writeFile(join(folder, 'keys.json'), JSON.stringify(pairs.slice(1).map((pair) => pair.key)))
    await passes('bulk', 'delete', 'keys.json', ...at, '--force')
    assert.deepEqual(
      (await kv.list(store, { limit: 10 })).keys.map((key) => key.name),
      ['text/ä'],
    )

    await writeFile(
      join(folder, 'bad.json'),
      JSON.stringify([
        { key: 'good', value: 'v' },
        { key: '..', value: 'v' },
      ]),
    )
    await fails(/Illegal key name/, 'bulk', 'put', 'bad.json', ...at)
    assert.equal(await kv.get(store, 'good'), undefined, 'nothing of a bad call is written')
  })
})
