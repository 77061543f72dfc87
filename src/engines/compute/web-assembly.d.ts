/** The part of the WebAssembly JavaScript API that the engine uses, JSPI included; TypeScript has it only in its browser library. */
declare namespace WebAssembly {
  interface MemoryDescriptor {
    readonly initial: number
    readonly maximum?: number
    readonly shared?: boolean
  }
  class Memory {
    constructor(descriptor: MemoryDescriptor)
    readonly buffer: ArrayBuffer
    grow(pages: number): number
  }
  class Global {
    constructor(descriptor: { readonly value: string; readonly mutable?: boolean }, value?: unknown)
    value: unknown
  }
  class Table {
    readonly length: number
    get(index: number): unknown
    set(index: number, value: unknown): void
  }
  // biome-ignore lint/suspicious/noExplicitAny: functions have the types that the module says
  type ImportValue = Memory | Global | Table | ((...args: any[]) => unknown)
  type Imports = Record<string, Record<string, ImportValue>>
  interface ModuleImportDescriptor {
    readonly module: string
    readonly name: string
    readonly kind: 'function' | 'table' | 'memory' | 'global' | 'tag'
  }
  interface ModuleExportDescriptor {
    readonly name: string
    readonly kind: ModuleImportDescriptor['kind']
  }
  class Module {
    constructor(bytes: Uint8Array)
    static imports(module: Module): ModuleImportDescriptor[]
    static exports(module: Module): ModuleExportDescriptor[]
    static customSections(module: Module, name: string): ArrayBuffer[]
  }
  class Instance {
    constructor(module: Module, imports?: Imports)
    readonly exports: Record<string, ImportValue>
  }
  class CompileError extends Error {}
  class LinkError extends Error {}
  class RuntimeError extends Error {}
  function compile(bytes: Uint8Array): Promise<Module>
  function validate(bytes: Uint8Array): boolean
  /** https://github.com/WebAssembly/js-promise-integration */
  class Suspending {
    // biome-ignore lint/suspicious/noExplicitAny: as above
    constructor(run: (...args: any[]) => unknown)
  }
  // biome-ignore lint/suspicious/noExplicitAny: as above
  function promising(run: (...args: any[]) => unknown): (...args: any[]) => Promise<unknown>
}
