/** Things by number, for what comes and goes with every request. */

const slotBits = 20
const slotsAtMost = 2 ** slotBits
/** A number is its slot and how often the slot was used, in 31 bits: what V8 holds without a box. */
const uses = 2 ** (31 - slotBits)

/** Things that are there at the same time have different slots, small where they are few. */
export function slotOf(number: number): number {
  return number & (slotsAtMost - 1)
}

/**
 * Gives each thing a number of 31 bits, never 0, that comes again only after its slot was used 2,047 times. Not a Map: V8
 * makes a Map's table anew every few dozen entries, and a table that was left points to the next one. Once a single one of
 * them has become old, each next one is kept for it, with all that was in it, until the next full collection.
 */
export class Slots<Item> {
  readonly #items: (Item | undefined)[] = []
  readonly #numbers: number[] = []
  readonly #free: number[] = []

  /** Throws a RangeError for more than 2^20 at once. */
  add(item: Item): number {
    const slot = this.#free.pop() ?? this.#items.length
    if (slot >= slotsAtMost) throw new RangeError('too many at once')
    const use = ((this.#numbers[slot] ?? 0) >>> slotBits) + 1
    const number = (use === uses ? 1 : use) * slotsAtMost + slot
    this.#items[slot] = item
    this.#numbers[slot] = number
    return number
  }

  get(number: number): Item | undefined {
    const slot = slotOf(number)
    return this.#numbers[slot] === number ? this.#items[slot] : undefined
  }

  /** Nothing happens where it is not there any more. */
  remove(number: number): void {
    if (this.get(number) === undefined) return
    const slot = slotOf(number)
    this.#items[slot] = undefined
    this.#free.push(slot)
  }

  /** Those that are there now: a copy. */
  all(): Item[] {
    return this.#items.filter((item) => item !== undefined)
  }
}
