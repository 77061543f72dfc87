/**
 * Maps that are never changed, of which the next one costs what differs: values lie in chunks, and chunks without a change are
 * those of the map before. Keys have a place each, which all that came of one map share. In order of first insertion; a key that
 * was removed and comes back may be where it was.
 */

const chunkBits = 6
const chunkSize = 1 << chunkBits
const within = chunkSize - 1

/** Of all maps that came of one: only ever grows. */
interface Places<Key> {
  readonly byKey: Map<Key, number>
  readonly keys: Key[]
}

type Chunk<Value> = readonly (Value | undefined)[]

class KeptMap<Key, Value extends object> implements ReadonlyMap<Key, Value> {
  readonly places: Places<Key>
  readonly chunks: readonly Chunk<Value>[]
  readonly size: number

  constructor(places: Places<Key>, chunks: readonly Chunk<Value>[], size: number) {
    this.places = places
    this.chunks = chunks
    this.size = size
  }

  get(key: Key): Value | undefined {
    const place = this.places.byKey.get(key)
    return place === undefined ? undefined : this.chunks[place >> chunkBits]?.[place & within]
  }

  has(key: Key): boolean {
    return this.get(key) !== undefined
  }

  *entries(): MapIterator<[Key, Value]> {
    const { keys } = this.places
    for (const [turn, chunk] of this.chunks.entries())
      for (const [index, value] of chunk.entries())
        if (value !== undefined) yield [keys[(turn << chunkBits) + index]!, value]
  }

  *keys(): MapIterator<Key> {
    for (const [key] of this.entries()) yield key
  }

  *values(): MapIterator<Value> {
    for (const chunk of this.chunks) for (const value of chunk) if (value !== undefined) yield value
  }

  [Symbol.iterator](): MapIterator<[Key, Value]> {
    return this.entries()
  }

  forEach(visit: (value: Value, key: Key, map: ReadonlyMap<Key, Value>) => void): void {
    for (const [key, value] of this.entries()) visit(value, key, this)
  }
}

/** The map that comes of another. */
export interface Draft<Key, Value> {
  get(key: Key): Value | undefined
  set(key: Key, value: Value): void
  delete(key: Key): void
  /** To be called once, at the end. */
  kept(): ReadonlyMap<Key, Value>
}

/** Of a map that did not come of `alter` all is copied, once. */
export function alter<Key, Value extends object>(map: ReadonlyMap<Key, Value>): Draft<Key, Value> {
  const { places, chunks: before, size: sizeBefore } = map instanceof KeptMap ? map : chunked<Key, Value>(map)
  const chunks: Chunk<Value>[] = [...before]
  const own = new Map<number, (Value | undefined)[]>()
  let size = sizeBefore

  function read(place: number | undefined): Value | undefined {
    return place === undefined ? undefined : chunks[place >> chunkBits]?.[place & within]
  }

  function write(place: number, value: Value | undefined): void {
    const turn = place >> chunkBits
    // Places that others of the family were given lie between.
    while (chunks.length <= turn) chunks.push(new Array<undefined>(chunkSize).fill(undefined))
    const chunk = own.get(turn) ?? [...chunks[turn]!]
    own.set(turn, chunk)
    chunks[turn] = chunk
    if (chunk[place & within] !== undefined) size--
    if (value !== undefined) size++
    chunk[place & within] = value
  }

  return {
    get: (key) => read(places.byKey.get(key)),
    set(key, value) {
      const place = places.byKey.get(key) ?? places.keys.push(key) - 1
      places.byKey.set(key, place)
      write(place, value)
    },
    delete(key) {
      const place = places.byKey.get(key)
      if (read(place) !== undefined) write(place!, undefined)
    },
    kept() {
      const made = new KeptMap(places, chunks, size)
      // Keys that went leave their places: half of them empty is too much.
      return places.keys.length > 2 * size + chunkSize ? chunked(made) : made
    },
  }
}

/**
 * What `make` makes of all values, in order; of each chunk once, as long as `made` is the same. `undefined` is left out.
 */
export function listOf<Value extends object, Made>(
  map: ReadonlyMap<unknown, Value>,
  make: (value: Value) => Made | undefined,
  made: WeakMap<object, readonly Made[]>,
): readonly Made[] {
  const ofChunk = (values: Iterable<Value | undefined>): readonly Made[] => {
    const list: Made[] = []
    for (const value of values) {
      const one = value === undefined ? undefined : make(value)
      if (one !== undefined) list.push(one)
    }
    return list
  }
  if (!(map instanceof KeptMap)) return ofChunk(map.values())
  const lists: (readonly Made[])[] = []
  for (const chunk of map.chunks as readonly Chunk<Value>[]) {
    const list = made.get(chunk) ?? ofChunk(chunk)
    made.set(chunk, list)
    lists.push(list)
  }
  // One copy of all, by the engine itself.
  return ([] as Made[]).concat(...lists)
}

function chunked<Key, Value extends object>(map: ReadonlyMap<Key, Value>): KeptMap<Key, Value> {
  const keys = [...map.keys()]
  const values = [...map.values()]
  const chunks: Chunk<Value>[] = []
  for (let from = 0; from < values.length; from += chunkSize) {
    const chunk: (Value | undefined)[] = values.slice(from, from + chunkSize)
    while (chunk.length < chunkSize) chunk.push(undefined)
    chunks.push(chunk)
  }
  return new KeptMap({ byKey: new Map(keys.map((key, place) => [key, place])), keys }, chunks, keys.length)
}
