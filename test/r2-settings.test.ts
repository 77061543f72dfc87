/** What a bucket's owner sets: by the real wrangler, seen over S3, in browsers' requests, in a queue and after a start. */
import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteBucketCorsCommand,
  DeleteObjectsCommand,
  GetBucketCorsCommand,
  GetObjectCommand,
  ListBucketsCommand,
  PutBucketCorsCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { type RunningNode, rimward, startNode, temporaryFolder, until, wrangler } from './support/node.ts'

let node: RunningNode
let folder: string
let keys: { accessKeyId: string; secretAccessKey: string; endpoint: string; region: string }
let s3: S3Client

const client = (endpoint: string, more: object = {}) =>
  new S3Client({ endpoint, region: keys.region, forcePathStyle: true, credentials: keys, maxAttempts: 1, ...more })

before(async () => {
  await begin()
  folder = await temporaryFolder(undefined, 'r2-settings')
  await s3.send(new CreateBucketCommand({ Bucket: 'shop' }))
})
after(async () => {
  s3?.destroy()
  await node?.stop('SIGKILL')
  for (const path of [node?.data, folder]) if (path !== undefined) rmSync(path, { recursive: true, force: true })
})

async function begin(data?: string): Promise<void> {
  node = await startNode(undefined, { args: ['--pops', 'fra:DE'], ...(data !== undefined && { data }) })
  const { output } = await rimward(node, node.data, ['r2', 'keys', '--json'])
  keys = JSON.parse(output)
  s3 = client(keys.endpoint)
}

const run = async (...words: string[]) => (await wrangler(node, folder, ['r2', 'bucket', ...words])).output
const put = (Key: string, Body: string, more: object = {}) =>
  s3.send(new PutObjectCommand({ Bucket: 'shop', Key, Body, ...more }))
// biome-ignore lint/suspicious/noExplicitAny: each call has its own shape, which the assertions tell.
async function api(method: string, path: string, body?: object): Promise<any> {
  const headers = { 'content-type': 'application/json' }
  const init = { method, ...(body && { body: JSON.stringify(body), headers }) }
  return (await node.api(`/client/v4/accounts/${node.accountId}/${path}`, init)).json()
}
const fails = async (work: Promise<unknown>, name: string, status: number) =>
  assert.rejects(work, (error: { name: string; $metadata: { httpStatusCode: number } }) => {
    assert.deepEqual([error.name, error.$metadata.httpStatusCode], [name, status], String(error))
    return true
  })

test('a bucket is public at an address of its own and at domains, over the shared cache', async () => {
  await put('a dir/é.txt', 'hello world', { ContentType: 'text/plain', CacheControl: 'max-age=60' })
  const shown = /pub-[0-9a-f]{32}\.localhost/.exec(await run('dev-url', 'enable', 'shop', '--force'))
  assert.ok(shown !== null)
  await run('domain', 'add', 'shop', '--domain', 'files.example.test', '--zone-id', 'z1', '--force')
  assert.match(await run('domain', 'list', 'shop'), /files\.example\.test/)
  const path = `/${encodeURIComponent('a dir')}/${encodeURIComponent('é.txt')}`
  for (const host of [shown[0], 'files.example.test']) {
    const first = await node.get(host, path)
    assert.equal(first.text, 'hello world')
    assert.equal(first.headers['content-type'], 'text/plain')
    assert.equal((await node.get(host, path)).headers['x-cache'] ?? 'HIT', 'HIT')
    const part = await node.get(host, path, { headers: { range: 'bytes=6-' } })
    assert.deepEqual([part.status, part.text, part.headers['content-range']], [206, 'world', 'bytes 6-10/11'])
    const same = await node.get(host, path, { headers: { 'if-none-match': first.headers.etag! } })
    assert.equal(same.status, 304)
    const head = await node.get(host, path, { method: 'HEAD' })
    assert.deepEqual([head.status, head.text, head.headers['content-length']], [200, '', '11'])
    assert.equal((await node.get(host, '/absent')).status, 404)
    assert.equal((await node.get(host, '/')).status, 404)
    assert.equal((await node.get(host, '/new', { method: 'PUT', body: 'x' })).status, 405)
  }
  const taken = await api('POST', 'r2/buckets/shop/domains/custom', { domain: 'files.example.test', enabled: true })
  assert.match(taken.errors[0].message, /is a domain of this bucket already/)
  const modern = await api('PUT', 'r2/buckets/shop/domains/custom/files.example.test', { minTLS: '1.3' })
  assert.match(modern.errors[0].message, /minTLS of 1\.3 cannot be had/)
  await api('PUT', 'r2/buckets/shop/domains/managed', { enabled: false })
  assert.notEqual((await node.get(shown[0], path)).status, 200)
  assert.equal((await node.get('files.example.test', path)).status, 200)
})

test('browsers of other origins may what the rules of the bucket allow', async () => {
  assert.equal((await api('GET', 'r2/buckets/shop/cors')).errors[0].code, 10059)
  const allowed = { origins: ['https://app.example'], methods: ['GET', 'PUT'], headers: ['content-type'] }
  const rules = [{ id: 'app', allowed, exposeHeaders: ['ETag'], maxAgeSeconds: 60 }]
  writeFileSync(join(folder, 'cors.json'), JSON.stringify({ rules }))
  await run('cors', 'set', 'shop', '--file', 'cors.json', '--force')
  assert.match(await run('cors', 'list', 'shop'), /https:\/\/app\.example/)
  const ask = (url: string, method: string, headers: Record<string, string>) => fetch(url, { method, headers })
  const asked = { origin: 'https://app.example', 'access-control-request-method': 'PUT' }
  const target = `${keys.endpoint}/shop/k`
  const yes = await ask(target, 'OPTIONS', { ...asked, 'access-control-request-headers': 'content-type' })
  assert.deepEqual(
    [yes.status, yes.headers.get('access-control-allow-origin'), yes.headers.get('access-control-max-age')],
    [204, 'https://app.example', '60'],
  )
  const no = await ask(target, 'OPTIONS', { ...asked, origin: 'https://evil.example' })
  assert.deepEqual([no.status, /<Code>AccessForbidden/.test(await no.text())], [403, true])
  const refused = await ask(target, 'GET', { origin: 'https://app.example' })
  assert.deepEqual([refused.status, refused.headers.get('access-control-allow-origin')], [400, 'https://app.example'])
  await put('shared', 'x', { CacheControl: 'max-age=60' })
  const path = '/shared'
  const site = await node.get('files.example.test', path, { headers: { origin: 'https://app.example' } })
  assert.deepEqual([site.status, site.headers['access-control-expose-headers']], [200, 'ETag'])
  const preflight = await node.get('files.example.test', path, { method: 'OPTIONS', headers: asked })
  assert.equal(preflight.status, 204)
  const { CORSRules } = await s3.send(new GetBucketCorsCommand({ Bucket: 'shop' }))
  assert.deepEqual(CORSRules![0]!.AllowedOrigins, ['https://app.example'])
  const over = [{ AllowedOrigins: ['*'], AllowedMethods: ['GET'], MaxAgeSeconds: 5 }]
  await s3.send(new PutBucketCorsCommand({ Bucket: 'shop', CORSConfiguration: { CORSRules: over } }))
  const { result } = await api('GET', 'r2/buckets/shop/cors')
  assert.deepEqual(result.rules, [{ allowed: { origins: ['*'], methods: ['GET'] }, maxAgeSeconds: 5 }])
  await s3.send(new DeleteBucketCorsCommand({ Bucket: 'shop' }))
  await fails(s3.send(new GetBucketCorsCommand({ Bucket: 'shop' })), 'NoSuchCORSConfiguration', 404)
})

test('locked objects are neither overwritten nor deleted', async () => {
  await put('locked/a', 'first')
  await put('free', 'x')
  await run('lock', 'add', 'shop', 'keep', 'locked/', '--retention-days', '1')
  assert.match(await run('lock', 'list', 'shop'), /after 1 day/)
  await fails(put('locked/a', 'second'), 'ObjectLockedByBucketPolicy', 403)
  const Objects = [{ Key: 'locked/a' }, { Key: 'free' }]
  const deleted = await s3.send(new DeleteObjectsCommand({ Bucket: 'shop', Delete: { Objects } }))
  assert.deepEqual([deleted.Deleted, deleted.Errors?.[0]?.Code], [[{ Key: 'free' }], 'ObjectLockedByBucketPolicy'])
  const removal = await api('DELETE', 'r2/buckets/shop/objects/locked%2Fa')
  assert.equal(removal.errors[0].code, 10069)
  await api('PUT', 'r2/buckets/shop/lock', { rules: [] })
  await put('locked/a', 'second')
})

test('a queue is told of what its rules name', async () => {
  const { result: queue } = await api('POST', 'queues', { queue_name: 'changes' })
  await api('POST', `queues/${queue.queue_id}/consumers`, { type: 'http_pull' })
  const words = ['--event-type', 'object-create', '--queue', 'changes', '--prefix', 'up/']
  await run('notification', 'create', 'shop', ...words)
  assert.match(await run('notification', 'list', 'shop'), /PutObject,CompleteMultipartUpload,CopyObject/)
  await put('up/one', 'three')
  await put('elsewhere', 'x')
  await s3.send(new CopyObjectCommand({ Bucket: 'shop', Key: 'up/two', CopySource: 'shop/up/one' }))
  // biome-ignore lint/suspicious/noExplicitAny: the vendor's own form, compared below
  const told: any[] = []
  await until(async () => {
    const pulled = await api('POST', `queues/${queue.queue_id}/messages/pull`, { batch_size: 10 })
    for (const { body, lease_id } of pulled.result.messages) {
      told.push(JSON.parse(Buffer.from(body, 'base64').toString()))
      await api('POST', `queues/${queue.queue_id}/messages/ack`, { acks: [{ lease_id }] })
    }
    return told.length >= 2
  }, 'the queue is told')
  const [first, second] = told.toSorted((one, other) => (one.object.key < other.object.key ? -1 : 1))
  assert.deepEqual(
    [first.account, first.bucket, first.action, first.object],
    [node.accountId, 'shop', 'PutObject', { key: 'up/one', size: 5, eTag: '35d6d33467aae9a2e3dccb4b6b027878' }],
  )
  assert.deepEqual([second.action, second.copySource], ['CopyObject', { bucket: 'shop', object: 'up/one' }])
  const removed = await api('DELETE', `event_notifications/r2/shop/configuration/queues/${queue.queue_id}`)
  assert.equal(removed.success, true)
})

test('buckets of a jurisdiction have an endpoint of their own', async () => {
  const eu = client(`${keys.endpoint}-eu`)
  await eu.send(new CreateBucketCommand({ Bucket: 'laws' }))
  await eu.send(new PutObjectCommand({ Bucket: 'laws', Key: 'k', Body: 'inside' }))
  const { hostname, port } = new URL(keys.endpoint)
  const lookup = (_host: string, _options: object, done: (error: null, all: object[]) => void) =>
    done(null, [{ address: hostname, family: 4 }])
  const asHost = client(`http://account.eu.r2.example.test:${port}`, {
    requestHandler: { httpAgent: new Agent({ lookup: lookup as never }) },
  })
  for (const one of [eu, asHost]) {
    const { Buckets } = await one.send(new ListBucketsCommand({}))
    assert.deepEqual(
      Buckets?.map(({ Name }) => Name),
      ['laws'],
    )
    const found = await one.send(new GetObjectCommand({ Bucket: 'laws', Key: 'k' }))
    assert.equal(await found.Body!.transformToString(), 'inside')
    await fails(one.send(new GetObjectCommand({ Bucket: 'shop', Key: 'free' })), 'NoSuchBucket', 404)
  }
  await fails(s3.send(new GetObjectCommand({ Bucket: 'laws', Key: 'k' })), 'NoSuchBucket', 404)
  const placed = await (await node.api('/rimward/v1/residency')).json()
  assert.match(JSON.stringify(placed), /"laws@eu"/)
  await eu.send(new DeleteObjectsCommand({ Bucket: 'laws', Delete: { Objects: [{ Key: 'k' }] } }))
  await eu.send(new DeleteBucketCommand({ Bucket: 'laws' }))
  eu.destroy()
  asHost.destroy()
})

test('objects that reached their rule are gone after the next look, also by wrangler', async () => {
  assert.match(await run('lifecycle', 'list', 'shop'), /Default Multipart Abort Rule/)
  await put('old/a', 'x')
  await run('lifecycle', 'add', 'shop', 'expire', 'old/', '--expire-date', '2026-01-01', '--force')
  assert.match(await run('lifecycle', 'list', 'shop'), /Expire objects on 2026-01-01/)
  const twice = { id: 'one', enabled: true, conditions: {} }
  const refused = await api('PUT', 'r2/buckets/shop/lifecycle', { rules: [twice, twice] })
  assert.match(refused.errors[0].message, /same id/)
  await node.stop('SIGKILL')
  await begin(node.data)
  const listed = async () => (await api('GET', 'r2/buckets/shop/objects?prefix=old/')).result
  await until(async () => (await listed()).length === 0, 'the object is gone')
  assert.equal((await node.get('files.example.test', `/${encodeURIComponent('locked')}/a`)).text, 'second')
})

test('a bucket that goes takes its addresses with it', async () => {
  const { result } = await api('GET', 'r2/buckets/shop/objects')
  const Objects = result.map(({ key: Key }: { key: string }) => ({ Key }))
  await s3.send(new DeleteObjectsCommand({ Bucket: 'shop', Delete: { Objects } }))
  assert.equal((await api('DELETE', 'r2/buckets/shop')).success, true)
  assert.notEqual((await node.get('files.example.test', '/free')).status, 200)
})
