/** Programs as the tests of this room write them: sources in, nouns and blobs out. */
import { createHash, randomUUID } from 'node:crypto'
import type { Binding, Deployment, ProgramCode, ProgramModule } from '#/core/snapshot.ts'
import type { BlobSource } from './cell-files.ts'

const blobs = new Map<string, Uint8Array>()

/** Every blob that `makeDeployment` stored. */
export const testBlobs: BlobSource = { get: async (hash) => blobs.get(hash) }

export function storeBlob(content: string | Uint8Array): { blob: string; bytes: number } {
  const bytes = Buffer.from(content)
  const blob = createHash('sha256').update(bytes).digest('hex')
  blobs.set(blob, bytes)
  return { blob, bytes: bytes.length }
}

export interface TestProgram {
  readonly program?: string
  /** File name → source; the first is the main module. The kind is read from the ending. */
  readonly modules: Readonly<Record<string, string | Uint8Array>>
  readonly syntax?: ProgramCode['syntax']
  readonly date?: string
  readonly flags?: readonly string[]
  readonly bindings?: readonly Binding[]
  readonly cpuMs?: number
  readonly number?: number
}

const kinds: Readonly<Record<string, ProgramModule['kind']>> = {
  js: 'esm',
  cjs: 'cjs',
  txt: 'text',
  bin: 'data',
  json: 'json',
  wasm: 'wasm',
}

export function makeDeployment(test: TestProgram): Deployment {
  const modules = Object.entries(test.modules).map(([name, source]) => ({
    name,
    kind: kinds[name.split('.').at(-1)!]!,
    ...storeBlob(source),
  }))
  return {
    id: randomUUID(),
    program: test.program ?? 'shop',
    number: test.number ?? 1,
    createdAt: Date.UTC(2026, 0, 1),
    code: {
      syntax: test.syntax ?? 'modules',
      mainModule: modules[0]!.name,
      modules,
      compatibilityDate: test.date ?? '2026-01-01',
      compatibilityFlags: test.flags ?? [],
    },
    bindings: test.bindings ?? [],
    limits: test.cpuMs === undefined ? {} : { cpuMs: test.cpuMs },
  }
}
