import type { ByteReader } from './byte-reader.ts'
import { fail } from './module-fault.ts'
import type { DataSegment, ElementSegment } from './module-shape.ts'
import { opcode } from './opcodes.ts'
import { readValueType } from './read-types.ts'
import { skipInstruction } from './skip-instruction.ts'

/** Moves behind a constant expression and its `end`. What it computes is for the engine to check. */
export function skipExpression(reader: ByteReader): void {
  while (skipInstruction(reader) !== opcode.end);
}

/** Core specification §5.5.12: bit 0 not active, bit 1 a table or declared, bit 2 expressions instead of functions. */
export function readElementSegment(reader: ByteReader): ElementSegment {
  const start = reader.at
  const flags = reader.u32()
  if (flags > 7) fail('malformed', start, `Element segment flags ${flags} are not known.`)
  const active = (flags & 1) === 0
  const table = active && (flags & 2) !== 0 ? reader.u32() : 0
  if (active) skipExpression(reader)
  const expressions = (flags & 4) !== 0
  if ((flags & 3) !== 0) {
    if (expressions) readValueType(reader)
    else reader.skip(1)
  }
  const count = reader.count('elements')
  for (let left = count; left > 0; left--) {
    if (expressions) skipExpression(reader)
    else reader.u32()
  }
  return { mode: active ? 'active' : (flags & 2) === 0 ? 'passive' : 'declared', table, count }
}

/** §5.5.14. */
export function readDataSegment(reader: ByteReader): DataSegment {
  const at = reader.at
  const flags = reader.u32()
  if (flags > 2) fail('malformed', at, `Data segment flags ${flags} are not known.`)
  const memory = flags === 2 ? reader.u32() : 0
  if (flags !== 1) skipExpression(reader)
  const size = reader.u32()
  const start = reader.at
  reader.skip(size)
  return { mode: flags === 1 ? 'passive' : 'active', memory, start, end: reader.at }
}
