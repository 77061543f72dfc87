/** The bytes of the files that a cell's configuration embeds. */
import { EdgeError } from '#/core/errors.ts'
import type { Blobs } from '#/core/ports.ts'
import type { CellFile } from './cell-config.ts'

export type BlobSource = Pick<Blobs, 'get'>

/** Rejects with `internal` when a blob is not there. */
export async function readFiles(
  blobs: BlobSource,
  files: ReadonlyMap<string, CellFile>,
): Promise<Map<string, Uint8Array | string>> {
  const read = await Promise.all([...files].map(async ([name, file]) => [name, await readFile(blobs, file)] as const))
  return new Map(read)
}

async function readFile(blobs: BlobSource, { text, blob }: CellFile): Promise<Uint8Array | string> {
  if (blob === undefined) return text ?? ''
  const bytes = await blobs.get(blob)
  if (bytes === undefined) throw new EdgeError('internal', `A module of the program is missing (blob ${blob}).`)
  return text === undefined ? bytes : Buffer.concat([Buffer.from(text), bytes])
}
