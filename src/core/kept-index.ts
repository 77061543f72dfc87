/** Tables by another key than a map's own, made out of the table of the map before where that is known. */
import { alter, differences } from './kept-map.ts'

export interface KeptIndex<Value extends object> {
  /** The first value of the map that has this key. Makes the table of the whole map where it is not there. */
  find(map: ReadonlyMap<unknown, Value>, key: string): Value | undefined
  /** Makes the table of `after` out of that of `before`, if there is one: it costs what differs. */
  carry(before: ReadonlyMap<unknown, Value>, after: ReadonlyMap<unknown, Value>): void
}

interface Table<Value> {
  readonly byKey: ReadonlyMap<string, Value>
  /** Several values have one key: whose it is when one of them goes, the whole map says. */
  readonly isDoubled: boolean
}

export function createKeptIndex<Value extends object>(keysOf: (value: Value) => Iterable<string>): KeptIndex<Value> {
  const tables = new WeakMap<object, Table<Value>>()

  function made(from: ReadonlyMap<string, Value>, gone: readonly Value[], come: Iterable<Value>): Table<Value> {
    const draft = alter(from)
    let isDoubled = false
    for (const value of gone) for (const key of keysOf(value)) draft.delete(key)
    for (const value of come)
      for (const key of keysOf(value)) {
        const other = draft.get(key)
        if (other === undefined) draft.set(key, value)
        else isDoubled ||= other !== value
      }
    return { byKey: draft.kept(), isDoubled }
  }

  return {
    find(map, key) {
      const table = tables.get(map) ?? made(new Map(), [], map.values())
      tables.set(map, table)
      return table.byKey.get(key)
    },
    carry(before, after) {
      const known = tables.get(before)
      if (known === undefined || known.isDoubled || tables.has(after)) return
      const changed = differences(before, after)
      const gone = changed.flatMap((one) => one.before ?? [])
      const come = changed.flatMap((one) => one.after ?? [])
      tables.set(after, made(known.byKey, gone, come))
    },
  }
}
