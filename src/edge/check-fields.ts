/**
 * What may stand in the head of an answer. A line end inside a value would let its author write the next answer.
 */
import { EdgeError } from '#/core/errors.ts'
import type { HeaderList } from '#/core/exchange.ts'

/** RFC 9110 §5.6.2. */
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
/** RFC 9110 §5.5: what is left of field-content when control characters are taken out. */
const forbiddenInValue = /[^\t\x20-\x7e\x80-\xff]/

/** True when names are tokens and values hold no control characters. */
export function areFieldsSound(headers: HeaderList): boolean {
  for (let index = 0; index < headers.length; index += 2)
    if (!token.test(headers[index]!) || forbiddenInValue.test(headers[index + 1]!)) return false
  return true
}

/** Throws `program_exception`, naming the field: who answered has to mend it. */
export function checkFields(headers: HeaderList, statusText: string | undefined): void {
  if (statusText !== undefined && forbiddenInValue.test(statusText))
    throw new EdgeError('program_exception', 'The status text of the answer has a character that no head may have.')
  if (areFieldsSound(headers)) return
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!
    if (!token.test(name))
      throw new EdgeError('program_exception', 'The answer has a header field without a valid name.')
    if (forbiddenInValue.test(headers[index + 1]!))
      throw new EdgeError(
        'program_exception',
        `The answer's header field ${name} has a character that no field may have.`,
      )
  }
}
