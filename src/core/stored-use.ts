/** An answer made from a stored one, which knows which of its fields are the same in every such answer. */
import type { Body, HeaderList } from './exchange.ts'
import type { CacheOutcome, EgressAnswer } from './ports.ts'

export interface StoredUseParts {
  readonly status: number
  /** Begin with `fixed`; behind them only words of the platform itself. */
  readonly headers: HeaderList
  readonly body: Body
  readonly cacheStatus: string
  readonly cacheOutcome: CacheOutcome
  readonly cacheHits: number
  /** The same list in every use of one stored answer; never changed. */
  readonly fixed: HeaderList
}

/**
 * A class for its private field: a copy made by spreading it, with other fields, is an ordinary answer and says nothing
 * about fixed ones.
 */
export class StoredUse implements EgressAnswer {
  readonly status: number
  readonly headers: HeaderList
  readonly body: Body
  readonly cacheStatus: string
  readonly cacheOutcome: CacheOutcome
  readonly cacheHits: number
  readonly #fixed: HeaderList

  constructor(parts: StoredUseParts) {
    this.status = parts.status
    this.headers = parts.headers
    this.body = parts.body
    this.cacheStatus = parts.cacheStatus
    this.cacheOutcome = parts.cacheOutcome
    this.cacheHits = parts.cacheHits
    this.#fixed = parts.fixed
  }

  /** Undefined for every other answer. */
  static fixedOf(answer: object): HeaderList | undefined {
    return #fixed in answer ? answer.#fixed : undefined
  }
}
