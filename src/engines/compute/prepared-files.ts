/**
 * A program as its cell reads it: metered code, the image of its first state, and a sheet of facts. Made once a module in a
 * cell of its own, because the start function is the program's; it can always be made again from the module's blob.
 */
import { join } from 'node:path'
import type { BlobHash } from '#/core/snapshot.ts'

/** The sheet, `HASH.json`; the other files are named in it and lie beside it. */
export interface PreparedSheet {
  readonly memory: { readonly initial: number; readonly maximum: number } | undefined
  /** Names under which mutable numeric globals are exported. */
  readonly globals: readonly string[]
  readonly program:
    | {
        /** Instances are made as new after each request. */
        readonly kind: 'kept'
        /** File of the code without its first state: the same for all programs of one SDK version. */
        readonly code: string
        /** File with the memory after the start. */
        readonly image: string
        /** Values of `globals`; 64-bit ones as texts. */
        readonly values: readonly (number | { readonly bigint: string })[]
      }
    | {
        /** Each request has a new instance. */
        readonly kind: 'fresh'
        readonly code: string
        /** Why it is not kept: for `rimward up` and the proof. */
        readonly why: string
      }
}

/** The number grows when the way of preparing changes, so that old files are not read. */
export function preparedFolder(engineFolder: string): string {
  return join(engineFolder, 'modules-1')
}

export function sheetFile(engineFolder: string, module: BlobHash): string {
  return join(preparedFolder(engineFolder), `${module}.json`)
}
