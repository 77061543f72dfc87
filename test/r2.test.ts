/** R2 as people use it: the real wrangler, a deployed Worker with the runtime's own binding, asked over HTTP. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { cp, glob, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type Answered, type RunningNode, root, startNode, temporaryFolder, until, wrangler } from './support/node.ts'

let node: RunningNode
let folder: string

before(async () => {
  node = await startNode(undefined)
  folder = await temporaryFolder(undefined, 'r2')
  await cp(join(root, 'test/r2/worker.js'), join(folder, 'index.js'))
  await configure({})
})
after(async () => {
  await node.stop('SIGKILL')
})

async function configure(more: object): Promise<void> {
  const config = {
    name: 'files',
    main: 'index.js',
    compatibility_date: '2026-11-01',
    r2_buckets: [{ binding: 'FILES', bucket_name: 'photos' }],
    ...more,
  }
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'wrangler.json'), JSON.stringify(config))
}

const ask = (
  path: string,
  method = 'GET',
  body?: string | Uint8Array,
  headers?: Record<string, string>,
): Promise<Answered> =>
  node.get('files.localhost', path, { method, ...(body !== undefined && { body }), ...(headers && { headers }) })

// biome-ignore lint/suspicious/noExplicitAny: answers differ by method, and tests look into them freely
type Told = any

/** A call of the binding, with what it answered; on an upload where one is named. */
async function call(method: string, ...args: unknown[]): Promise<Told> {
  return callOn(undefined, method, ...args)
}

async function callOn(upload: object | undefined, method: string, ...args: unknown[]): Promise<Told> {
  const answer = await ask('/call', 'POST', JSON.stringify({ method, args, upload }))
  assert.equal(answer.status, 200, `${method}: ${answer.text}`)
  return JSON.parse(answer.text)
}

/** What it throws. */
async function thrown(upload: object | undefined, method: string, ...args: unknown[]): Promise<string> {
  const answer = await ask('/call', 'POST', JSON.stringify({ method, args, upload }))
  assert.equal(answer.status, 500, `${method} should throw: ${answer.text.slice(0, 300)}`)
  return answer.text
}

const MiB = 1024 * 1024
const hex = (name: string, text: string) => createHash(name).update(text).digest('hex')

test('a bucket is made, bound, filled and emptied', async () => {
  await wrangler(node, folder, ['r2', 'bucket', 'create', 'photos'])
  assert.match((await wrangler(node, folder, ['r2', 'bucket', 'list'])).output, /photos/)
  await wrangler(node, folder, ['deploy'])
  assert.equal((await ask('/o/a.txt', 'PUT', 'hello', { 'content-type': 'text/plain' })).status, 200)
  const got = await ask('/o/a.txt')
  assert.deepEqual([got.status, got.text, got.headers['content-type']], [200, 'hello', 'text/plain'])
  assert.equal(got.headers.etag, '"5d41402abc4b2a76b9719d911017c592"')
  assert.equal((await ask('/o/none')).status, 404)
  const head = await call('head', 'a.txt')
  assert.deepEqual([head.key, head.size, head.storageClass], ['a.txt', 5, 'Standard'])
  assert.deepEqual(
    (await call('list')).objects.map((one: Told) => one.key),
    ['a.txt'],
  )
  await call('delete', 'a.txt')
  assert.equal(await call('head', 'a.txt'), null)
})

test('what goes with an object comes back: metadata, class, checksums', async () => {
  const cacheExpiry = '2027-01-02T03:04:05.000Z'
  const httpMetadata = {
    contentType: 'text/plain',
    contentLanguage: 'de',
    contentDisposition: 'attachment; filename="ä"',
    contentEncoding: 'identity',
    cacheControl: 'max-age=60',
  }
  const customMetadata = { author: 'Zoë', __proto: 'x', '': 'empty name' }
  const options = { httpMetadata: { ...httpMetadata, cacheExpiry: { $date: cacheExpiry } }, customMetadata }
  await call('put', 'käse/🧀 1', 'cheese', {
    ...options,
    storageClass: 'InfrequentAccess',
    sha256: hex('sha256', 'cheese'),
  })
  const head = await call('head', 'käse/🧀 1')
  assert.deepEqual(head.httpMetadata, { ...httpMetadata, cacheExpiry })
  assert.deepEqual(head.customMetadata, customMetadata)
  assert.equal(head.storageClass, 'InfrequentAccess')
  assert.deepEqual(head.checksums, { md5: hex('md5', 'cheese'), sha256: hex('sha256', 'cheese') })
  assert.equal(head.etag, hex('md5', 'cheese'))
  assert.match(head.version, /^[0-9a-f]{32}$/)
  assert.ok(Math.abs(Date.parse(head.uploaded) - Date.now()) < 60_000)
  assert.equal((await call('get', 'käse/🧀 1')).text, 'cheese')
  for (const key of ['', 'k'.repeat(1025)])
    assert.match(await thrown(undefined, 'put', key, 'x'), /not valid. \(10020\)/)
  assert.match(await thrown(undefined, 'put', 'k', 'x', { customMetadata: { a: 'x'.repeat(8192) } }), /\(10012\)/)
  assert.match(await thrown(undefined, 'put', 'k', 'x', { ssecKey: 'a'.repeat(64) }), /does not encrypt.*\(10029\)/)
  assert.match(await thrown(undefined, 'put', 'k', 'x', { storageClass: 'Cold' }), /\(10029\)/)
})

test('a wrong checksum is refused and nothing is stored', async () => {
  for (const name of ['md5', 'sha1', 'sha256', 'sha384', 'sha512']) {
    const put = await call('put', `sum-${name}`, 'right', { [name]: hex(name, 'right') })
    assert.equal(put.checksums[name], hex(name, 'right'), name)
    assert.match(
      await thrown(undefined, 'put', `no-${name}`, 'right', { [name]: hex(name, 'wrong') }),
      /did not match[\s\S]*\(10037\)/,
    )
    assert.equal(await call('head', `no-${name}`), null)
  }
})

test('ranges of small and large objects', async () => {
  const large = Buffer.from(Array.from({ length: 300_000 }, (_, i) => 97 + (i % 26))).toString()
  for (const [key, text] of [
    ['range-small', 'abcdefghij'],
    ['range-large', large],
  ] as const) {
    await ask(`/o/${key}`, 'PUT', text)
    const size = text.length
    const cases: [range: object, offset: number, length: number][] = [
      [{ offset: 2 }, 2, size - 2],
      [{ offset: 2, length: 3 }, 2, 3],
      [{ length: 4 }, 0, 4],
      [{ suffix: 4 }, size - 4, 4],
      [{ suffix: size * 2 }, 0, size],
      [{ offset: size - 1, length: 100 }, size - 1, 1],
      [{ $headers: { range: 'bytes=1-3' } }, 1, 3],
      [{ $headers: { range: 'bytes=-2' } }, size - 2, 2],
      [{ $headers: { range: 'bytes=1-2,4-5' } }, 0, size],
      [{ $headers: { range: 'lines=1-2' } }, 0, size],
    ]
    for (const [range, offset, length] of cases) {
      const got = await call('get', key, { range })
      assert.deepEqual([got.range, got.size], [{ offset, length }, size], JSON.stringify(range))
      assert.ok(got.text === text.slice(offset, offset + length), JSON.stringify(range))
    }
    for (const range of [{ offset: size }, { suffix: 0 }, { length: 0 }, { $headers: { range: `bytes=${size}-` } }])
      assert.match(await thrown(undefined, 'get', key, { range }), /not satisfiable \(10039\)/)
  }
  await call('put', 'empty', '')
  const empty = await call('get', 'empty')
  assert.deepEqual([empty.size, empty.text], [0, ''])
})

test('onlyIf, by etag and time, for gets and puts', async () => {
  const first = await call('put', 'cond', 'one')
  const at = Date.parse(first.uploaded)
  const [before, after] = [{ $date: new Date(at - 10_000) }, { $date: new Date(at + 10_000) }]
  const holds = [
    { etagMatches: first.etag },
    { etagMatches: '*' },
    { etagDoesNotMatch: 'other' },
    { uploadedAfter: before },
    { uploadedBefore: after },
    { uploadedAfter: before, uploadedBefore: after, secondsGranularity: true },
    { etagMatches: first.etag, uploadedBefore: before },
    { $headers: { 'if-match': `"${first.etag}", "x"` } },
    { $headers: { 'if-none-match': 'W/"other"' } },
    { $headers: { 'if-modified-since': new Date(at - 10_000).toUTCString() } },
  ]
  for (const onlyIf of holds) assert.equal((await call('get', 'cond', { onlyIf })).text, 'one', JSON.stringify(onlyIf))
  const unmet = [
    { etagMatches: 'other' },
    { etagDoesNotMatch: first.etag },
    { etagDoesNotMatch: '*' },
    { uploadedAfter: after },
    { uploadedBefore: before },
    { $headers: { 'if-match': '"other"' } },
    { $headers: { 'if-match': `W/"${first.etag}"` } },
    { $headers: { 'if-none-match': `W/"${first.etag}"` } },
    { $headers: { 'if-unmodified-since': new Date(at - 10_000).toUTCString() } },
  ]
  for (const onlyIf of unmet) {
    const got = await call('get', 'cond', { onlyIf })
    assert.deepEqual([got.etag, got.text], [first.etag, undefined], JSON.stringify(onlyIf))
    assert.equal(await call('put', 'cond', 'two', { onlyIf }), null, JSON.stringify(onlyIf))
  }
  assert.equal((await call('get', 'cond')).text, 'one')
  assert.equal(await call('put', 'fresh', 'x', { onlyIf: { etagMatches: '*' } }), null)
  assert.equal((await call('put', 'fresh', 'x', { onlyIf: { etagDoesNotMatch: '*' } })).key, 'fresh')
  // Of many that say «only if there is none», one wins.
  const race = Array.from({ length: 8 }, (_, i) => call('put', 'race', `${i}`, { onlyIf: { etagDoesNotMatch: '*' } }))
  assert.equal((await Promise.all(race)).filter((one) => one !== null).length, 1)
})

test('lists: prefix, delimiter, cursor, startAfter, include, deletes of a thousand', async () => {
  const keys = Array.from({ length: 120 }, (_, i) => `l/${['a', 'b', 'c'][i % 3]}/${String(i).padStart(3, '0')}`)
  await Promise.all(keys.map((key) => call('put', key, key, { customMetadata: { key } })))
  await call('put', 'l/z', 'z', { httpMetadata: { contentType: 'text/z' } })
  const all = [...keys.toSorted(), 'l/z']
  const names = (page: Told) => page.objects.map((one: Told) => one.key)
  const whole = await call('list', { prefix: 'l/' })
  assert.deepEqual([names(whole), whole.truncated, whole.delimitedPrefixes], [all, false, []])
  assert.equal(whole.objects[0].customMetadata, undefined)

  const found: string[] = []
  let cursor: string | undefined
  do {
    const page = await call('list', { prefix: 'l/', limit: 50, cursor })
    found.push(...names(page))
    assert.equal(page.truncated, page.cursor !== undefined)
    cursor = page.cursor
  } while (cursor !== undefined)
  assert.deepEqual(found, all)

  const grouped = await call('list', { prefix: 'l/', delimiter: '/' })
  assert.deepEqual([names(grouped), grouped.delimitedPrefixes], [['l/z'], ['l/a/', 'l/b/', 'l/c/']])
  const one = await call('list', { prefix: 'l/', delimiter: '/', limit: 1 })
  const two = await call('list', { prefix: 'l/', delimiter: '/', limit: 2, cursor: one.cursor })
  const three = await call('list', { prefix: 'l/', delimiter: '/', cursor: two.cursor })
  assert.deepEqual(
    [one, two, three].map((page) => [page.delimitedPrefixes, names(page), page.truncated]),
    [
      [['l/a/'], [], true],
      [['l/b/', 'l/c/'], [], true],
      [[], ['l/z'], false],
    ],
  )
  assert.deepEqual(names(await call('list', { prefix: 'l/', startAfter: 'l/c/119' })), ['l/z'])
  const included = await call('list', { prefix: 'l/', include: ['customMetadata', 'httpMetadata'] })
  assert.deepEqual(included.objects[0].customMetadata, { key: 'l/a/000' })
  assert.deepEqual(included.objects.at(-1).httpMetadata, { contentType: 'text/z' })
  for (const limit of [0, 1001]) assert.match(await thrown(undefined, 'list', { limit }), /\(10022\)/)
  assert.match(await thrown(undefined, 'list', { cursor: 'nonsense' }), /\(10029\)/)

  await call('delete', [...all, ...Array.from({ length: 1000 - all.length }, (_, i) => `none-${i}`)])
  assert.deepEqual(names(await call('list', { prefix: 'l/' })), [])
  assert.match(
    await thrown(
      undefined,
      'delete',
      Array.from({ length: 1001 }, (_, i) => `${i}`),
    ),
    /at most 1000 keys/,
  )
})

test('multipart: parts in any order, resumed, completed, aborted; rules of sizes', async () => {
  const upload = await call('createMultipartUpload', 'big', {
    httpMetadata: { contentType: 'video/x' },
    customMetadata: { a: 'b' },
  })
  const part = (bytes: number) => ({ $zeros: bytes })
  const two = await callOn(upload, 'uploadPart', 2, part(5 * MiB))
  const three = await callOn(upload, 'uploadPart', 3, part(17))
  await callOn(upload, 'uploadPart', 1, part(5))
  const one = await callOn(upload, 'uploadPart', 1, part(5 * MiB))
  assert.equal(await call('head', 'big'), null)
  assert.match(await thrown(upload, 'complete', [one, { ...two, etag: three.etag }]), /\(10025\)/)
  assert.match(await thrown(upload, 'complete', [three, two]), /\(10011\)/)
  assert.match(await thrown(upload, 'complete', []), /\(10025\)/)
  const done = await callOn(upload, 'complete', [two, one, three])
  const md5 = createHash('md5')
  for (const { etag } of [one, two, three]) md5.update(etag, 'hex')
  assert.deepEqual([done.size, done.etag], [10 * MiB + 17, `${md5.digest('hex')}-3`])
  const head = await call('head', 'big')
  assert.deepEqual(
    [head.httpMetadata, head.customMetadata, head.checksums],
    [{ contentType: 'video/x' }, { a: 'b' }, {}],
  )
  // Across the border of two parts.
  const got = await call('get', 'big', { range: { offset: 5 * MiB - 3, length: 6 } })
  assert.equal(got.text, '\0'.repeat(6))
  assert.equal((await ask('/o/big')).text.length, 10 * MiB + 17)
  assert.match(await thrown(upload, 'uploadPart', 1, 'late'), /\(10024\)/)
  assert.match(await thrown(upload, 'complete', [one]), /\(10024\)/)
  await callOn(upload, 'abort')
  assert.equal((await call('head', 'big')).size, 10 * MiB + 17)

  const other = await call('createMultipartUpload', 'never')
  const lone = await callOn(other, 'uploadPart', 1, 'small')
  const short = await callOn(other, 'uploadPart', 2, 'small')
  assert.match(await thrown(other, 'complete', [lone, short]), /smaller than the minimum.*\(10011\)/)
  await callOn(other, 'abort')
  assert.match(await thrown(other, 'complete', [lone]), /\(10024\)/)
  assert.equal(await call('head', 'never'), null)
  assert.match(await thrown({ key: 'big', uploadId: 'unknown' }, 'uploadPart', 1, 'x'), /\(10024\)/)
  // What an upload leaves behind is its object alone.
  await call('delete', 'big')
  await call('delete', 'range-large')
  await until(async () => (await bodies()).length === 0, 'no body is left')
})

test('objects by wrangler, and what it tells of a bucket', async () => {
  const wr = (...args: string[]) => wrangler(node, folder, ['r2', ...args])
  const file = join(folder, 'käse.bin')
  await writeFile(file, Buffer.alloc(200_000, 'w'))
  const put = ['object', 'put', 'photos/a b/käse.bin', '--file', file, '--content-type', 'text/w', '--remote']
  await wr(...put, '--cache-control', 'no-store', '--storage-class', 'InfrequentAccess')
  const head = await call('head', 'a b/käse.bin')
  assert.deepEqual([head.size, head.storageClass], [200_000, 'InfrequentAccess'])
  assert.deepEqual(head.httpMetadata, { contentType: 'text/w', cacheControl: 'no-store' })
  const out = join(folder, 'out.bin')
  await wr('object', 'get', 'photos/a b/käse.bin', '--file', out, '--remote')
  assert.ok((await readFile(out)).equals(await readFile(file)))
  const { objects } = await call('list')
  const info = JSON.parse((await wr('bucket', 'info', 'photos', '--json')).output)
  assert.deepEqual([info.name, info.object_count], ['photos', String(objects.length)])
  const kept = await wrangler(node, folder, ['r2', 'bucket', 'delete', 'photos'], { mayFail: true })
  assert.match(kept.output, /\(photos\) is not empty/)
  await wr('object', 'delete', 'photos/a b/käse.bin', '--remote')
  assert.equal(await call('head', 'a b/käse.bin'), null)
  const none = await wrangler(node, folder, ['r2', 'object', 'get', 'photos/none', '--pipe', '--remote'], {
    mayFail: true,
  })
  assert.match(none.output, /does not exist/)
})

test('a bucket with a class, a jurisdiction and a hint; what is not offered is refused by name', async () => {
  const api = async (method: string, path: string, body?: object, headers?: Record<string, string>) => {
    const init = { method, ...(headers && { headers }), ...(body && { body: JSON.stringify(body) }) }
    const answer = await node.api(`/client/v4/accounts/${node.accountId}/r2/buckets${path}`, init)
    return (await answer.json()) as { result: Told; errors: { code: number; message: string }[] }
  }
  const europe = { 'cf-r2-jurisdiction': 'eu' }
  const made = await api('POST', '', { name: 'laws', storageClass: 'InfrequentAccess' }, europe)
  assert.deepEqual([made.result.jurisdiction, made.result.storage_class], ['eu', 'InfrequentAccess'])
  assert.equal((await api('POST', '', { name: 'laws', locationHint: 'WEUR' })).result.location, 'weur')
  const names = async (headers?: Record<string, string>) =>
    (await api('GET', '', undefined, headers)).result.buckets.map((one: Told) => one.name)
  assert.deepEqual([await names(europe), await names()], [['laws'], ['laws', 'photos']])
  const placed = (await (await node.api('/rimward/v1/residency')).json()) as Told
  assert.deepEqual(
    placed.residency.map(({ kind, name, countries }: Told) => [kind, name, countries]),
    [['bucket', 'laws@eu', 'eu']],
  )
  const changed = await api('PATCH', '/laws', undefined, { 'cf-r2-storage-class': 'InfrequentAccess' })
  assert.equal(changed.result.storage_class, 'InfrequentAccess')
  assert.deepEqual((await api('DELETE', '/laws')).errors, [])
  assert.deepEqual(await names(), ['photos'])

  const refusals: [method: string, path: string, body: object | undefined, code: number, says: RegExp][] = [
    ['POST', '', { name: 'photos' }, 10004, /already exists, and you own it/],
    ['POST', '', { name: 'No_Name' }, 10005, /not valid/],
    ['POST', '', { name: 'more', locationHint: 'moon' }, 10001, /locationHint/],
    ['GET', '/nobody', undefined, 10006, /does not exist/],
    ['DELETE', '/nobody', undefined, 10006, /does not exist/],
    ['GET', '/photos/objects/none', undefined, 10007, /key does not exist/],
  ]
  for (const [method, path, body, code, says] of refusals) {
    const { errors } = await api(method, path, body)
    assert.equal(errors[0]?.code, code, `${method} ${path} ${JSON.stringify(errors)}`)
    assert.match(errors[0]!.message, says)
  }
  assert.match((await api('GET', '/photos/sippy')).errors[0]!.message, /\(Sippy\): copy them over the S3 API/)
  const catalog = await node.api(`/client/v4/accounts/${node.accountId}/r2-catalog/photos`)
  assert.match(await catalog.text(), /has no data catalog/)
})

test('a binding to a bucket that is not there is refused, one without a name gets a bucket', async () => {
  await configure({ r2_buckets: [{ binding: 'FILES', bucket_name: 'photos' }, { binding: 'OTHER' }] })
  assert.match((await wrangler(node, folder, ['deploy'])).output, /OTHER/)
  await ask('/o/kept', 'PUT', 'kept')
  assert.match((await wrangler(node, folder, ['r2', 'bucket', 'list'])).output, /files-other/)
  const form = new FormData()
  const bindings = [{ type: 'r2_bucket', name: 'B', bucket_name: 'nobody' }]
  const metadata = { main_module: 'index.js', compatibility_date: '2026-11-01', bindings }
  form.set('metadata', JSON.stringify(metadata))
  form.set('index.js', new File(['export default {}'], 'index.js', { type: 'application/javascript+module' }))
  const path = `/client/v4/accounts/${node.accountId}/workers/scripts/lost`
  const { errors } = (await (await node.api(path, { method: 'PUT', body: form })).json()) as Told
  assert.deepEqual([errors[0].code, /R2 bucket 'nobody' not found/.test(errors[0].message)], [10085, true])
})

/** Files of bodies, of all buckets. */
async function bodies(): Promise<string[]> {
  return Array.fromAsync(glob('bucket/*/bodies/*/*', { cwd: node.data }))
}
