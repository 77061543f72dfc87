/**
 * Ids of signs: empty messages that show whether writing works. A leader that is cut off takes whatever it is sent into its log. When it
 * is back, NATS has it drop that again entry by entry, for up to two seconds each, and it counts for no majority meanwhile
 * (docs/guide/losses.md). So all signs of one trial have one id, and are one entry.
 */
import { type ApiAnswer, meaningOf } from './answers.ts'

export interface Signs {
  /** Of the signs that are sent now. */
  readonly id: string
  /** Begins another trial. */
  renew(): void
  /**
   * What an answer to the sign `sent` says. One that had been written before proves nothing of now: if it is of this trial, another one
   * begins, and `ask again` is said.
   */
  read(answer: ApiAnswer & { readonly duplicate?: boolean }, sent: string): 'works' | 'fails' | 'ask again'
}

export function createSigns(newId: () => string): Signs {
  let id = newId()
  const renew = () => {
    id = newId()
  }
  return {
    get id() {
      return id
    },
    renew,
    read(answer, sent) {
      if (!answer.duplicate) return meaningOf(answer).kind === 'unavailable' ? 'fails' : 'works'
      if (sent !== id) return 'fails'
      renew()
      return 'ask again'
    },
  }
}
