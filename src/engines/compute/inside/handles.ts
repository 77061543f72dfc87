/** What a program holds by number: requests, bodies, stores, pending answers. One space of numbers for all kinds. */
import { refuse, status } from './status.ts'

// biome-ignore lint/suspicious/noExplicitAny: the constructor's arguments do not matter here
type Kind<Held> = abstract new (...given: any[]) => Held

export class Handles {
  readonly #held: (object | undefined)[] = []
  readonly #free: number[] = []
  readonly #cap: number

  /** `cap`: how many a program may hold at once. */
  constructor(cap: number) {
    this.#cap = cap
  }

  /** Throws `limit exceeded`. */
  add(held: object): number {
    const free = this.#free.pop()
    if (free !== undefined) {
      this.#held[free] = held
      return free
    }
    if (this.#held.length >= this.#cap) refuse(status.limitExceeded, 'too many handles')
    return this.#held.push(held) - 1
  }

  /** Throws `bad handle` where there is none, or one of another kind. */
  get<Held>(handle: number, kind: Kind<Held>): Held {
    const held = this.#held[handle >>> 0]
    if (!(held instanceof kind)) refuse(status.badHandle)
    return held
  }

  /** What is there, if anything. */
  peek(handle: number): object | undefined {
    return this.#held[handle >>> 0]
  }

  any(handle: number): object {
    return this.#held[handle >>> 0] ?? refuse(status.badHandle)
  }

  /** Removes it and gives it back. */
  take<Held>(handle: number, kind: Kind<Held>): Held {
    const held = this.get(handle, kind)
    this.#held[handle >>> 0] = undefined
    this.#free.push(handle >>> 0)
    return held
  }

  /** The object at a handle becomes another one: a body that is handed over for streaming keeps its number. */
  replace(handle: number, held: object): void {
    this.#held[handle >>> 0] = held
  }

  /** How many are held. */
  get size(): number {
    return this.#held.length - this.#free.length
  }

  *all(): IterableIterator<object> {
    for (const held of this.#held) if (held !== undefined) yield held
  }
}
