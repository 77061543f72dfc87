/** An entry of the log of changes that a newer release wrote, or that is damaged. */
import type { ChangeNumber } from './fold.ts'
import { Refusal } from './refusal.ts'

export class UnreadableEntry extends Error {
  readonly revision: ChangeNumber

  constructor(revision: ChangeNumber, why: string) {
    super(`entry ${revision} of the log of changes cannot be read: ${why}`)
    this.name = 'UnreadableEntry'
    this.revision = revision
  }

  /** Why nothing is changed from here: it would be decided on a state that is not the platform's. */
  get refusal(): Refusal {
    return new Refusal(
      'conflict',
      `This node cannot change the platform: ${this.message}. Where a newer release of Rimward made that change, use its API or update this node.`,
    )
  }
}
