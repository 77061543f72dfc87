/**
 * What Workflows keep of a program's values, as text: JSON where JSON holds them, `{"$": KIND, …}` where it does not. The
 * kinds are those of the structured clone algorithm that can be kept. `core/workflow-values.ts` shows them to people.
 */

type View = 'DataView' | 'Uint8Array'
type Plain = Record<string, unknown>

interface Tagged {
  readonly $: string
  readonly v: never
  readonly id: number
  readonly of: View
}

const noConstructor = (value: object) =>
  Object.getPrototypeOf(value) === Object.prototype || Object.getPrototypeOf(value) === null

/** Throws a `DataCloneError` for what cannot be kept: functions, symbols, streams, stubs, objects of classes. */
export function encodeValue(value: unknown): string {
  return JSON.stringify(createWriter(findShared(value))(value))
}

/** Only what `encodeValue` made, or `encodeJson` of `core/workflow-values.ts`. */
export function decodeValue(text: string): unknown {
  const known = new Map<number, unknown>()

  function read(held: unknown, id?: number): unknown {
    if (typeof held !== 'object' || held === null) return held
    if (Array.isArray(held)) {
      const items: unknown[] = []
      if (id !== undefined) known.set(id, items)
      for (const item of held) items.push(read(item))
      return items
    }
    if (Object.hasOwn(held, '$')) return readTagged(held as unknown as Tagged, id)
    return fill(Object.entries(held), id)
  }

  function fill(entries: readonly [string, unknown][], id?: number): Plain {
    const made: Plain = {}
    if (id !== undefined) known.set(id, made)
    for (const [name, item] of entries)
      Object.defineProperty(made, name, { value: read(item), enumerable: true, configurable: true, writable: true })
    return made
  }

  function readTagged({ $, v, of, id: number }: Tagged, id?: number): unknown {
    switch ($) {
      case 'ref':
        return known.get(number)
      case 'def':
        return read(v, number)
      case 'object':
        return fill(v, id)
      case 'map': {
        const made = new Map()
        if (id !== undefined) known.set(id, made)
        for (const [key, item] of v as [unknown, unknown][]) made.set(read(key), read(item))
        return made
      }
      case 'set': {
        const made = new Set()
        if (id !== undefined) known.set(id, made)
        for (const item of v as unknown[]) made.add(read(item))
        return made
      }
    }
    const made = readLeaf($, v, of)
    if (id !== undefined) known.set(id, made)
    return made
  }

  return read(JSON.parse(text))
}

function readLeaf(kind: string, v: never, of: View): unknown {
  switch (kind) {
    case 'undefined':
      return undefined
    case 'number':
      return Number(v)
    case 'bigint':
      return BigInt(v)
    case 'date':
      return new Date(v ?? Number.NaN)
    case 'regexp':
      return new RegExp(v[0], v[1])
    case 'error':
      return toError(v)
    case 'buffer':
      return bytesOf(v).buffer
    case 'view':
      return new (globalThis as unknown as Record<View, new (buffer: ArrayBufferLike) => object>)[of](bytesOf(v).buffer)
  }
  throw new TypeError(`A kept value is of an unknown kind: ${kind}.`)
}

/** An error again, with its name. */
export function toError({ name, message }: { readonly name: string; readonly message: string }): Error {
  const error = new Error(message)
  if (name !== error.name) Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true })
  return error
}

/** Objects that occur twice or contain themselves. */
function findShared(value: unknown): ReadonlySet<object> {
  const seen = new Set<object>()
  const shared = new Set<object>()
  function look(one: unknown): void {
    if (typeof one !== 'object' || one === null) return
    if (seen.has(one)) return void shared.add(one)
    seen.add(one)
    if (one instanceof Map) for (const [key, item] of one) void [look(key), look(item)]
    else if (one instanceof Set || Array.isArray(one)) for (const item of one) look(item)
    else if (noConstructor(one)) for (const item of Object.values(one)) look(item)
  }
  look(value)
  return shared
}

function createWriter(shared: ReadonlySet<object>): (value: unknown) => unknown {
  const numbers = new Map<object, number>()

  function write(value: unknown): unknown {
    if (typeof value !== 'object' || value === null) return writeSimple(value)
    if (!shared.has(value)) return writeObject(value)
    const known = numbers.get(value)
    if (known !== undefined) return { $: 'ref', id: known }
    const id = numbers.size
    numbers.set(value, id)
    return { $: 'def', id, v: writeObject(value) }
  }

  function writeObject(value: object): unknown {
    if (Array.isArray(value)) return Array.from(value, write)
    if (value instanceof Map) return { $: 'map', v: [...value].map(([key, item]) => [write(key), write(item)]) }
    if (value instanceof Set) return { $: 'set', v: [...value].map(write) }
    if (!noConstructor(value)) return writeLeaf(value)
    const entries = Object.entries(value).map(([name, item]) => [name, write(item)] as const)
    if (Object.hasOwn(value, '$') || Object.hasOwn(value, '__proto__')) return { $: 'object', v: entries }
    return Object.fromEntries(entries)
  }

  return write
}

function writeSimple(value: unknown): unknown {
  switch (typeof value) {
    case 'undefined':
      return { $: 'undefined' }
    case 'bigint':
      return { $: 'bigint', v: String(value) }
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
        ? value
        : { $: 'number', v: Object.is(value, -0) ? '-0' : String(value) }
    case 'string':
    case 'boolean':
      return value
    case 'object':
      return null
  }
  throw notKept(typeof value)
}

function writeLeaf(value: object): unknown {
  if (value instanceof Date) return { $: 'date', v: Number.isNaN(value.getTime()) ? null : value.getTime() }
  if (value instanceof RegExp) return { $: 'regexp', v: [value.source, value.flags] }
  if (value instanceof Error) return { $: 'error', v: { name: value.name, message: value.message } }
  if (value instanceof ArrayBuffer) return { $: 'buffer', v: textOf(new Uint8Array(value)) }
  if (ArrayBuffer.isView(value)) {
    const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    return { $: 'view', of: value.constructor.name, v: textOf(bytes) }
  }
  throw notKept(`object of type "${value.constructor.name}"`)
}

function notKept(what: string): Error {
  return toError({ name: 'DataCloneError', message: `Could not serialize ${what}.` })
}

/** The runtime's types do not know them yet. */
const textOf = (bytes: Uint8Array) => (bytes as unknown as { toBase64(): string }).toBase64()
const bytesOf = (text: string) =>
  (Uint8Array as unknown as { fromBase64(text: string): Uint8Array<ArrayBuffer> }).fromBase64(text)
