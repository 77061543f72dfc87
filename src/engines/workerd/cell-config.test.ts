import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Binding, Sealed } from '#/core/snapshot.ts'
import { type CellPlan, cellConfig } from './cell-config.ts'
import { makeDeployment } from './programs-for-tests.ts'

const bindings: readonly Binding[] = [
  { kind: 'text', name: 'GREETING', text: 'a "quoted"\nline' },
  { kind: 'json', name: 'SETTINGS', json: '{"deep":[1,"two"]}' },
  { kind: 'secret', name: 'TOKEN', sealed: 'opened' as Sealed },
  { kind: 'kv', name: 'KV', store: 'store-1' },
  { kind: 'version', name: 'VERSION' },
  { kind: 'program', name: 'SELF', program: 'shop', entrypoint: 'Admin', props: '{"a":1}' },
  { kind: 'program', name: 'OTHER', program: 'bank', entrypoint: 'Teller', props: '{"b":2}' },
  { kind: 'objects', name: 'COUNTER', className: 'Counter' },
  { kind: 'objects', name: 'ROOM', className: 'Room', program: 'bank' },
]
const modules = { 'main.js': 'export default {}', 'lib/data.bin': 'bytes' }
const named = (id: string, number: number) => ({ ...makeDeployment({ modules, bindings, number }), id })

function plan(more: Partial<CellPlan> = {}): CellPlan {
  return {
    program: { name: 'shop', objects: [{ className: 'Counter', key: 'key-1', storage: 'sqlite' }] },
    deployments: [named('lead', 2), named('next', 1)],
    open: (sealed) => sealed,
    objectsOf: (name) => (name === 'bank' ? [{ className: 'Room', key: 'key-2', storage: 'kv' }] : undefined),
    socket: (name) => `/run/${name}.s`,
    backplane: '/run/backplane',
    storage: { folder: '/data/objects' },
    purpose: 'serve',
    tails: true,
    ...more,
  }
}

/** `RIMWARD_GOLDEN=write` writes the file anew; look at what changed before committing it. */
test('a program with every binding, as workerd reads it', () => {
  const golden = join(import.meta.dirname, 'cell-config.golden')
  const { config, files } = cellConfig(plan())
  const told = `${config}\n# ${[...files.keys()].join('\n# ')}\n`
  if (process.env.RIMWARD_GOLDEN === 'write') writeFileSync(golden, told)
  assert.equal(told, readFileSync(golden, 'utf8'))
})

test('what cannot hold is refused by name', () => {
  const refused: [Binding, RegExp][] = [
    [
      { kind: 'objects', name: 'X', className: 'Nope' },
      /Version 1 of shop binds X to the class Nope, which no migration/,
    ],
    [{ kind: 'objects', name: 'X', className: 'Nope', program: 'bank' }, /class Nope of bank, which has no such class/],
    [{ kind: 'objects', name: 'X', className: 'A', program: 'gone' }, /class A of gone/],
    [{ kind: 'assets', name: 'FILES' }, /binds assets as FILES but has none/],
    [{ kind: 'blob', name: 'CODE', type: 'wasm', blob: 'ab' }, /binds CODE as wasm_module/],
  ]
  for (const [binding, expected] of refused) {
    const deployments = [makeDeployment({ modules, bindings: [binding] })]
    assert.throws(() => cellConfig(plan({ deployments })), { code: 'program_start_failed', message: expected })
  }
  const deployments = [makeDeployment({ modules, syntax: 'script' })]
  assert.throws(() => cellConfig(plan({ deployments })), /service-worker syntax, which has one script; lib\/data.bin/)
})

test('a proof keeps nothing and reaches nobody', () => {
  const { config } = cellConfig(plan({ purpose: 'prove', storage: 'memory', deployments: [named('lead', 1)] }))
  for (const never of ['localDisk', 'workerdDebugPort', 'cacheApiOutbound', 'experimental'])
    assert.ok(!config.includes(never), never)
  assert.match(config, /inMemory = void/)
})
