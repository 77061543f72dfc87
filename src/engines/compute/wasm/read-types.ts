import type { ByteReader } from './byte-reader.ts'
import { fail } from './module-fault.ts'
import type { DefinedType, Limits, Memory, Table } from './module-shape.ts'

/** Core specification §5.3: one byte for each value and abstract heap type. */
const typeNames: Record<number, string> = {
  127: 'i32',
  126: 'i64',
  125: 'f32',
  124: 'f64',
  123: 'v128',
  120: 'i8',
  119: 'i16',
  116: 'nullexnref',
  115: 'nullfuncref',
  114: 'nullexternref',
  113: 'nullref',
  112: 'funcref',
  111: 'externref',
  110: 'anyref',
  109: 'eqref',
  108: 'i31ref',
  107: 'structref',
  106: 'arrayref',
  105: 'exnref',
}

/** A value type by the name that the text format gives it; references to defined types as `(ref null 5)`. */
export function readValueType(reader: ByteReader): string {
  const start = reader.at
  const first = reader.byte()
  if (first === 0x63 || first === 0x64) return `(ref ${first === 0x63 ? 'null ' : ''}${readHeapType(reader)})`
  return typeNames[first] ?? fail('malformed', start, `Value type 0x${first.toString(16)} is not known.`)
}

function readHeapType(reader: ByteReader): string {
  const start = reader.at
  const first = reader.bytes[start] ?? 0
  reader.skipInteger(5)
  if (reader.at === start + 1 && first >= 0x40)
    return typeNames[first] ?? fail('malformed', start, `Heap type 0x${first.toString(16)} is not known.`)
  let index = 0
  for (let at = reader.at - 1; at >= start; at--) index = index * 128 + (reader.bytes[at]! & 0x7f)
  return String(index)
}

function readTypes(reader: ByteReader): string[] {
  const types: string[] = []
  for (let left = reader.count('types'); left > 0; left--) types.push(readValueType(reader))
  return types
}

/** §5.5.4: a function type, or a group (0x4e) of types that may name each other. */
export function readTypeGroup(reader: ByteReader, into: DefinedType[]): void {
  if (reader.bytes[reader.at] !== 0x4e || reader.at >= reader.end) {
    into.push(readDefinedType(reader))
    return
  }
  reader.skip(1)
  for (let left = reader.count('types'); left > 0; left--) into.push(readDefinedType(reader))
}

function readDefinedType(reader: ByteReader): DefinedType {
  let start = reader.at
  let form = reader.byte()
  if (form === 0x50 || form === 0x4f) {
    for (let left = reader.count('supertypes'); left > 0; left--) reader.u32()
    start = reader.at
    form = reader.byte()
  }
  if (form === 0x60) return { kind: 'func', params: readTypes(reader), results: readTypes(reader) }
  if (form === 0x5e) {
    skipField(reader)
    return { kind: 'array' }
  }
  if (form !== 0x5f) return fail('malformed', start, `Type form 0x${form.toString(16)} is not known.`)
  for (let left = reader.count('fields'); left > 0; left--) skipField(reader)
  return { kind: 'struct' }
}

function skipField(reader: ByteReader): void {
  readValueType(reader)
  readMutability(reader)
}

export function readMutability(reader: ByteReader): boolean {
  const flag = reader.byte()
  if (flag > 1) fail('malformed', reader.at - 1, 'A mutability is neither 0 nor 1.')
  return flag === 1
}

/** §5.3.9: bit 0 a maximum, bit 1 shared, bit 2 addresses of 64 bits, bit 3 pages of another size. */
function readLimits(reader: ByteReader, flags: number): Limits {
  const minimum = reader.u64()
  const maximum = (flags & 1) === 0 ? undefined : reader.u64()
  return { minimum, maximum, shared: (flags & 2) !== 0, addresses64: (flags & 4) !== 0 }
}

export function readMemory(reader: ByteReader): Memory {
  const flags = reader.byte()
  if (flags > 15) fail('malformed', reader.at - 1, `Memory flags 0x${flags.toString(16)} are not known.`)
  const limits = readLimits(reader, flags)
  const power = (flags & 8) === 0 ? 16 : reader.u32()
  if (power > 16) fail('malformed', reader.at - 1, 'A page size is above 64 KiB.')
  return { limits, pageBytes: 2 ** power }
}

/** The type and limits of a table, as an import or a definition without first value has them. */
export function readTableType(reader: ByteReader): Table {
  const type = readValueType(reader)
  const flags = reader.byte()
  if (flags > 7) fail('malformed', reader.at - 1, `Table flags 0x${flags.toString(16)} are not known.`)
  return { type, limits: readLimits(reader, flags), initialised: false }
}
