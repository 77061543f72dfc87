import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { createNames, createSystemLookup, type Lookup, parseHosts } from './resolve.ts'

function names(lookup: Lookup, more: Partial<typeof defaultLimits> = {}) {
  let now = 0
  const made = createNames({ lookup, limits: { ...defaultLimits, ...more }, clock: () => now })
  return { ...made, wait: (ms: number) => (now += ms) }
}

test('an answer is kept for its TTL, and equal questions at one time are one', async () => {
  let asked = 0
  const { resolve, wait } = names(async () => ({ addresses: [`192.0.78.${++asked}`, '::ffff:1.2.3.4'], ttl: 1000 }))
  const both = await Promise.all([resolve('a.example', 'x'), resolve('a.example', 'y')])
  assert.deepEqual(both, [
    ['192.0.78.1', '1.2.3.4'],
    ['192.0.78.1', '1.2.3.4'],
  ])
  wait(999)
  await resolve('a.example', 'x')
  assert.equal(asked, 1)
  wait(1)
  await resolve('a.example', 'x')
  assert.equal(asked, 2)
})

test('no answer, a late answer and an empty one are origin_unresolved; a failure is not kept', async () => {
  let asked = 0
  const failing = names(async () => {
    asked++
    throw Object.assign(new Error('x'), { code: 'ENOTFOUND' })
  })
  await assert.rejects(failing.resolve('a.example', 'x'), {
    code: 'origin_unresolved',
    message: /a\.example.*ENOTFOUND/,
  })
  await assert.rejects(failing.resolve('a.example', 'x'), { code: 'origin_unresolved' })
  assert.equal(asked, 2)
  const empty = names(async () => ({ addresses: [], ttl: 1 }))
  await assert.rejects(empty.resolve('a.example', 'x'), { code: 'origin_unresolved' })
  const late = names(() => new Promise(() => {}), { originResolveMs: 5 })
  await assert.rejects(late.resolve('a.example', 'x'), { code: 'origin_unresolved', message: /within 5 ms/ })
})

test('one program with dead names leaves room for others', async () => {
  const { resolve } = names(() => new Promise(() => {}), {
    originLookups: 3,
    originLookupsPerSource: 2,
    originResolveMs: 20,
  })
  const dead = [resolve('a.example', 'x'), resolve('b.example', 'x')]
  await assert.rejects(resolve('c.example', 'x'), { code: 'overloaded' })
  const other = resolve('c.example', 'y')
  await assert.rejects(resolve('d.example', 'z'), { code: 'overloaded' })
  for (const one of [...dead, other]) await assert.rejects(one, { code: 'origin_unresolved' })
})

test('only so many names are kept', async () => {
  let asked = 0
  const { resolve } = names(async () => ({ addresses: ['1.1.1.1'], ttl: 1000 * ++asked }), { originNames: 2 })
  for (const host of ['a.example', 'b.example', 'c.example', 'a.example']) await resolve(host, 'x')
  assert.equal(asked, 4)
})

test('literals and localhost are never asked for', async () => {
  const { resolve } = names(async () => assert.fail('asked'))
  assert.deepEqual(await resolve('127.0.0.1', 'x'), ['127.0.0.1'])
  assert.deepEqual(await resolve('::ffff:7f00:1', 'x'), ['127.0.0.1'])
  assert.deepEqual(await resolve('a.localhost', 'x'), ['127.0.0.1', '::1'])
})

test('hosts(5)', () => {
  const hosts = parseHosts('# c\n127.0.0.1\tlocalhost Box # me\n::1 box\nnonsense box\n\n10.0.0.1')
  assert.deepEqual(
    [...hosts],
    [
      ['localhost', ['127.0.0.1']],
      ['box', ['127.0.0.1', '::1']],
    ],
  )
})

test("the machine's hosts file comes before its name servers", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'rimward-hosts-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'hosts')
  writeFileSync(file, '10.9.8.7 Db.Internal db\n')
  const { addresses } = await createSystemLookup(1000, file)('db.internal')
  assert.deepEqual(addresses, ['10.9.8.7'])
})
