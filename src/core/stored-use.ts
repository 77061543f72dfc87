/** An answer made from a stored one, which knows what of its head is the same in every such answer. */
import type { HeaderList } from './exchange.ts'
import type { CacheOutcome, EgressAnswer } from './ports.ts'

export interface StoredUseParts {
  /** Of the stored answer: the same list in every use, never changed. */
  readonly fixed: HeaderList
  /** Value of the Age field. */
  readonly age: string
  readonly cacheStatus: string
  readonly cacheHits: number
  readonly body: Uint8Array
}

/**
 * A fresh 200, whole. `headers` begin with `fixed`; what follows depends on `fixed`, `age` and `cacheStatus` alone, besides
 * the count of uses. A class for its private field: a copy made by spreading it, with other fields or another body, is an
 * ordinary answer.
 */
export class StoredUse implements EgressAnswer {
  readonly status = 200
  readonly cacheOutcome: CacheOutcome = 'hit'
  readonly headers: HeaderList
  readonly body: Uint8Array
  readonly cacheStatus: string
  readonly cacheHits: number
  readonly age: string
  readonly #fixed: HeaderList

  constructor({ fixed, age, cacheStatus, cacheHits, body }: StoredUseParts) {
    this.headers = fixed.slice()
    this.headers.push('content-length', String(body.length), 'age', age)
    this.body = body
    this.cacheStatus = cacheStatus
    this.cacheHits = cacheHits
    this.age = age
    this.#fixed = fixed
  }

  get fixed(): HeaderList {
    return this.#fixed
  }

  /** The stored answer's bytes in another form, whose fields are `fixed`; what was said behind them stays. */
  withBody(fixed: HeaderList, body: Uint8Array): StoredUse {
    const { age, cacheStatus, cacheHits } = this
    const use = new StoredUse({ fixed, age, cacheStatus, cacheHits, body })
    // Behind the fixed fields stand length and age.
    for (let index = this.#fixed.length + 4; index < this.headers.length; index++)
      use.headers.push(this.headers[index]!)
    return use
  }

  /** Whether this very object came from the cache's constructor. */
  static is(answer: object): answer is StoredUse {
    return #fixed in answer
  }
}
