/**
 * One run of a program in one instance. Most answer one request and end; a program that asks for the next one
 * (`next_request`) goes on with it where it stands, with what it remembers, until a limit of reuse is reached.
 */
import type { AsyncItem } from './async-item.ts'
import type { GuestInstance } from './program.ts'
import type { Sandbox } from './sandbox.ts'

/** A request that an instance is to take: how its end is told, and what happens when it is not taken after all. */
export interface GivenRequest {
  readonly sandbox: Sandbox
  readonly settle: Settle
  otherwise(): void
}

export interface Settle {
  resolve(): void
  reject(thrown: unknown): void
}

const settled: Settle = { resolve() {}, reject() {} }

export class Session {
  readonly instance: GuestInstance
  /** Whose turns these are. */
  sandbox: Sandbox
  readonly startedAt = performance.now()
  requests = 1
  /** What the program waits for, or will. */
  next: NextRequest | undefined
  #settle: Settle
  #ending: NodeJS.Timeout | undefined

  constructor(instance: GuestInstance, sandbox: Sandbox, settle: Settle) {
    this.instance = instance
    this.sandbox = sandbox
    this.#settle = settle
    sandbox.session = this
  }

  /** The current request is over, whatever the program still does: resolves when nothing more of it will be touched. */
  async part(): Promise<void> {
    const { sandbox } = this
    const parted = sandbox.whenParted()
    this.#end().resolve()
    await parted
    sandbox.request.downstream = false
  }

  /** The program goes on with another request. */
  take({ sandbox, settle }: GivenRequest): void {
    const before = this.sandbox
    sandbox.continues(before)
    sandbox.session = this
    before.successor = sandbox
    this.sandbox = sandbox
    this.#settle = settle
    this.requests++
  }

  /** There is nobody to answer any more: what the program still does may take so long. */
  endSoon(ms: number): void {
    this.#ending = setTimeout(() => this.sandbox.end('time'), ms)
  }

  /** The program has ended. */
  end(thrown?: unknown): void {
    clearTimeout(this.#ending)
    this.next?.end()
    const settle = this.#end()
    if (thrown === undefined) settle.resolve()
    else settle.reject(thrown)
  }

  #end(): Settle {
    const settle = this.#settle
    this.#settle = settled
    return settle
  }
}

/** What `next_request` gives a handle of. */
export class NextRequest implements AsyncItem {
  #given: GivenRequest | undefined
  #over = false
  #callbacks: (() => void)[] = []
  readonly #onEnd: () => void

  /** `onEnd`: nothing may be given any more. */
  constructor(onEnd: () => void) {
    this.#onEnd = onEnd
  }

  get ready(): boolean {
    return this.#over || this.#given !== undefined
  }

  whenReady(callback: () => void): void {
    if (this.ready) callback()
    else this.#callbacks.push(callback)
  }

  give(given: GivenRequest): void {
    this.#given = given
    this.#onEnd()
    this.#wake()
  }

  /** Gives the request to the program, once; undefined where there is none and will be none. */
  taken(): GivenRequest | undefined {
    const given = this.#given
    this.#given = undefined
    this.#over = true
    return given
  }

  /** There will be none; one that nobody has taken goes its own way. */
  end(): void {
    if (this.#over) return
    this.#over = true
    this.#onEnd()
    const given = this.#given
    this.#given = undefined
    given?.otherwise()
    this.#wake()
  }

  #wake(): void {
    for (const callback of this.#callbacks.splice(0)) callback()
  }
}
