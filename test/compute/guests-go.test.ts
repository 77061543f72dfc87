/** A program made with the vendor's SDK for Go: stores, facts, logs, and what Go's own runtime needs. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { textOf } from '#/engines/compute/compute.fixture.ts'
import { linked, openHost } from '#/engines/compute/host.fixture.ts'
import { buildGo } from '../support/build-guest.ts'

const answers: readonly [path: string, answer: string][] = [
  ['/', 'GET from Go'],
  ['/environment', 'service-go 0123456789abcdef'],
  ['/kv', 'good day meta [from go] true true true true'],
  ['/config', 'good day blue true true'],
  ['/secret', 's3cret'],
  ['/acl', '192.0.2.0/24 BLOCK true'],
  ['/rate', 'false true 50 502 true'],
  ['/geo', 'US united states 15169 "?"'],
  ['/device', 'Phone true'],
  ['/log', 'logged'],
  ['/sleep', 'true true true true'],
]

/** Go that reads `toolchain` lines and builds for `wasip1`: 1.21; older ones cannot fetch the newer one by themselves. */
function goIsThere(): boolean {
  try {
    const [, minor] = /go1\.(\d+)/.exec(execFileSync('go', ['version'], { encoding: 'utf8' })) ?? []
    return Number(minor) >= 21
  } catch {
    return false
  }
}

test('Go', { skip: goIsThere() ? false : 'there is no Go 1.21 or newer on this machine' }, async (t) => {
  const stage = await openHost(t, { limits: { computeCpuMs: 5_000 } })
  const tables = { lookups: { tables: { colours: { sky: 'blue' } }, lists: {} } }
  const program = stage.add('go', await buildGo('go'), linked, tables)
  for (const [path, expected] of answers)
    await t.test(path, async () => assert.equal(await textOf(await stage.ask(program, path)), expected))
  assert.deepEqual(
    stage.sunk.map(({ message }) => message),
    ['to the collector\n'],
  )
  const printed = () => stage.printed.map(({ stream, message }) => `${stream}: ${message}`)
  while (printed().length < 3) await new Promise(setImmediate)
  assert.deepEqual(printed().sort(), [
    'collector: to the collector\n',
    'stderr: to standard error',
    'stdout: to standard output',
  ])
})
