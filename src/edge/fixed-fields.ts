/** The head lines of fields that come again with every use of a stored answer: checked, thinned and written out once. */
import type { HeaderList } from '#/core/exchange.ts'
import { connectionNames, hopByHop } from '#/http/header-list.ts'
import { areFieldsSound } from './check-fields.ts'

const known = new WeakMap<HeaderList, string | false>()

/** Undefined where the fields have no date, name others in `Connection` or are unsound: then each use is looked at. */
export function fixedLines(fixed: HeaderList, drop: ReadonlySet<string>): string | undefined {
  let lines = known.get(fixed)
  if (lines === undefined) {
    lines = writeLines(fixed, drop)
    known.set(fixed, lines)
  }
  return lines === false ? undefined : lines
}

function writeLines(fixed: HeaderList, drop: ReadonlySet<string>): string | false {
  if (connectionNames(fixed) !== undefined || !areFieldsSound(fixed)) return false
  let lines = ''
  let dated = false
  for (let index = 0; index < fixed.length; index += 2) {
    const name = fixed[index]!.toLowerCase()
    if (name === 'date') dated = true
    if (!hopByHop.has(name) && !drop.has(name)) lines += `${fixed[index]}: ${fixed[index + 1]}\r\n`
  }
  // One piece of text: what is joined from many is joined anew by each who reads it.
  return dated && Buffer.from(lines, 'latin1').toString('latin1')
}
