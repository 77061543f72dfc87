/** Names of programs and sites: they are host labels, keys in the fabric and folder names, so the alphabet is small. */
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
