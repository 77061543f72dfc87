/** An entry of the log of changes that a newer release wrote, that is damaged, or of which something has not arrived yet. */
import type { ChangeNumber } from './fold.ts'
import { Refusal } from './refusal.ts'

export class UnreadableEntry extends Error {
  readonly revision: ChangeNumber

  /** It may be readable later. */
  readonly isLate: boolean

  constructor(revision: ChangeNumber, why: string, { isLate = false } = {}) {
    super(`entry ${revision} of the log of changes cannot be read: ${why}`)
    this.name = 'UnreadableEntry'
    this.revision = revision
    this.isLate = isLate
  }

  /** Why nothing is changed from here: it would be decided on a state that is not the platform's. */
  get refusal(): Refusal {
    if (this.isLate)
      return new Refusal('conflict', `This node cannot change the platform yet: ${this.message}. Try again.`)
    return new Refusal(
      'conflict',
      `This node cannot change the platform: ${this.message}. Where a newer release of Rimward made that change, use its API or update this node.`,
    )
  }
}
