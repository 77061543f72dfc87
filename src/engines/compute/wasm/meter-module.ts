import { ByteWriter, u32Length } from './byte-writer.ts'
import { chooseChecks } from './choose-checks.ts'
import { fail, faultsAsValues, type Outcome } from './module-fault.ts'
import { type Memory, sectionId, sectionOrder, type WasmModule } from './module-shape.ts'
import type { CodeScan } from './scan-code.ts'

/** The names under which a metered module imports its own memory and the word that stops it. */
export const meterImports = { module: 'rimward', memory: 'memory', stop: 'stop' } as const

export interface MeteredModule {
  readonly bytes: Uint8Array<ArrayBuffer>
  /** What `new WebAssembly.Memory` must be given for `rimward.memory`; absent where the module has none. */
  readonly memory: { readonly initial: number; readonly maximum: number } | undefined
  /** Names under which the mutable globals of number types are exported, in the order of their indices. */
  readonly globals: readonly string[]
  readonly checks: number
}

/**
 * The same module, stoppable from another thread: each loop and each function that may take long first looks at a word of
 * shared memory and traps where it is not 0. The memory that the module defines becomes an import too, so that it stays
 * memory 0 and no instruction changes; function indices stay. It must be valid already: what it may not name it could
 * name afterwards. Mutable globals are exported, so that they can be put back.
 * Custom sections that speak of offsets in code are left out.
 */
export function meterModule(module: WasmModule, scan: CodeScan, maximumPages: number): Outcome<MeteredModule> {
  return faultsAsValues(() => {
    const check = checkFor(module)
    const own = ownMemory(module)
    const memory = own === undefined ? undefined : cappedLimits(own, maximumPages)
    const output = new ByteWriter(module.bytes.length + (scan.stops.length + scan.entries.length) * check.length + 1024)
    output.copy(module.bytes, 0, 8)
    const globals = globalExports(module)
    let checks = 0
    const ours: Record<number, () => void> = {
      [sectionId.import]: () => writeImports(output, module, memory?.initial, maximumPages),
      [sectionId.memory]: () => {},
      [sectionId.export]: () => writeExports(output, module, globals),
      [sectionId.code]: () => {
        checks = writeCode(output, module, scan, check)
      },
    }
    const missing = [sectionId.import, sectionId.export].filter((id) => !module.sections.some((one) => one.id === id))
    for (const section of module.sections) {
      while (missing.length > 0 && comesBefore(missing[0]!, section.id)) ours[missing.shift()!]!()
      if (section.id in ours) ours[section.id]!()
      else if (section.name === undefined || keptSections.has(section.name))
        output.copy(module.bytes, section.start, section.end)
    }
    for (const id of missing) ours[id]!()
    return { bytes: output.done(), memory, globals: globals.map((one) => one.name), checks }
  })
}

function comesBefore(id: number, other: number): boolean {
  return other !== sectionId.custom && sectionOrder.indexOf(id) < sectionOrder.indexOf(other)
}

/** They hold no offsets of code, unlike debugging information and branch hints. */
const keptSections: ReadonlySet<string> = new Set(['name', 'producers', 'target_features'])

/**
 * `if (word 0 of the last memory) unreachable`. A plain load, cheaper than an atomic one: V8 never merges loads of
 * a WebAssembly memory nor moves them out of loops (`NotLoadEliminable` in its turboshaft-graph-interface.cc). The tests
 * stop loops of several shapes as both of its compilers make them.
 */
function checkFor(module: WasmModule): Uint8Array {
  const stop = module.memories.length
  return Uint8Array.of(0x41, 0x00, 0x28, 0x42, stop, 0x00, 0x04, 0x40, 0x00, 0x0b)
}

function ownMemory(module: WasmModule): Memory | undefined {
  if (module.imports.some((entry) => entry.kind === 'memory')) fail('unsupported', 0, 'The module imports a memory.')
  if (module.memories.length > 1) fail('unsupported', 0, 'The module has more than one memory.')
  const memory = module.memories[0]
  if (memory === undefined) return undefined
  const { shared, addresses64 } = memory.limits
  if (shared) fail('unsupported', 0, 'The memory of the module is shared between threads.')
  if (addresses64) fail('unsupported', 0, 'The memory of the module has addresses of 64 bits.')
  if (memory.pageBytes !== 65_536)
    fail('unsupported', 0, 'The memory of the module has pages of another size than 64 KiB.')
  return memory
}

function cappedLimits(memory: Memory, maximumPages: number): { initial: number; maximum: number } {
  const { minimum, maximum } = memory.limits
  if (minimum > maximumPages)
    fail(
      'memory-too-large',
      0,
      `The module asks for ${minimum} pages of memory at its start; ${maximumPages} are granted.`,
    )
  return { initial: minimum, maximum: Math.min(maximum ?? maximumPages, maximumPages) }
}

/**
 * The import asks for 0, 1, 16 or 256 pages, not above what the module declared: programs of one SDK, which differ in the
 * size of their memory (117 to 160 pages, say), then have the same bytes, and the compiler still knows that low addresses
 * are within.
 */
function writeImports(output: ByteWriter, module: WasmModule, initial: number | undefined, maximumPages: number): void {
  const content = new ByteWriter(1024)
  content.u32(module.imports.length + (initial === undefined ? 1 : 2))
  const section = module.sections.find((entry) => entry.id === sectionId.import)
  if (section !== undefined)
    content.copy(module.bytes, section.content + countLength(module, section.content), section.end)
  if (initial !== undefined) {
    content.name(meterImports.module)
    content.name(meterImports.memory)
    content.copy(Uint8Array.of(2, 1))
    content.u32(initial < 16 ? Math.min(initial, 1) : initial < 256 ? 16 : 256)
    content.u32(maximumPages)
  }
  content.name(meterImports.module)
  content.name(meterImports.stop)
  content.copy(Uint8Array.of(2, 3, 1, 1))
  output.section(sectionId.import, content)
}

/** No export of the module begins with the prefix that is chosen. */
function globalExports(module: WasmModule): { readonly name: string; readonly index: number }[] {
  let prefix = 'rimward:global'
  while (module.exports.some((one) => one.name.startsWith(prefix))) prefix += '+'
  const imported = module.imports.filter((entry) => entry.kind === 'global').length
  return module.globals.flatMap((global, at) =>
    global.mutable && isNumber(global.type) ? [{ name: `${prefix}:${imported + at}`, index: imported + at }] : [],
  )
}

/** What JavaScript can read and write without loss, but for the payload of a NaN. */
export function isNumber(type: string): boolean {
  return type === 'i32' || type === 'i64' || type === 'f32' || type === 'f64'
}

function writeExports(
  output: ByteWriter,
  module: WasmModule,
  globals: readonly { readonly name: string; readonly index: number }[],
): void {
  const content = new ByteWriter(256)
  content.u32(module.exports.length + globals.length)
  const section = module.sections.find((entry) => entry.id === sectionId.export)
  if (section !== undefined)
    content.copy(module.bytes, section.content + countLength(module, section.content), section.end)
  for (const { name, index } of globals) {
    content.name(name)
    content.byte(3)
    content.u32(index)
  }
  output.section(sectionId.export, content)
}

/** A count may be written with more bytes than it needs, as linkers do. */
function countLength(module: WasmModule, at: number): number {
  let length = 1
  while (module.bytes[at + length - 1]! >= 0x80) length++
  return length
}

function writeCode(output: ByteWriter, module: WasmModule, scan: CodeScan, check: Uint8Array): number {
  const count = module.functions.length
  const atEntry = chooseChecks(scan)
  const sizes = new Uint32Array(count)
  let size = u32Length(count)
  let checks = 0
  for (let index = 0; index < count; index++) {
    const inBody = scan.stopsFrom[index + 1]! - scan.stopsFrom[index]! + atEntry[index]!
    checks += inBody
    sizes[index] = module.bodies[index * 2 + 1]! - module.bodies[index * 2]! + inBody * check.length
    size += u32Length(sizes[index]!) + sizes[index]!
  }
  output.byte(sectionId.code)
  output.u32(size)
  output.u32(count)
  for (let index = 0; index < count; index++) {
    output.u32(sizes[index]!)
    let at = module.bodies[index * 2]!
    if (atEntry[index] === 1) {
      output.copy(module.bytes, at, scan.entries[index]!)
      output.copy(check)
      at = scan.entries[index]!
    }
    for (let stop = scan.stopsFrom[index]!; stop < scan.stopsFrom[index + 1]!; stop++) {
      output.copy(module.bytes, at, scan.stops[stop]!)
      output.copy(check)
      at = scan.stops[stop]!
    }
    output.copy(module.bytes, at, module.bodies[index * 2 + 1]!)
  }
  return checks
}
