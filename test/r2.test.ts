/** R2 as people use it: the real wrangler, a deployed Worker with the runtime's own binding, asked over HTTP. */
import assert from 'node:assert/strict'
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type Answered, type RunningNode, root, startNode, temporaryFolder, wrangler } from './support/node.ts'

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

/** A call of the binding, with what it answered. */
async function call(method: string, ...args: unknown[]): Promise<any> {
  const answer = await ask('/call', 'POST', JSON.stringify({ method, args }))
  assert.equal(answer.status, 200, answer.text)
  return JSON.parse(answer.text)
}

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
    (await call('list')).objects.map((one: { key: string }) => one.key),
    ['a.txt'],
  )
  await call('delete', 'a.txt')
  assert.equal(await call('head', 'a.txt'), null)
})
