import { ByteReader } from './byte-reader.ts'
import { fail, faultsAsValues, type Outcome } from './module-fault.ts'
import type { WasmModule } from './module-shape.ts'
import { opcode } from './opcodes.ts'
import { readValueType } from './read-types.ts'
import { skipInstruction } from './skip-instruction.ts'

/** What code may do besides computing, of interest to resetting and metering. */
export type CodeUse = 'table-write' | 'element-drop' | 'data-segment' | 'memory-grow'

/** What the instructions of a module do, function by function (defined ones, in order). Offsets are of the module. */
export interface CodeScan {
  /** First place of each use that occurs. */
  readonly uses: ReadonlyMap<CodeUse, number>
  /** Where the instructions of each function begin, its locals left out. */
  readonly entries: Uint32Array
  /** How many instructions each function has. */
  readonly sizes: Uint32Array
  /** 1 where a function calls through a table or a reference, so that nobody knows what. */
  readonly indirect: Uint8Array
  /** The functions called directly, one after the other as the code names them, imported ones left out. */
  readonly callees: Uint32Array
  /** `callees[calleesFrom[f]]` is the first of function f; one more entry ends the last. Both count defined functions. */
  readonly calleesFrom: Uint32Array
  /** Behind each loop's header and before each bulk operation, ascending. */
  readonly stops: Uint32Array
  /** `stops[stopsFrom[f]]` is the first of function f; one more entry ends the last. */
  readonly stopsFrom: Uint32Array
}

/** Instructions behind a prefix, as `skipInstruction` numbers them. */
const uses: ReadonlyMap<number, CodeUse> = new Map([
  [opcode.tableSet, 'table-write'],
  [opcode.memoryGrow, 'memory-grow'],
  [0xfb009, 'data-segment'], // array.new_data
  [0xfb012, 'data-segment'], // array.init_data
  [0xfc008, 'data-segment'], // memory.init
  [0xfc009, 'data-segment'], // data.drop
  [0xfc00c, 'table-write'], // table.init
  [0xfc00d, 'element-drop'], // elem.drop
  [0xfc00e, 'table-write'], // table.copy
  [0xfc00f, 'table-write'], // table.grow
  [0xfc011, 'table-write'], // table.fill
])

/** Their time grows with a number that the program chooses. */
const bulk: ReadonlySet<number> = new Set([
  opcode.memoryGrow,
  ...[0xfb006, 0xfb007, 0xfb009, 0xfb00a, 0xfb010, 0xfb011, 0xfb012, 0xfb013],
  ...[0xfc008, 0xfc00a, 0xfc00b, 0xfc00c, 0xfc00e, 0xfc00f, 0xfc011],
])

/** What to do at an instruction of one byte: nothing, mostly. */
const action = new Uint8Array(256)
action[opcode.loop] = 1
for (const code of [opcode.call, opcode.returnCall]) action[code] = 2
for (const code of [opcode.tableSet, opcode.memoryGrow]) action[code] = 3
for (const code of [opcode.callIndirect, opcode.callRef, opcode.returnCallIndirect, opcode.returnCallRef])
  action[code] = 4

interface Progress {
  readonly uses: Map<CodeUse, number>
  readonly stops: number[]
  readonly callees: number[]
  /** Of the function being read. */
  size: number
  indirect: number
}

/**
 * Reads every instruction once. A fault `unknown-opcode` means that this module can be neither reset nor metered; an
 * engine may know it all the same.
 */
export function scanCode(module: WasmModule): Outcome<CodeScan> {
  return faultsAsValues(() => {
    const count = module.functions.length
    const entries = new Uint32Array(count)
    const sizes = new Uint32Array(count)
    const indirect = new Uint8Array(count)
    const stopsFrom = new Uint32Array(count + 1)
    const calleesFrom = new Uint32Array(count + 1)
    const progress: Progress = { uses: new Map(), stops: [], callees: [], size: 0, indirect: 0 }
    for (let index = 0; index < count; index++) {
      const reader = new ByteReader(module.bytes, module.bodies[index * 2]!, module.bodies[index * 2 + 1]!)
      skipLocals(reader)
      entries[index] = reader.at
      scanBody(reader, module.importedFunctions, progress)
      sizes[index] = progress.size
      indirect[index] = progress.indirect
      stopsFrom[index + 1] = progress.stops.length
      calleesFrom[index + 1] = progress.callees.length
    }
    const stops = Uint32Array.from(progress.stops)
    const callees = Uint32Array.from(progress.callees)
    return { uses: progress.uses, entries, sizes, indirect, callees, calleesFrom, stops, stopsFrom }
  })
}

function skipLocals(reader: ByteReader): void {
  for (let left = reader.count('locals'); left > 0; left--) {
    reader.u32()
    readValueType(reader)
  }
}

function scanBody(reader: ByteReader, importedFunctions: number, progress: Progress): void {
  let code = -1
  progress.size = 0
  progress.indirect = 0
  while (reader.at < reader.end) {
    const start = reader.at
    code = skipInstruction(reader)
    progress.size++
    const what = code < 256 ? action[code]! : 3
    if (what === 0) continue
    if (what === 1) progress.stops.push(reader.at)
    else if (what === 4) progress.indirect = 1
    else if (what === 3) noteUse(code, start, progress)
    else {
      reader.at = start + 1
      const callee = reader.u32() - importedFunctions
      if (callee >= 0) progress.callees.push(callee)
    }
  }
  if (code !== opcode.end) fail('malformed', reader.end, 'A function does not end with the instruction `end`.')
}

function noteUse(code: number, start: number, progress: Progress): void {
  const use = uses.get(code)
  if (use !== undefined && !progress.uses.has(use)) progress.uses.set(use, start)
  if (bulk.has(code)) progress.stops.push(start)
}
