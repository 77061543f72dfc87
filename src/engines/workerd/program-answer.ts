/** What a cell answered, as an answer of the program or as the error that it stands for. */
import { EdgeError } from '#/core/errors.ts'
import type { Answer } from '#/core/exchange.ts'
import { CellFailure } from './cell-client.ts'

const bareBody = 'Internal Server Error'

/**
 * workerd answers an exception that nobody caught with 500, this body and no fields but its length. A program's own
 * `new Response('Internal Server Error', { status: 500 })` has a content-type; only raw bytes of just this text would be
 * taken for an exception.
 */
export function isUncaught(answer: Answer): boolean {
  if (answer.status !== 500 || answer.upgraded !== undefined) return false
  for (let index = 0; index < answer.headers.length; index += 2)
    if (answer.headers[index]!.toLowerCase() !== 'content-length' || answer.headers[index + 1] !== '21') return false
  const { body } = answer
  return body === null
    ? answer.headers.length > 0
    : body instanceof Uint8Array && Buffer.from(body).toString() === bareBody
}

/** `words`: what was thrown, where it is known. */
export function uncaught(words: string | undefined): EdgeError {
  if (words !== undefined && isObjectAway(words)) return objectAway(words)
  // The words are for the log: the page that a visitor reads does not show them.
  return new EdgeError(
    'program_exception',
    'The program threw an exception that it did not catch.',
    words === undefined ? {} : { cause: words },
  )
}

/** Words of a call of a Durable Object that nobody could answer. */
export function isObjectAway(words: string): boolean {
  return /\(object_away\)\W*$/.test(words)
}

/** What a visitor is told where the program did not catch that. */
export function objectAway(cause: unknown): EdgeError {
  const detail = 'A Durable Object that answers this cannot be reached now. Try again soon.'
  return new EdgeError('object_away', detail, { cause })
}

/** `hung`: the cell was ended because it used up its CPU time without letting anything else run. */
export function toProgramError(thrown: unknown, facts: { readonly hung: boolean }): unknown {
  if (!(thrown instanceof CellFailure)) return thrown
  if (facts.hung) return new EdgeError('program_exceeded_limits', 'The program used more CPU time than it may.')
  if (thrown.kind === 'full') return new EdgeError('overloaded', thrown.message, { cause: thrown })
  return new EdgeError('program_hung_up', 'The program ended before it answered.', { cause: thrown })
}

/** Did the process go away, as far as this connection can tell? */
export function isGone(thrown: unknown): boolean {
  return thrown instanceof CellFailure && (thrown.kind === 'connect' || thrown.kind === 'closed')
}
