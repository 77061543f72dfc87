/** Removes prepared modules whose blob is gone: what is derived from code lies no longer where that may lie no longer. */
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { EdgeError } from '#/core/errors.ts'
import type { Blobs } from '#/core/ports.ts'
import type { BlobHash } from '#/core/snapshot.ts'
import { type PreparedSheet, preparedFolder } from './prepared-files.ts'

interface Options {
  readonly folder: string
  readonly blobs: Pick<Blobs, 'has'>
}

/** Modules asked for at once. */
const atOnce = 32

/** Returns the modules of which nothing is left. No module may be prepared meanwhile. Rejects where the blobs cannot be asked. */
export async function sweepPrepared({ folder, blobs }: Options): Promise<ReadonlySet<BlobHash>> {
  const names = await readdir(preparedFolder(folder)).catch(() => [])
  const gone = await goneOf([...new Set(names.map(moduleOf).filter((module) => module !== undefined))], blobs)
  const wanted = new Set<string>()
  for (const name of names) {
    const module = moduleOf(name)
    if (module === undefined || gone.has(module)) continue
    wanted.add(name)
    if (name.endsWith('.json')) wanted.add(await codeIn(join(preparedFolder(folder), name)))
  }
  // All that is prepared is named in a sheet: the rest is what was left of a preparation that was cut short.
  for (const name of names) if (!wanted.has(name)) await rm(join(preparedFolder(folder), name), { force: true })
  for (const name of await readdir(folder)) if (name.endsWith('.source')) await rm(join(folder, name), { force: true })
  return gone
}

/** `HASH.json`, `HASH.image` and `HASH.whole.wasm` are a module's own; code without its first state, `KEY.code.wasm`, is not. */
function moduleOf(name: string): BlobHash | undefined {
  return /^([0-9a-f]{64}(?:@[A-Z,]+)?)\.(?:json|image|whole\.wasm)$/.exec(name)?.[1]
}

async function goneOf(modules: readonly BlobHash[], blobs: Options['blobs']): Promise<Set<BlobHash>> {
  const gone = new Set<BlobHash>()
  for (let from = 0; from < modules.length; from += atOnce)
    await Promise.all(
      modules.slice(from, from + atOnce).map(async (module) => {
        if (!(await blobs.has(module).catch(falseElsewhere))) gone.add(module)
      }),
    )
  return gone
}

function falseElsewhere(error: unknown): false {
  if (error instanceof EdgeError && error.code === 'not_here') return false
  throw error
}

async function codeIn(sheet: string): Promise<string> {
  const { program } = JSON.parse(await readFile(sheet, 'utf8')) as PreparedSheet
  return program.code
}
