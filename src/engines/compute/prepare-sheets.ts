/** Finds the prepared files of modules, and has those made that are missing. */
import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ComputeCode } from '#/core/compute.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Blobs } from '#/core/ports.ts'
import type { ComputeCell } from './cell.ts'
import { sheetFile } from './prepared-files.ts'
import { asHead, type PrepareHead } from './protocol.ts'
import { sweepPrepared } from './sweep-prepared.ts'

export interface SheetOptions {
  readonly folder: string
  readonly blobs: Pick<Blobs, 'get' | 'has'>
  readonly limits: Limits
}

export interface Sheets {
  /**
   * The path of a module's sheet; one preparation a module runs at a time, in a cell of its own. Rejects with what the cell
   * says of the module, and with `internal` when its blob is gone.
   */
  of(code: ComputeCode): Promise<string>
  /** Removes what was prepared from modules whose blob is gone, or lies where this node is not. */
  sweep(): Promise<void>
}

export function createSheets(options: SheetOptions, openCell: () => Promise<ComputeCell>): Sheets {
  const known = new Map<string, Promise<string>>()
  let sweeping: Promise<unknown> = Promise.resolve()
  return {
    of({ module }) {
      const found = known.get(module)
      if (found !== undefined) return found
      const preparing = sweeping.then(() => findOrPrepare(module, options, openCell))
      known.set(module, preparing)
      preparing.catch(() => known.delete(module))
      return preparing
    },
    async sweep() {
      const before = [sweeping, ...known.values()]
      const mine = Promise.allSettled(before).then(() => sweepPrepared(options))
      // Whoever prepares next waits: its files may have the names of those that go.
      sweeping = mine.catch(() => {})
      for (const module of await mine) known.delete(module)
    },
  }
}

async function findOrPrepare(
  module: string,
  { folder, blobs, limits }: SheetOptions,
  openCell: () => Promise<ComputeCell>,
): Promise<string> {
  const sheet = sheetFile(folder, module)
  // One look that a request waits for: by another thread it takes ten times as long.
  if (existsSync(sheet)) return sheet
  const bytes = await blobs.get(module)
  if (bytes === undefined) throw new EdgeError('internal', `The module ${module} is missing from the blobs.`)
  const source = join(folder, `${module}.source`)
  await writeFile(source, bytes)
  const cell = await openCell()
  const head: PrepareHead = { do: 'prepare', module, source, folder, startMs: limits.computeModuleStartMs, limits }
  try {
    await cell.line.call(asHead({ ...head, limits: capsOf(limits) }), null).reply
    return sheet
  } finally {
    cell.kill()
    await rm(source, { force: true })
  }
}

function capsOf({ computeMemoryPages, computeTableEntries }: Limits): PrepareHead['limits'] {
  return { computeMemoryPages, computeTableEntries }
}
