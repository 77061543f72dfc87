import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ObjectNamespace } from '#/core/snapshot.ts'
import { applyMigrations, type MigrationStep, type ObjectWorld, reconcileObjects } from './object-classes.ts'
import type { DeclaredObjects } from './records.ts'
import { Refusal } from './refusal.ts'

const object = (
  className: string,
  storage: 'sqlite' | 'kv' = 'sqlite',
  key = `key of ${className}`,
): ObjectNamespace => ({
  className,
  key,
  storage,
})

function world(objects: ObjectNamespace[], tag?: string): ObjectWorld {
  let made = 0
  return {
    objects,
    tag,
    newKey: () => `new ${++made}`,
    objectsOf: (program) => (program === 'other' ? [object('Theirs', 'kv')] : undefined),
  }
}

const none: MigrationStep = {
  newClasses: [],
  newSqliteClasses: [],
  renamedClasses: [],
  deletedClasses: [],
  transferredClasses: [],
}
const show = (objects: readonly ObjectNamespace[]) =>
  objects.map(({ className, storage, key }) => `${className} ${storage} ${key}`)

const fits: [what: string, before: ObjectNamespace[], steps: Partial<MigrationStep>[], after: string[]][] = [
  ['new classes', [], [{ newClasses: ['A'], newSqliteClasses: ['B'] }], ['A kv new 1', 'B sqlite new 2']],
  ['a rename keeps the key', [object('A')], [{ renamedClasses: [{ from: 'A', to: 'B' }] }], ['B sqlite key of A']],
  ['a delete', [object('A'), object('B')], [{ deletedClasses: ['A'] }], ['B sqlite key of B']],
  [
    'a transfer keeps key and storage',
    [],
    [{ transferredClasses: [{ from: 'Theirs', program: 'other', to: 'Ours' }] }],
    ['Ours kv key of Theirs'],
  ],
  [
    'steps in order: new, renamed, a new one under the old name',
    [],
    [{ newSqliteClasses: ['A'] }, { renamedClasses: [{ from: 'A', to: 'B' }] }, { newSqliteClasses: ['A'] }],
    ['B sqlite new 1', 'A sqlite new 2'],
  ],
]

for (const [what, before, steps, after] of fits)
  test(`migrations: ${what}`, () => {
    const change = applyMigrations(world(before), { newTag: 'v1', steps: steps.map((step) => ({ ...none, ...step })) })
    assert.deepEqual(show(change.objects), after)
    assert.equal(change.tag, 'v1')
  })

const misfits: [
  what: string,
  before: ObjectNamespace[],
  step: Partial<MigrationStep>,
  code: string,
  message: RegExp,
][] = [
  ['new but there', [object('A')], { newSqliteClasses: ['A'] }, 'migration_misfit', /'A' that is already depended on/],
  ['renamed but not there', [], { renamedClasses: [{ from: 'A', to: 'B' }] }, 'migration_misfit', /'A' that is not/],
  [
    'renamed onto another',
    [object('A'), object('B')],
    { renamedClasses: [{ from: 'A', to: 'B' }] },
    'migration_misfit',
    /'B' that is already/,
  ],
  [
    'transferred from nobody',
    [],
    { transferredClasses: [{ from: 'A', program: 'no', to: 'A' }] },
    'object_program_unknown',
    /'no': no such Worker/,
  ],
]

for (const [what, before, step, code, message] of misfits)
  test(`migrations that do not fit: ${what}`, () => {
    assert.throws(
      () => applyMigrations(world(before), { steps: [{ ...none, ...step }] }),
      (error) => error instanceof Refusal && error.code === code && message.test(error.message),
    )
  })

test('the tag must be the one before', () => {
  const change = applyMigrations(world([], 'v1'), { oldTag: 'v1', newTag: 'v2', steps: [] })
  assert.equal(change.tag, 'v2')
  for (const oldTag of ['v0', undefined])
    assert.throws(
      () => applyMigrations(world([], 'v1'), { ...(oldTag && { oldTag }), steps: [] }),
      (error) => error instanceof Refusal && error.code === 'migration_tag',
    )
})

const created = { state: 'created', storage: 'sqlite' } as const

test('a declaration creates, renames, deletes, and says which entries are done', () => {
  const declared: DeclaredObjects = {
    A: created,
    Old: { state: 'renamed', to: 'New' },
    New: created,
    Gone: { state: 'deleted' },
    Long: { state: 'deleted' },
  }
  const change = reconcileObjects(world([object('Old'), object('Gone')]), declared)
  assert.deepEqual(show(change.objects), ['New sqlite key of Old', 'A sqlite new 1'])
  assert.deepEqual(change.created, ['A'])
  assert.deepEqual(change.renamed, [{ from: 'Old', to: 'New' }])
  assert.deepEqual(change.deleted, ['Gone'])
  assert.deepEqual(change.done, ['Long'])
  const again = reconcileObjects(world([...change.objects]), declared)
  assert.deepEqual(show(again.objects), show(change.objects), 'the same declaration again changes nothing')
})

test('a declaration that does not fit names every class', () => {
  const declared: DeclaredObjects = { A: created, B: { state: 'renamed', to: 'Nowhere' } }
  assert.throws(
    () => reconcileObjects(world([object('A', 'kv'), object('B'), object('C')]), declared),
    (error) => {
      assert.ok(error instanceof Refusal)
      const scenarios = (error.details as { scenario: string; class: string }[]).map(
        (one) => `${one.class} ${one.scenario}`,
      )
      assert.deepEqual(scenarios, ['B rename_target', 'A storage_mismatch', 'C missing_entry'])
      return true
    },
  )
})
