/** What is said when NATS does not do what it was asked. */
import { EdgeError } from '#/core/errors.ts'

/** JetStream answered, and the answer is no; `code` is the number of `server/errors.json`. */
export class JetStreamRefusal extends Error {
  readonly code: number

  constructor(call: string, code: number, why: string) {
    super(`NATS refused ${call}: ${why}`)
    this.name = 'JetStreamRefusal'
    this.code = code
  }
}

/** For people, with the number of `server/errors.json`. */
export function describe(meaning: { readonly kind: string; readonly why?: string; readonly code?: number }): string {
  return `${meaning.why ?? meaning.kind}${meaning.code ? ` (${meaning.code})` : ''}`
}

/** What a write that was given up may have done. */
export function outcomeOf(doubtful: boolean): string {
  return doubtful ? 'Whether it was written is not known.' : 'Nothing was written.'
}

/** `fabric_away`; the outcome is a sentence. */
export function awayError(outcome: string): EdgeError {
  return new EdgeError('fabric_away', `NATS cannot be reached, or most of its servers are gone. ${outcome}`)
}

/** `not_here`: the server refused a subject to this user. */
export function refusedRights(subject: string, cause: unknown): EdgeError {
  return new EdgeError('not_here', `This NATS user has no right to ${subject}.`, { cause: cause as Error })
}
