/**
 * Every instruction of WebAssembly 3.0 with threads and both forms of exceptions, by what follows its opcode
 * (core specification §5.4 and appendix A.7; threads proposal, "Binary Format"). A test holds this table against V8.
 */
export const immediate = {
  none: 0,
  blockType: 1,
  index: 2,
  twoIndices: 3,
  memory: 4,
  i32: 5,
  i64: 6,
  f32: 7,
  f64: 8,
  branchTable: 9,
  valueTypes: 10,
  heapType: 11,
  tryTable: 12,
  lane: 13,
  memoryLane: 14,
  v128: 15,
  castBranch: 16,
  prefix: 17,
  unknown: 255,
} as const

/** Opcodes that callers tell apart. */
export const opcode = {
  loop: 0x03,
  end: 0x0b,
  call: 0x10,
  callIndirect: 0x11,
  returnCall: 0x12,
  returnCallIndirect: 0x13,
  callRef: 0x14,
  returnCallRef: 0x15,
  tableSet: 0x26,
  memoryGrow: 0x40,
} as const

type Row = readonly [from: number, to: number, kind: number]

function table(size: number, rows: readonly Row[]): Uint8Array {
  const kinds = new Uint8Array(size).fill(immediate.unknown)
  for (const [from, to, kind] of rows) kinds.fill(kind, from, to + 1)
  return kinds
}

const { none, blockType, index, twoIndices, memory, heapType, lane, unknown } = immediate

/** Instructions of one byte. */
export const oneByte = table(256, [
  [0x00, 0x01, none],
  [0x02, 0x04, blockType],
  [0x05, 0x05, none],
  [0x06, 0x06, blockType],
  [0x07, 0x09, index],
  [0x0a, 0x0b, none],
  [0x0c, 0x0d, index],
  [0x0e, 0x0e, immediate.branchTable],
  [0x0f, 0x0f, none],
  [0x10, 0x10, index],
  [0x11, 0x11, twoIndices],
  [0x12, 0x12, index],
  [0x13, 0x13, twoIndices],
  [0x14, 0x15, index],
  [0x18, 0x18, index],
  [0x19, 0x1b, none],
  [0x1c, 0x1c, immediate.valueTypes],
  [0x1f, 0x1f, immediate.tryTable],
  [0x20, 0x26, index],
  [0x28, 0x3e, memory],
  [0x3f, 0x40, index],
  [0x41, 0x41, immediate.i32],
  [0x42, 0x42, immediate.i64],
  [0x43, 0x43, immediate.f32],
  [0x44, 0x44, immediate.f64],
  [0x45, 0xc4, none],
  [0xd0, 0xd0, heapType],
  [0xd1, 0xd1, none],
  [0xd2, 0xd2, index],
  [0xd3, 0xd4, none],
  [0xd5, 0xd6, index],
  [0xfb, 0xfe, immediate.prefix],
])

/** Garbage-collected objects, 0xfb. */
export const afterFb = table(31, [
  [0, 1, index],
  [2, 5, twoIndices],
  [6, 7, index],
  [8, 10, twoIndices],
  [11, 14, index],
  [15, 15, none],
  [16, 16, index],
  [17, 19, twoIndices],
  [20, 23, heapType],
  [24, 25, immediate.castBranch],
  [26, 30, none],
])

/** Saturating conversions and bulk operations, 0xfc. */
export const afterFc = table(18, [
  [0, 7, none],
  [8, 8, twoIndices],
  [9, 9, index],
  [10, 10, twoIndices],
  [11, 11, index],
  [12, 12, twoIndices],
  [13, 13, index],
  [14, 14, twoIndices],
  [15, 17, index],
])

const vectorHoles = [
  0x9a, 0xa2, 0xa5, 0xa6, 0xaf, 0xb0, 0xb2, 0xb3, 0xb4, 0xbb, 0xc2, 0xc5, 0xc6, 0xcf, 0xd0, 0xd2, 0xd3, 0xd4, 0xe2,
  0xee,
]

/** Vectors and relaxed vectors, 0xfd. */
export const afterFd = table(0x114, [
  [0x00, 0x0b, memory],
  [0x0c, 0x0d, immediate.v128],
  [0x0e, 0x14, none],
  [0x15, 0x22, lane],
  [0x23, 0x53, none],
  [0x54, 0x5b, immediate.memoryLane],
  [0x5c, 0x5d, memory],
  [0x5e, 0x113, none],
  ...vectorHoles.map((hole): Row => [hole, hole, unknown]),
])

/** Atomics, 0xfe. */
export const afterFe = table(0x4f, [
  [0x00, 0x02, memory],
  [0x03, 0x03, lane],
  [0x10, 0x4e, memory],
])
