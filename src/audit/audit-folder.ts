/**
 * Looks at all that lies in a node's folder and says whose it is: by the bytes on the disk, not by what the configuration
 * says should be there. Nothing is changed. Not for the process of a node that runs on the folder: see `look-apart.ts`.
 */
import { open, readdir, stat } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Holding } from '#/core/holdings.ts'
import { readBuckets, readRows, readServed, tableOf } from './read-buckets.ts'
import { type CodeTally, createCodeTally } from './read-code.ts'
import { readLog } from './read-log.ts'
import { readPurges } from './read-purges.ts'
import { readSegment } from './read-segments.ts'
import { createTally, type Tally } from './tally.ts'

export interface AuditedFolder {
  readonly holdings: readonly Holding[]
  /** Places that could not be looked at, each with the reason. */
  readonly unread: readonly string[]
}

export interface AuditOptions {
  /** Folders below that are somebody else's to look at, e.g. those of other nodes. */
  readonly except?: readonly string[]
}

/** Reads a kind of file; false where it is none of that kind. */
type Reader = (path: string, place: string, tally: Tally, code: CodeTally) => Promise<boolean>

export async function auditFolder(folder: string, { except = [] }: AuditOptions = {}): Promise<AuditedFolder> {
  const tally = createTally()
  const code = createCodeTally(tally)
  const unread: string[] = []
  for await (const path of filesIn(folder, new Set(except))) {
    const place = relative(folder, path).split(sep).join('/')
    try {
      for (const read of readers) if (await read(path, place, tally, code)) break
    } catch (error) {
      // A file that went while the folder was read is not there any more.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') unread.push(`${place}: ${(error as Error).message}`)
    }
  }
  code.finish()
  return { holdings: tally.holdings, unread }
}

async function* filesIn(folder: string, except: ReadonlySet<string>): AsyncGenerator<string> {
  if (except.has(folder)) return
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* filesIn(path, except)
    else if (entry.isFile()) yield path
  }
}

/** `objects/KEY/…`: a folder a class. */
const objects: Reader = async (path, place, tally) => {
  const key = /(?:^|\/)objects\/([^/]+)\//.exec(place)?.[1]
  if (key === undefined) return false
  tally.add({ kind: 'objects', id: key }, place.slice(0, place.indexOf(key) + key.length), (await stat(path)).size)
  return true
}

/** `sql/ID/…` and the like: a folder for each resource that lives at this node. */
const homed: Reader = async (path, place, tally) => {
  const id = /(?:^|\/)(?:sql|bucket|queue|workflow|dataset)\/([\w-]+)\//.exec(place)?.[1]
  if (id === undefined) return false
  tally.add({ kind: 'store', id }, place.slice(0, place.indexOf(id) + id.length), (await stat(path)).size)
  return true
}

const segments: Reader = async (path, place, tally) => {
  if (!/(?:^|\/)cache\/segments\/\d+$/.test(place)) return false
  const bodies = join(path, '..', '..', 'bodies')
  for await (const { scope, bytes, file } of readSegment(path)) {
    tally.add({ kind: 'site', id: scope }, 'cache', bytes)
    const body = file === 0 ? undefined : await stat(join(bodies, `${file}`)).catch(() => undefined)
    if (body !== undefined) tally.add({ kind: 'site', id: scope }, 'cache/bodies', body.size)
  }
  return true
}

const log: Reader = async (path, place, tally) => {
  if (!/(?:^|\/)log\/rimward\.jsonl(?:\.\d+)?$/.test(place)) return false
  for await (const { owner, bytes } of readLog(path)) tally.add(owner, place, bytes)
  return true
}

const purges: Reader = async (path, place, tally) => {
  if (!/(?:^|\/)purge(?:s|-log)\/[^/]+\.jsonl$/.test(place)) return false
  for await (const { owner, bytes } of readPurges(path)) tally.add(owner, place.slice(0, place.lastIndexOf('/')), bytes)
  return true
}

const databases: Reader = async (path, place, tally, code) => {
  // The cache's index is locked by its node, and holds numbers only.
  if (place.endsWith('cache/index.db') || !(await isDatabase(path))) return false
  const database = new DatabaseSync(path, { readOnly: true, timeout: 2000 })
  try {
    const table = tableOf(database)
    if (table === 'entries') readBuckets(database, path, place, tally, code)
    else if (table === 'rows') readRows(database, path, place, tally)
    else if (table === 'parts') readServed(database, place, code)
  } finally {
    database.close()
  }
  return true
}

/** `modules-1/HASH.image`: what the Compute engine made of a module. */
const prepared: Reader = async (path, place, _tally, code) => {
  const [, name] = /(?:^|\/)compute\/(?:modules-\d+\/)?([^/.]+)\.(?:json|image|source|[a-z]+\.wasm)$/.exec(place) ?? []
  if (name === undefined) return false
  code.file(name, (await stat(path)).size, place.slice(0, place.lastIndexOf('/')))
  return true
}

const readers: readonly Reader[] = [objects, homed, prepared, segments, log, purges, databases]

async function isDatabase(path: string): Promise<boolean> {
  const handle = await open(path)
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(16), 0, 16, 0)
    return bytesRead === 16 && buffer.toString('latin1') === 'SQLite format 3\0'
  } finally {
    await handle.close()
  }
}
