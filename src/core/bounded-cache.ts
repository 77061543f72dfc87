/** A map whose entries weigh something: the least recently used ones go when the total is over the cap. */
export interface BoundedCache<Value> {
  get(key: string): Value | undefined
  /** Not kept when it alone is over the cap. */
  put(key: string, value: Value, weight: number): void
  values(): Iterable<Value>
  readonly weight: number
}

/** `cap` is in the unit of the weights. */
export function createBoundedCache<Value>(cap: number): BoundedCache<Value> {
  // A Map iterates in the order of insertion: the first key is the least recently used one.
  const entries = new Map<string, { readonly value: Value; readonly weight: number }>()
  let total = 0
  function remove(key: string): void {
    total -= entries.get(key)?.weight ?? 0
    entries.delete(key)
  }
  return {
    get(key) {
      const entry = entries.get(key)
      if (entry === undefined) return undefined
      entries.delete(key)
      entries.set(key, entry)
      return entry.value
    },
    put(key, value, weight) {
      remove(key)
      if (weight > cap) return
      entries.set(key, { value, weight })
      total += weight
      for (const oldest of entries.keys()) {
        if (total <= cap) break
        remove(oldest)
      }
    },
    *values() {
      for (const { value } of entries.values()) yield value
    },
    get weight() {
      return total
    },
  }
}

/** Runs one load a key at a time: whoever asks meanwhile waits for the same one. */
export function shareLoads<Value>(load: (key: string) => Promise<Value>): (key: string) => Promise<Value> {
  const running = new Map<string, Promise<Value>>()
  return (key) => {
    const known = running.get(key)
    if (known !== undefined) return known
    const started = load(key).finally(() => running.delete(key))
    running.set(key, started)
    return started
  }
}
