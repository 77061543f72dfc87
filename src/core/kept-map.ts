/**
 * Maps that are never changed, of which the next one costs what differs: values lie in the leaves of a tree, and branches without
 * a change are those of the map before. So two maps are compared, and what was made of one is made of the next, by looking at
 * the branches that they do not share. Keys have a place each, which all that came of one map share. In order of first
 * insertion; a key that was removed and comes back may be where it was.
 */

const bits = 5
const width = 1 << bits

/** Of all maps that came of one: only ever grows. */
interface Places<Key> {
  readonly byKey: Map<Key, number>
  readonly keys: Key[]
}

/** Values at height 0, branches above. */
type Branch = readonly (object | undefined)[]

interface Tree<Key> {
  readonly places: Places<Key>
  readonly root: Branch
  /** Of the root. */
  readonly height: number
  readonly size: number
}

class KeptMap<Key, Value extends object> implements ReadonlyMap<Key, Value>, Tree<Key> {
  readonly places: Places<Key>
  readonly root: Branch
  readonly height: number
  readonly size: number

  constructor({ places, root, height, size }: Tree<Key>) {
    this.places = places
    this.root = root
    this.height = height
    this.size = size
  }

  get(key: Key): Value | undefined {
    return read(this.root, this.height, this.places.byKey.get(key)) as Value | undefined
  }

  has(key: Key): boolean {
    return this.get(key) !== undefined
  }

  *entries(): MapIterator<[Key, Value]> {
    const { keys } = this.places
    for (const [place, value] of leaves(this.root, this.height, 0)) yield [keys[place]!, value as Value]
  }

  *keys(): MapIterator<Key> {
    for (const [key] of this.entries()) yield key
  }

  *values(): MapIterator<Value> {
    for (const [, value] of leaves(this.root, this.height, 0)) yield value as Value
  }

  [Symbol.iterator](): MapIterator<[Key, Value]> {
    return this.entries()
  }

  forEach(visit: (value: Value, key: Key, map: ReadonlyMap<Key, Value>) => void): void {
    for (const [key, value] of this.entries()) visit(value, key, this)
  }
}

function read(root: Branch, height: number, place: number | undefined): object | undefined {
  if (place === undefined || place >> (bits * height) >= width) return undefined
  let branch: Branch | undefined = root
  for (let level = height; level > 0; level--) {
    branch = branch[(place >> (bits * level)) & (width - 1)] as Branch | undefined
    if (branch === undefined) return undefined
  }
  return branch[place & (width - 1)]
}

function* leaves(branch: Branch, height: number, first: number): Generator<[place: number, value: object]> {
  for (let index = 0; index < width; index++) {
    const below = branch[index]
    if (below === undefined) continue
    if (height === 0) yield [first + index, below]
    else yield* leaves(below as Branch, height - 1, (first + index) << bits)
  }
}

/** The map that comes of another. */
export interface Draft<Key, Value> {
  get(key: Key): Value | undefined
  set(key: Key, value: Value): void
  delete(key: Key): void
  /** To be called once, at the end; the same map where nothing became another. */
  kept(): ReadonlyMap<Key, Value>
}

/** Of a map that did not come of `alter` all is copied, once. */
export function alter<Key, Value extends object>(map: ReadonlyMap<Key, Value>): Draft<Key, Value> {
  const before = keep(map)
  const { places } = before
  let { root, height, size } = before
  /** Copies made here: nobody else has them. */
  const own = new Set<Branch>()

  function owned(branch: Branch | undefined): (object | undefined)[] {
    if (branch !== undefined && own.has(branch)) return branch as (object | undefined)[]
    const copy = branch === undefined ? new Array<undefined>(width).fill(undefined) : [...branch]
    own.add(copy)
    return copy
  }

  function write(place: number, value: Value | undefined): void {
    while (place >> (bits * height) >= width) {
      const above = owned(undefined)
      above[0] = root
      root = above
      height++
    }
    let branch = owned(root)
    root = branch
    for (let level = height; level > 0; level--) {
      const index = (place >> (bits * level)) & (width - 1)
      const below = owned(branch[index] as Branch | undefined)
      branch[index] = below
      branch = below
    }
    const index = place & (width - 1)
    if (branch[index] !== undefined) size--
    if (value !== undefined) size++
    branch[index] = value
  }

  const get = (key: Key) => read(root, height, places.byKey.get(key)) as Value | undefined
  return {
    get,
    set(key, value) {
      if (get(key) === value) return
      const place = places.byKey.get(key) ?? places.keys.push(key) - 1
      places.byKey.set(key, place)
      write(place, value)
    },
    delete(key) {
      if (get(key) !== undefined) write(places.byKey.get(key)!, undefined)
    },
    kept() {
      if (root === before.root) return before
      const made = new KeptMap<Key, Value>({ places, root, height, size })
      // Keys that went leave their places: half of them empty is too much.
      return places.keys.length > 2 * size + width ? planted(made) : made
    },
  }
}

/** The same content as a map of this kind; itself where it is one. */
export function keep<Key, Value extends object>(map: ReadonlyMap<Key, Value>): KeptMap<Key, Value> {
  return map instanceof KeptMap ? map : planted(map)
}

function planted<Key, Value extends object>(map: ReadonlyMap<Key, Value>): KeptMap<Key, Value> {
  const keys = [...map.keys()]
  let row: Branch[] = inBranches([...map.values()])
  let height = 0
  for (; row.length > 1; height++) row = inBranches(row)
  const places = { byKey: new Map(keys.map((key, place) => [key, place])), keys }
  return new KeptMap({ places, root: row[0]!, height, size: keys.length })
}

/** At least one, each of the full width. */
function inBranches(row: readonly object[]): Branch[] {
  const branches: Branch[] = []
  for (let from = 0; from === 0 || from < row.length; from += width) {
    const branch: (object | undefined)[] = row.slice(from, from + width)
    while (branch.length < width) branch.push(undefined)
    branches.push(branch)
  }
  return branches
}

export interface Difference<Key, Value> {
  readonly key: Key
  readonly before: Value | undefined
  readonly after: Value | undefined
}

/** Keys with other values. Where both maps came of one it costs what differs, else a look at all of both. */
export function differences<Key, Value extends object>(
  before: ReadonlyMap<Key, Value>,
  after: ReadonlyMap<Key, Value>,
): readonly Difference<Key, Value>[] {
  const found: Difference<Key, Value>[] = []
  if (before === after) return found
  if (before instanceof KeptMap && after instanceof KeptMap && before.places === after.places) {
    const { keys } = before.places as Places<Key>
    const height = Math.max(before.height, after.height)
    compare(raised(before, height), raised(after, height), height, 0, (place, one, other) =>
      found.push({ key: keys[place]!, before: one as Value | undefined, after: other as Value | undefined }),
    )
    return found
  }
  for (const [key, value] of before) {
    const now = after.get(key)
    if (now !== value) found.push({ key, before: value, after: now })
  }
  for (const [key, value] of after) if (!before.has(key)) found.push({ key, before: undefined, after: value })
  return found
}

/** The root of a tree as if it were as high. */
function raised({ root, height }: Tree<unknown>, wanted: number): Branch {
  let top = root
  for (let level = height; level < wanted; level++) top = [top]
  return top
}

type Tell = (place: number, before: object | undefined, after: object | undefined) => void

function compare(before: Branch, after: Branch, height: number, first: number, tell: Tell): void {
  for (let index = 0; index < width; index++) {
    const [one, other] = [before[index], after[index]]
    if (one === other) continue
    if (height === 0) tell(first + index, one, other)
    else compare((one ?? []) as Branch, (other ?? []) as Branch, height - 1, (first + index) << bits, tell)
  }
}

/** What was made of the branches of trees, for as long as these live. Of one `make` or one `of` each. */
export type Made = WeakMap<Branch, MadeBranch>

interface MadeBranch {
  /** Undefined where nothing is left. */
  readonly branch: Branch | undefined
  readonly size: number
}

/**
 * A map of what `make` makes of each value, without those of which it makes `undefined`. A branch is asked about once, as long
 * as `made` is the same; one of which nothing else is made is the same branch.
 */
export function mapped<Key, Value extends object, Other extends object>(
  map: ReadonlyMap<Key, Value>,
  make: (value: Value) => Other | undefined,
  made: Made,
): ReadonlyMap<Key, Other> {
  const tree = keep(map)

  function ofBranch(branch: Branch, height: number): MadeBranch {
    const known = made.get(branch)
    if (known !== undefined) return known
    let size = 0
    const others = branch.map((below) => {
      if (below === undefined) return undefined
      if (height > 0) {
        const other = ofBranch(below as Branch, height - 1)
        size += other.size
        return other.branch
      }
      const other = make(below as Value)
      if (other !== undefined) size++
      return other
    })
    const isSame = others.every((other, index) => other === branch[index])
    const found = { branch: size === 0 ? undefined : isSame ? branch : others, size }
    made.set(branch, found)
    return found
  }

  const { branch, size } = ofBranch(tree.root, tree.height)
  if (branch === tree.root) return tree as ReadonlyMap<unknown, object> as ReadonlyMap<Key, Other>
  return new KeptMap<Key, Other>({ ...tree, root: branch ?? nothing, size })
}

const nothing: Branch = new Array<undefined>(width).fill(undefined)

/** What `join` makes of what `of` makes of all values; a branch is asked about once, as long as `known` is the same. */
export function summaryOf<Value extends object, Sum>(
  map: ReadonlyMap<unknown, Value>,
  how: { readonly of: (value: Value) => Sum; readonly join: (one: Sum, other: Sum) => Sum; readonly none: Sum },
  known: WeakMap<object, { readonly sum: Sum }>,
): Sum {
  function ofBranch(branch: Branch, height: number): Sum {
    const found = known.get(branch)
    if (found !== undefined) return found.sum
    let sum = how.none
    for (const below of branch)
      if (below !== undefined)
        sum = how.join(sum, height === 0 ? how.of(below as Value) : ofBranch(below as Branch, height - 1))
    known.set(branch, { sum })
    return sum
  }
  const { root, height } = keep(map)
  return ofBranch(root, height)
}
