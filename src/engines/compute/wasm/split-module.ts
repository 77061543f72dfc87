import { createHash } from 'node:crypto'
import { ByteWriter } from './byte-writer.ts'
import { sectionId, type WasmModule } from './module-shape.ts'

/** A program's code without its first state, which is an image of memory and globals instead. */
export interface SplitModule {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** SHA-256 of `bytes`, hexadecimal: programs built with one version of one SDK have the same. */
  readonly key: string
}

/**
 * Takes from a metered module what its image replaces: data segments, the start function, the first values of mutable
 * numeric globals. `keptState` must be empty: nothing may refer to the segments.
 */
export function splitModule(module: WasmModule): SplitModule {
  const output = new ByteWriter(module.bytes.length)
  output.copy(module.bytes, 0, 8)
  for (const section of module.sections) {
    if (dropped.has(section.id)) continue
    if (section.id === sectionId.global) writeGlobals(output, module)
    else output.copy(module.bytes, section.start, section.end)
  }
  const bytes = output.done()
  return { bytes, key: createHash('sha256').update(bytes).digest('hex') }
}

const dropped: ReadonlySet<number> = new Set([sectionId.start, sectionId.dataCount, sectionId.data])

/** Constant expressions of 0, each with its `end`. */
const zero: Record<string, readonly number[]> = {
  i32: [0x41, 0, 0x0b],
  i64: [0x42, 0, 0x0b],
  f32: [0x43, 0, 0, 0, 0, 0x0b],
  f64: [0x44, 0, 0, 0, 0, 0, 0, 0, 0, 0x0b],
}

function writeGlobals(output: ByteWriter, module: WasmModule): void {
  const content = new ByteWriter(module.globals.length * 8)
  content.u32(module.globals.length)
  for (const { type, mutable, start, init, end } of module.globals) {
    const first = mutable ? zero[type] : undefined
    content.copy(module.bytes, start, first === undefined ? end : init)
    if (first !== undefined) content.copy(Uint8Array.from(first))
  }
  output.section(sectionId.global, content)
}
