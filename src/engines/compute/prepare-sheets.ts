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

export interface SheetOptions {
  readonly folder: string
  readonly blobs: Pick<Blobs, 'get'>
  readonly limits: Limits
}

/**
 * The function gives the path of a module's sheet; one preparation a module runs at a time, in a cell of its own. It
 * rejects with what the cell says of the module, and with `internal` when its blob is gone.
 */
export function createSheets(
  options: SheetOptions,
  openCell: () => Promise<ComputeCell>,
): (code: ComputeCode) => Promise<string> {
  const known = new Map<string, Promise<string>>()
  return ({ module }) => {
    const found = known.get(module)
    if (found !== undefined) return found
    const preparing = findOrPrepare(module, options, openCell)
    known.set(module, preparing)
    preparing.catch(() => known.delete(module))
    return preparing
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
