/** A program's module as cells read it, made once and kept: it can always be made again from its blob. */
import { rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ComputeCode } from '#/core/compute.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Blobs } from '#/core/ports.ts'

/** Path of the prepared module. Rejects with `internal` when the blob is gone. */
export async function prepareModule(
  { folder, blobs }: { readonly folder: string; readonly blobs: Pick<Blobs, 'get'> },
  { module }: Pick<ComputeCode, 'module'>,
): Promise<string> {
  const file = join(folder, 'modules', `${module}.wasm`)
  if (await stat(file).catch(() => undefined)) return file
  const bytes = await blobs.get(module)
  if (bytes === undefined) throw new EdgeError('internal', `The module ${module} is missing from the blobs.`)
  const half = `${file}.${process.pid}.${performance.now()}`
  await writeFile(half, bytes)
  await rename(half, file)
  return file
}
