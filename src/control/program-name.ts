/** Names of programs and sites: they are host labels, keys in the fabric and folder names, so the alphabet is small. */
import { dispatchedParts } from '#/core/dispatch-names.ts'
import { resourceKey } from '#/core/resources.ts'
import type { ProgramName } from '#/core/snapshot.ts'
import type { State } from './fold.ts'
import { Refusal } from './refusal.ts'

const programName = /^[a-z0-9_][a-z0-9_-]{0,62}$/

/** Throws a `Refusal` (`bad_name`). */
export function checkProgramName(name: string): void {
  if (programName.test(name)) return
  throw new Refusal(
    'bad_name',
    `'${name.slice(0, 80)}' is not a name: use 1 to 63 lower-case letters, digits, '-' and '_', not beginning with '-'.`,
  )
}

/** The same for a program that may be one of a dispatch namespace that is there. */
export function checkUploadName({ resources }: Pick<State, 'resources'>, program: ProgramName): void {
  const parts = dispatchedParts(program)
  const known = parts !== undefined && resources.has(resourceKey('dispatch', parts.namespace))
  checkProgramName(known ? parts.name : program)
}
