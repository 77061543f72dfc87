/** Why a cell did not answer. */

/** The cell did not answer: it is gone, full, or speaks nonsense. */
export class CellFailure extends Error {
  readonly kind: 'connect' | 'closed' | 'protocol' | 'full'
  /** Had any byte of the response arrived? If not, a safe request may be sent again. */
  readonly responded: boolean
  /** A kept connection that the other side had closed before this request. */
  readonly stale: boolean

  constructor(
    kind: CellFailure['kind'],
    message: string,
    facts: { responded: boolean; stale?: boolean; cause?: unknown },
  ) {
    super(message, { cause: facts.cause })
    this.name = 'CellFailure'
    this.kind = kind
    this.responded = facts.responded
    this.stale = facts.stale ?? false
  }
}
