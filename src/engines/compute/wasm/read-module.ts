import { ByteReader } from './byte-reader.ts'
import { fail, faultsAsValues, type Outcome } from './module-fault.ts'
import {
  type DataSegment,
  type DefinedType,
  type ElementSegment,
  type Export,
  type ExternalKind,
  type Global,
  type Import,
  type Memory,
  type Section,
  sectionId,
  sectionOrder,
  type Table,
  type WasmModule,
} from './module-shape.ts'
import { readCustomSections } from './read-custom.ts'
import { readDataSegment, readElementSegment, skipExpression } from './read-segments.ts'
import { readMemory, readMutability, readTableType, readTypeGroup, readValueType } from './read-types.ts'

const kinds: readonly ExternalKind[] = ['func', 'table', 'memory', 'global', 'tag']

/** What the sections add, one after the other. */
interface Draft {
  types: DefinedType[]
  imports: Import[]
  functions: number[]
  bodies: Uint32Array
  tables: Table[]
  memories: Memory[]
  tags: number
  globals: Global[]
  exports: Export[]
  start: number | undefined
  elements: ElementSegment[]
  data: DataSegment[]
  dataCount: number | undefined
}

/**
 * The structure of a core module (core specification §5.5). Instructions are neither read nor checked here, and types not
 * compared: `WebAssembly.compile` does that. A component is refused by name.
 */
export function readModule(bytes: Uint8Array): Outcome<WasmModule> {
  return faultsAsValues(() => {
    checkPreamble(bytes)
    const sections = readSections(bytes)
    const draft: Draft = {
      types: [],
      imports: [],
      functions: [],
      bodies: new Uint32Array(0),
      tables: [],
      memories: [],
      tags: 0,
      globals: [],
      exports: [],
      start: undefined,
      elements: [],
      data: [],
      dataCount: undefined,
    }
    for (const section of sections) if (section.id !== sectionId.custom) readSection(bytes, section, draft)
    if (draft.bodies.length !== draft.functions.length * 2)
      fail('malformed', 0, `${draft.functions.length} functions are declared, ${draft.bodies.length / 2} have code.`)
    const importedFunctions = draft.imports.filter((entry) => entry.kind === 'func').length
    return { bytes, sections, importedFunctions, ...draft, ...readCustomSections(bytes, sections) }
  })
}

function checkPreamble(bytes: Uint8Array): void {
  if (bytes.length >= 0xffff_ffff) fail('too-large', 0, 'The module is larger than 4 GiB.')
  const magic = [0x00, 0x61, 0x73, 0x6d]
  if (magic.some((byte, at) => bytes[at] !== byte))
    fail('not-wasm', 0, 'This is no WebAssembly: its first bytes differ.')
  if (bytes.length < 8) fail('truncated', bytes.length, 'The module ends inside its preamble.')
  if (bytes[6] === 1 && bytes[7] === 0)
    fail('component', 4, 'This is a WebAssembly component; a core module is needed. Build for wasm32-wasip1.')
  if (bytes[4] !== 1 || bytes[5] !== 0 || bytes[6] !== 0 || bytes[7] !== 0)
    fail('unsupported', 4, 'The WebAssembly version is not 1.')
}

function readSections(bytes: Uint8Array): Section[] {
  const sections: Section[] = []
  const reader = new ByteReader(bytes, 8, bytes.length)
  let reached = -1
  while (reader.at < reader.end) {
    const start = reader.at
    const id = reader.byte()
    const size = reader.u32()
    const content = reader.at
    reader.skip(size)
    if (id === sectionId.custom) {
      sections.push({ id, start, content, end: reader.at, name: new ByteReader(bytes, content, reader.at).name() })
      continue
    }
    const place = sectionOrder.indexOf(id)
    if (place < 0) fail('malformed', start, `Section ${id} is not known.`)
    if (place <= reached) fail('malformed', start, `Section ${id} stands twice or out of order.`)
    reached = place
    sections.push({ id, start, content, end: reader.at })
  }
  return sections
}

function readSection(bytes: Uint8Array, section: Section, draft: Draft): void {
  const reader = new ByteReader(bytes, section.content, section.end)
  if (section.id === sectionId.start) draft.start = reader.u32()
  else if (section.id === sectionId.dataCount) draft.dataCount = reader.u32()
  else if (section.id === sectionId.code) draft.bodies = readBodies(reader)
  else {
    const read = entries[section.id]!
    for (let left = reader.count('entries'); left > 0; left--) read(reader, draft)
  }
  if (reader.at !== section.end)
    fail(
      'malformed',
      reader.at,
      `Section ${section.id} is longer than its entries by ${section.end - reader.at} bytes.`,
    )
}

const entries: Record<number, (reader: ByteReader, draft: Draft) => void> = {
  [sectionId.type]: (reader, draft) => readTypeGroup(reader, draft.types),
  [sectionId.import]: (reader, draft) => draft.imports.push(readImport(reader)),
  [sectionId.function]: (reader, draft) => draft.functions.push(reader.u32()),
  [sectionId.table]: (reader, draft) => draft.tables.push(readTable(reader)),
  [sectionId.memory]: (reader, draft) => draft.memories.push(readMemory(reader)),
  [sectionId.tag]: (reader, draft) => {
    readTag(reader)
    draft.tags++
  },
  [sectionId.global]: (reader, draft) => draft.globals.push(readGlobal(reader)),
  [sectionId.export]: (reader, draft) =>
    draft.exports.push({ name: reader.name(), kind: readKind(reader), index: reader.u32() }),
  [sectionId.element]: (reader, draft) => draft.elements.push(readElementSegment(reader)),
  [sectionId.data]: (reader, draft) => draft.data.push(readDataSegment(reader)),
}

function readKind(reader: ByteReader): ExternalKind {
  const byte = reader.byte()
  return kinds[byte] ?? fail('malformed', reader.at - 1, `External kind ${byte} is not known.`)
}

function readImport(reader: ByteReader): Import {
  const module = reader.name()
  const name = reader.name()
  const kind = readKind(reader)
  switch (kind) {
    case 'func':
      return { module, name, kind, type: reader.u32() }
    case 'table':
      return { module, name, kind, ...readTableType(reader) }
    case 'memory':
      return { module, name, kind, ...readMemory(reader) }
    case 'global':
      return { module, name, kind, type: readValueType(reader), mutable: readMutability(reader) }
    case 'tag':
      return { module, name, kind, type: readTag(reader) }
  }
}

function readTag(reader: ByteReader): number {
  if (reader.byte() !== 0) fail('malformed', reader.at - 1, 'The attribute of a tag is not 0.')
  return reader.u32()
}

/** §5.5.7: 0x40 0x00 before a table whose first value is written out. */
function readTable(reader: ByteReader): Table {
  if (reader.bytes[reader.at] !== 0x40) return readTableType(reader)
  reader.skip(2)
  const table = readTableType(reader)
  skipExpression(reader)
  return { ...table, initialised: true }
}

function readGlobal(reader: ByteReader): Global {
  const start = reader.at
  const type = readValueType(reader)
  const mutable = readMutability(reader)
  const init = reader.at
  skipExpression(reader)
  return { type, mutable, start, init, end: reader.at }
}

function readBodies(reader: ByteReader): Uint32Array {
  const count = reader.count('functions')
  const bodies = new Uint32Array(count * 2)
  for (let at = 0; at < bodies.length; at += 2) {
    const size = reader.u32()
    bodies[at] = reader.at
    reader.skip(size)
    bodies[at + 1] = reader.at
  }
  return bodies
}
