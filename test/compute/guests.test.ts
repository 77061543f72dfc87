/** Programs made with the vendor's SDKs for JavaScript and AssemblyScript: stores, facts, logs. */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { textOf } from '#/engines/compute/compute.fixture.ts'
import { linked, openHost } from '#/engines/compute/host.fixture.ts'
import { buildAssemblyScript, buildScript } from '../support/build-guest.ts'

const tables = { lookups: { tables: { colours: { sky: 'blue' } }, lists: {} } }
// Compilers' first requests are slow on a busy machine; how long programs may run is not what is tested here.
const limits = { computeCpuMs: 5_000 }

const script: readonly [path: string, answer: unknown][] = [
  ['/environment', ['service-data', '1', 'tst', '0123456789abcdef']],
  [
    '/kv',
    {
      value: 'good day',
      metadata: 'from js',
      appended: 'good day to you',
      again: 'refused',
      keys: ['greeting'],
      gone: null,
    },
  ],
  ['/config', ['good day', null, 'blue']],
  [
    '/no-store',
    [
      "ConfigStore constructor: No ConfigStore named 'nowhere' exists",
      "KVStore constructor: No KVStore named 'nowhere' exists",
      "SecretStore constructor: No SecretStore named 'nowhere' exists",
    ],
  ],
  ['/secret', ['s3cret', true, 'hi']],
  ['/acl', [{ prefix: '192.0.2.0/24', action: 'BLOCK' }, null]],
  ['/rate', { before: false, after: true, rate: 50, count: 502, boxed: [true, true, false] }],
  ['/geo', ['US', 'united states', 15_169, '?']],
  ['/device', ['Phone', null]],
  ['/log', 'logged'],
  ['/time', 'number'],
]

test('JavaScript', async (t) => {
  const stage = await openHost(t, { limits })
  const program = stage.add('data', await buildScript('data.js'), linked, tables)
  for (const [path, expected] of script)
    await t.test(path, async () => {
      assert.deepEqual(JSON.parse(await textOf(await stage.ask(program, path))), expected)
    })
  const chunks = Array.from({ length: 8 }, (_, index) => Buffer.alloc(65_536, index))
  const put = await stage.ask(program, '/kv-stream', { method: 'POST', body: Readable.from(chunks) })
  assert.equal(await textOf(put), '524288')
  assert.deepEqual(
    stage.sunk.map(({ message }) => message),
    ['to the collector'],
  )
  const printed = stage.printed.map(({ stream, message }) => `${stream}: ${message}`)
  for (const line of ['audit: to the log', 'stdout: to standard output', 'stdout: to standard error'])
    assert.ok(printed.includes(line), `${line} is not in ${JSON.stringify(printed)}`)
})

test('AssemblyScript', async (t) => {
  const stage = await openHost(t, { limits })
  const program = stage.add('small', await buildAssemblyScript('hello.as'), linked, tables)
  const ask = async (path: string) => textOf(await stage.ask(program, path))
  assert.equal(await ask('/'), 'GET service-small')
  assert.equal(await ask('/dictionary'), 'blue')
  assert.equal(await ask('/log'), 'logged')
  assert.deepEqual(
    stage.sunk.map(({ message }) => message),
    ['from AssemblyScript'],
  )
  while (!stage.printed.some(({ message }) => message === 'to standard output')) await new Promise(setImmediate)
})

test('JavaScript with setReusableSandboxOptions', async (t) => {
  const stage = await openHost(t, { limits: { computeCpuMs: 400 } })
  const program = stage.add('reuse', await buildScript('reuse.js'), linked)
  const ask = async (path: string) => JSON.parse(await textOf(await stage.ask(program, path)))
  const seen: number[] = []
  for (const path of ['/1', '/2', '/3', '/4', '/5']) {
    const answer = await ask(path)
    assert.deepEqual([answer.pathname, answer.address], [path, '192.0.2.1'])
    seen.push(answer.seen)
  }
  assert.deepEqual(seen, [1, 2, 3, 4, 1])
  const body = Readable.from([Buffer.from('good '), Buffer.from('day')])
  const posted = await stage.ask(program, '/6', { method: 'POST', body })
  const { seen: count, body: text } = JSON.parse(await textOf(posted))
  assert.deepEqual([count, text], [2, 'good day'])
  assert.equal((await stage.ask(program, '/throw')).status, 500)
  assert.equal((await ask('/7')).seen, 4)
  await assert.rejects(stage.ask(program, '/loop'), { code: 'program_exceeded_limits' })
  assert.equal((await ask('/8')).seen, 1)
})
