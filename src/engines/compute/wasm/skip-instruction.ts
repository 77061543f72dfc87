import type { ByteReader } from './byte-reader.ts'
import { fail } from './module-fault.ts'
import { afterFb, afterFc, afterFd, afterFe, immediate, oneByte } from './opcodes.ts'

const prefixed: Record<number, Uint8Array> = { 251: afterFb, 252: afterFc, 253: afterFd, 254: afterFe }

const fixedLengths = new Uint8Array(256)
fixedLengths[immediate.f32] = 4
fixedLengths[immediate.f64] = 8
fixedLengths[immediate.v128] = 16
fixedLengths[immediate.lane] = 1

/**
 * Moves behind one instruction and tells which it was: its byte, or prefix * 0x1000 + its number after a prefix. Fails
 * with `unknown-opcode` where its length cannot be known.
 */
export function skipInstruction(reader: ByteReader): number {
  const start = reader.at
  const first = reader.byte()
  const kind = oneByte[first]!
  if (kind === immediate.none) return first
  if (kind === immediate.index) {
    reader.u32()
    return first
  }
  if (kind !== immediate.prefix) {
    skipImmediate(reader, kind, start, first)
    return first
  }
  const second = reader.u32()
  const code = first * 0x1000 + (second & 0xfff)
  skipImmediate(reader, prefixed[first]![second] ?? immediate.unknown, start, code)
  return code
}

function skipImmediate(reader: ByteReader, kind: number, start: number, code: number): void {
  const length = fixedLengths[kind]!
  if (length > 0) reader.skip(length)
  else if (kind === immediate.memory) skipMemory(reader)
  else if (kind === immediate.blockType) skipValueType(reader)
  else if (kind === immediate.i32 || kind === immediate.heapType) reader.skipInteger(5)
  else if (kind === immediate.i64) reader.skipInteger(10)
  else if (kind === immediate.index) reader.u32()
  else if (kind === immediate.twoIndices) {
    reader.u32()
    reader.u32()
  } else if (kind === immediate.memoryLane) {
    skipMemory(reader)
    reader.skip(1)
  } else if (kind !== immediate.none) skipList(reader, kind, start, code)
}

function skipList(reader: ByteReader, kind: number, start: number, code: number): void {
  if (kind === immediate.branchTable) {
    for (let left = reader.count('branches'); left >= 0; left--) reader.u32()
  } else if (kind === immediate.valueTypes) {
    for (let left = reader.count('types'); left > 0; left--) skipValueType(reader)
  } else if (kind === immediate.tryTable) {
    skipValueType(reader)
    for (let left = reader.count('catches'); left > 0; left--) skipCatch(reader)
  } else if (kind === immediate.castBranch) {
    reader.skip(1)
    reader.u32()
    reader.skipInteger(5)
    reader.skipInteger(5)
  } else fail('unknown-opcode', start, `Instruction 0x${code.toString(16)} is not known.`)
}

/** §5.4.6: bit 6 of the alignment says that the number of a memory follows. Offsets may have 64 bits. */
function skipMemory(reader: ByteReader): void {
  if ((reader.u32() & 0x40) !== 0) reader.u32()
  reader.skipInteger(10)
}

/** §5.3.5: 0x63 and 0x64 are references to a heap type that follows; block types are one of these or an index. */
function skipValueType(reader: ByteReader): void {
  const first = reader.bytes[reader.at]
  if (first === 0x63 || first === 0x64) reader.at++
  reader.skipInteger(5)
}

function skipCatch(reader: ByteReader): void {
  const start = reader.at
  const kind = reader.byte()
  if (kind > 3) fail('malformed', start, `A catch of kind ${kind} is not known.`)
  if (kind < 2) reader.u32()
  reader.u32()
}
