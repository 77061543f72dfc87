/** The table of host calls, the tests that call them, and the public description of the ABI say the same. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { abiDifferences, abiRefusals } from '#/engines/compute/abi-differences.ts'
import { abiNames } from '#/engines/compute/abi-names.ts'
import { abiTable } from '#/engines/compute/abi-table.ts'
import { hostcallModules } from '#/engines/compute/inside/hostcalls/table.ts'
import { abiSection } from '../compatibility/abi-rows.ts'

/** Names of host calls that tests made, counted where programs import them; each test file checks its own list. */
const folder = resolve(import.meta.dirname, '../abi-called')
const called = new Set(
  readdirSync(folder).flatMap((file) => readFileSync(join(folder, file), 'utf8').trim().split('\n')),
)

const known = new Set(Object.entries(abiNames).flatMap(([module, names]) => names.map((name) => `${module}.${name}`)))
const ours = hostcallModules.flatMap(({ name, calls }) => Object.keys(calls).map((call) => `${name}.${call}`))

test('there is no function that the public ABI does not have', () => {
  assert.deepEqual(
    ours.filter((name) => name.startsWith('fastly_') && !known.has(name)),
    [],
  )
})

test('every function that works, or differs, was called by a test', () => {
  assert.deepEqual(
    ours.filter((name) => !called.has(name) && abiRefusals[name] === undefined),
    [],
    'call them in a test that opens the stage of compute.fixture.ts, then write test/abi-called with RIMWARD_GOLDEN=write',
  )
})

test('no module is there twice, and what waits is a call', () => {
  const names = hostcallModules.map(({ name }) => name)
  assert.equal(new Set(names).size, names.length)
  for (const { name, calls, waits } of hostcallModules)
    for (const call of waits ?? []) assert.ok(Object.hasOwn(calls, call), `${name} waits in ${call}`)
})

test('differences are of functions that are there, or of whole modules', () => {
  for (const name of Object.keys(abiDifferences))
    assert.ok(name.endsWith('.*') ? Object.hasOwn(abiNames, name.slice(0, -2)) : ours.includes(name), name)
})

test('what is refused is there to say so', () => {
  assert.deepEqual(
    Object.keys(abiRefusals).filter((name) => !ours.includes(name)),
    [],
  )
})

test('the table: one row a function, each state is what the table of host calls says', () => {
  const rows = abiTable([
    { name: 'fastly_geo', calls: { lookup() {} } },
    { name: 'fastly_acl', calls: { open() {} } },
  ])
  const stateOf = (module: string, name: string) =>
    rows.find((row) => row.module === module && row.name === name)?.state
  assert.equal(rows.length, known.size)
  assert.equal(stateOf('fastly_geo', 'lookup'), 'differs')
  assert.equal(stateOf('fastly_acl', 'open'), 'works')
  assert.equal(stateOf('fastly_acl', 'lookup'), 'unsupported')
  assert.match(abiSection(rows).join('\n'), /`fastly_acl\.open` \| works/)
})
