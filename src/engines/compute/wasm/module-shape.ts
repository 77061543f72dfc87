/** What is known of a core module after `readModule`. Offsets count from the first byte of the module. */
export interface WasmModule {
  readonly bytes: Uint8Array
  readonly sections: readonly Section[]
  readonly types: readonly DefinedType[]
  readonly imports: readonly Import[]
  readonly importedFunctions: number
  /** The type index of each function that the module defines; the imported ones come before them in the index space. */
  readonly functions: readonly number[]
  /** Where the bodies of these functions lie, sizes left out: start and end in turn. */
  readonly bodies: Uint32Array
  readonly tables: readonly Table[]
  readonly memories: readonly Memory[]
  readonly tags: number
  readonly globals: readonly Global[]
  readonly exports: readonly Export[]
  readonly start: number | undefined
  readonly elements: readonly ElementSegment[]
  readonly data: readonly DataSegment[]
  readonly dataCount: number | undefined
  /** From the custom section `name`, if it is there and can be read. */
  readonly moduleName: string | undefined
  /** From the custom section `producers`: field (`language`, `processed-by`, `sdk`) → `name version`. */
  readonly producers: ReadonlyMap<string, readonly string[]>
}

export interface Section {
  readonly id: number
  /** Where its id byte is. */
  readonly start: number
  readonly content: number
  readonly end: number
  /** Of a custom section. */
  readonly name?: string
}

export interface Signature {
  readonly params: readonly string[]
  readonly results: readonly string[]
}

export type DefinedType =
  | ({ readonly kind: 'func' } & Signature)
  | { readonly kind: 'struct' | 'array' | 'continuation' }

export type ExternalKind = 'func' | 'table' | 'memory' | 'global' | 'tag'

export type Import = { readonly module: string; readonly name: string } & (
  | { readonly kind: 'func'; readonly type: number }
  | ({ readonly kind: 'table' } & Table)
  | ({ readonly kind: 'memory' } & Memory)
  | { readonly kind: 'global'; readonly type: string; readonly mutable: boolean }
  | { readonly kind: 'tag'; readonly type: number }
)

/** Sizes in entries of a table or pages of a memory. */
export interface Limits {
  readonly minimum: number
  readonly maximum: number | undefined
  readonly shared: boolean
  readonly addresses64: boolean
}

export interface Table {
  readonly type: string
  readonly limits: Limits
  /** The entries' first value is written out, so not null. */
  readonly initialised: boolean
}

export interface Memory {
  readonly limits: Limits
  /** Pages of another size than 64 KiB are a proposal; the bits are kept so that they can be refused. */
  readonly pageBytes: number
}

/** A global that the module defines. Its first value is the constant expression between the two offsets. */
export interface Global {
  readonly type: string
  readonly mutable: boolean
  readonly start: number
  readonly init: number
  readonly end: number
}

export interface Export {
  readonly name: string
  readonly kind: ExternalKind
  readonly index: number
}

export type SegmentMode = 'active' | 'passive' | 'declared'

export interface ElementSegment {
  readonly mode: SegmentMode
  readonly table: number
  readonly count: number
}

export interface DataSegment {
  readonly mode: 'active' | 'passive'
  readonly memory: number
  readonly start: number
  readonly end: number
}

/** Core specification §5.5.2; 13 is the tag section of exception handling. */
export const sectionId = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  element: 9,
  code: 10,
  data: 11,
  dataCount: 12,
  tag: 13,
} as const

/** The order of sections (core specification §5.5.17); custom ones may stand anywhere. */
export const sectionOrder: readonly number[] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11]
