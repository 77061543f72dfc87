/**
 * Remembers by 32-bit hash what was evicted lately, in a table of fixed size: a slot holds the latest hash that fell on it
 * and when. Two keys in one slot or with one hash only cost or win one admission.
 */
export interface Ghost {
  add(hash: number): void
  /** Whether the hash was among the last `span` that were added; forgets it. */
  take(hash: number, span: number): boolean
  readonly bytes: number
}

/** `slots` is rounded up to a power of two. */
export function createGhost(slots: number): Ghost {
  const size = 2 ** Math.ceil(Math.log2(slots))
  const hashes = new Uint32Array(size)
  const times = new Uint32Array(size)
  let now = 1
  return {
    add(hash) {
      const slot = hash & (size - 1)
      now = (now + 1) >>> 0
      hashes[slot] = hash
      times[slot] = now
    },
    take(hash, span) {
      const slot = hash & (size - 1)
      if (hashes[slot] !== hash || times[slot] === 0) return false
      const age = (now - times[slot]!) >>> 0
      times[slot] = 0
      return age <= span
    },
    bytes: size * 8,
  }
}
