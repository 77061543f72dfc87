/**
 * Which Durable Object classes a program owns after a deploy: by steps from the deploy before (`migrations`) or by a
 * declaration of the end state (`exports`). Pure; data lives under a class's key, which a rename does not touch.
 * https://developers.cloudflare.com/durable-objects/reference/durable-objects-migrations/
 */
import type { ObjectNamespace, ProgramName } from '#/core/snapshot.ts'
import type { DeclaredObjects } from './records.ts'
import { Refusal } from './refusal.ts'

export interface MigrationStep {
  readonly newClasses: readonly string[]
  readonly newSqliteClasses: readonly string[]
  readonly renamedClasses: readonly { readonly from: string; readonly to: string }[]
  readonly deletedClasses: readonly string[]
  readonly transferredClasses: readonly { readonly from: string; readonly program: ProgramName; readonly to: string }[]
}

export interface Migrations {
  /** The tag that the program must bear now; absent: none. */
  readonly oldTag?: string
  readonly newTag?: string
  readonly steps: readonly MigrationStep[]
}

export interface ObjectChange {
  readonly objects: readonly ObjectNamespace[]
  readonly tag: string | undefined
  /** Nobody's any more: their data is to be removed. */
  readonly removed: readonly ObjectNamespace[]
  readonly transferred: readonly { readonly program: ProgramName; readonly className: string }[]
}

export interface ObjectWorld {
  readonly objects: readonly ObjectNamespace[]
  readonly tag: string | undefined
  /** Makes the key of a new class. */
  readonly newKey: () => string
  /** Classes of another program; `undefined` when there is no such program. */
  readonly objectsOf: (program: ProgramName) => readonly ObjectNamespace[] | undefined
}

/** Applies steps in order. Throws a `Refusal` (`migration_*`, `object_program_unknown`) when one does not fit. */
export function applyMigrations(world: ObjectWorld, migrations: Migrations): ObjectChange {
  if ((migrations.oldTag ?? '') !== (world.tag ?? ''))
    throw new Refusal(
      'migration_tag',
      `Actor migration tag precondition failed, got tag '${migrations.oldTag ?? ''}' when expected tag is '${world.tag ?? ''}'. Please make sure the tags match and try again.`,
    )
  const objects = new Map(world.objects.map((object) => [object.className, object]))
  const removed: ObjectNamespace[] = []
  const transferred: { program: ProgramName; className: string }[] = []

  const free = (verb: string, className: string) => {
    if (objects.has(className))
      throw misfit(
        `Cannot apply ${verb} migration to class '${className}' that is already depended on by existing Durable Objects`,
      )
  }
  const take = (verb: string, className: string): ObjectNamespace => {
    const object = objects.get(className)
    if (object === undefined)
      throw misfit(
        `Cannot apply ${verb} migration to class '${className}' that is not depended on by existing Durable Objects`,
      )
    objects.delete(className)
    return object
  }
  const create = (verb: string, className: string, storage: ObjectNamespace['storage']) => {
    free(verb, className)
    objects.set(className, { className, key: world.newKey(), storage })
  }

  for (const step of migrations.steps) {
    for (const className of step.newClasses) create('new-class', className, 'kv')
    for (const className of step.newSqliteClasses) create('new-sqlite-class', className, 'sqlite')
    for (const { from, to } of step.renamedClasses) {
      const object = take('rename-class', from)
      free('rename-class', to)
      objects.set(to, { ...object, className: to })
    }
    for (const { from, program, to } of step.transferredClasses) {
      const object = foreignObject(world, program, from)
      free('transfer-class', to)
      objects.set(to, { ...object, className: to })
      transferred.push({ program, className: from })
    }
    for (const className of step.deletedClasses) removed.push(take('delete-class', className))
  }
  return { objects: [...objects.values()], tag: migrations.newTag ?? world.tag, removed, transferred }
}

const misfit = (message: string) => new Refusal('migration_misfit', message)

function foreignObject(world: ObjectWorld, program: ProgramName, className: string): ObjectNamespace {
  const theirs = world.objectsOf(program)
  if (theirs === undefined)
    throw new Refusal(
      'object_program_unknown',
      `Cannot transfer class '${className}' from '${program}': no such Worker.`,
    )
  const object = theirs.find((object) => object.className === className)
  if (object === undefined)
    throw misfit(
      `Cannot apply transfer-class migration to class '${className}' of '${program}' that is not depended on by existing Durable Objects`,
    )
  return object
}

export interface Reconciliation extends ObjectChange {
  readonly created: readonly string[]
  readonly deleted: readonly string[]
  readonly renamed: readonly { readonly from: string; readonly to: string }[]
  /** Entries for deletions and renames that are done: they may leave the configuration. */
  readonly done: readonly string[]
}

/** One class that does not fit its declaration, in words for the person who deploys. */
export interface Misfit {
  readonly scenario: string
  readonly class: string
  readonly message: string
  readonly suggestion?: string
}

/** Throws a `Refusal` (`exports_misfit`, one detail a class) when the declaration does not fit what there is. */
export function reconcileObjects(world: ObjectWorld, declared: DeclaredObjects): Reconciliation {
  const objects = new Map(world.objects.map((object) => [object.className, object]))
  const misfits: Misfit[] = []
  const removed: ObjectNamespace[] = []
  const created: string[] = []
  const renamed: { from: string; to: string }[] = []
  const done: string[] = []

  for (const [className, entry] of Object.entries(declared)) {
    if (entry.state === 'created') continue
    const object = objects.get(className)
    if (object === undefined) {
      done.push(className)
      continue
    }
    if (entry.state === 'deleted') {
      removed.push(object)
      objects.delete(className)
      continue
    }
    const target = declared[entry.to]
    if (target?.state !== 'created' || objects.has(entry.to)) {
      misfits.push({
        scenario: 'rename_target',
        class: className,
        message: objects.has(entry.to)
          ? `cannot be renamed to '${entry.to}', which has Durable Objects of its own`
          : `is renamed to '${entry.to}', which is not declared`,
        ...(target === undefined && { suggestion: `Declare '${entry.to}' as a live durable-object entry.` }),
      })
      continue
    }
    objects.delete(className)
    objects.set(entry.to, { ...object, className: entry.to })
    renamed.push({ from: className, to: entry.to })
  }

  for (const [className, entry] of Object.entries(declared)) {
    if (entry.state !== 'created') continue
    const object = objects.get(className)
    if (object === undefined) {
      objects.set(className, { className, key: world.newKey(), storage: entry.storage })
      created.push(className)
    } else if (object.storage !== entry.storage) {
      misfits.push({
        scenario: 'storage_mismatch',
        class: className,
        message: `keeps its data in ${object.storage} storage, which cannot become ${entry.storage}`,
      })
    }
  }
  for (const className of objects.keys()) {
    if (className in declared || renamed.some(({ to }) => to === className)) continue
    misfits.push({
      scenario: 'missing_entry',
      class: className,
      message: 'has Durable Objects but is not declared',
      suggestion: `Add an entry for it, with "state": "deleted" to remove its data.`,
    })
  }
  if (misfits.length > 0)
    throw new Refusal(
      'exports_misfit',
      `The declared Durable Object classes do not fit those that exist: ${misfits.map((one) => `'${one.class}' ${one.message}`).join('; ')}.`,
      misfits,
    )
  const deleted = removed.map((object) => object.className)
  return { objects: [...objects.values()], tag: world.tag, removed, transferred: [], created, deleted, renamed, done }
}

/** Are the Durable Object classes of two declarations the same? Key order does not matter. */
export function sameDeclaration(a: DeclaredObjects | undefined, b: DeclaredObjects | undefined): boolean {
  const normal = (declared: DeclaredObjects | undefined) =>
    JSON.stringify(Object.entries(declared ?? {}).sort(([x], [y]) => (x < y ? -1 : 1)))
  return normal(a) === normal(b)
}
