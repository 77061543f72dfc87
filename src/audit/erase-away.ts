/**
 * What lay on a node before it was to stay in other countries goes from it: stored answers and lines of the log, their
 * bytes too. Done before the Snapshot that says so counts as served here.
 */
import { existsSync } from 'node:fs'
import { open, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { changedPrograms, changedSites } from '#/core/changed-sites.ts'
import { isHere, placementsOf } from '#/core/holdings.ts'
import { allows, type CountryCode, type Within } from '#/core/pops.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import { ownerOfLine } from './read-log.ts'
import { blurWishes } from './read-purges.ts'
import { headerBytes, readSegment, type SegmentRecord } from './read-segments.ts'

export interface EraseAwayOptions {
  /** The node's. */
  readonly folder: string
  /** Forgets stored answers, in memory and on disk; takes no more of what may not be here. */
  readonly store: { removeWhere(match: (head: { readonly scope: string }) => boolean): Promise<number> }
  /** Writes out what waits to be logged. */
  readonly flushLog: () => Promise<void>
  readonly country: CountryCode
}

/** The returned function is called with each Snapshot; it does something only where more must go than before. */
export function eraseAway(options: EraseAwayOptions): (snapshot: Snapshot) => Promise<void> {
  const { folder, country } = options
  let before: Snapshot = { revision: 0, sites: [], programs: new Map() }
  let couldLog = true
  return async (snapshot) => {
    const isMore = goMore(before, snapshot, country)
    const mayLog = allows(snapshot.logWithin, country)
    if (isMore || (couldLog && !mayLog)) await erase(snapshot, mayLog)
    before = snapshot
    couldLog = mayLog
  }

  async function erase(snapshot: Snapshot, mayLog: boolean): Promise<void> {
    const goes = (owner: string) => !isHere(snapshot, owner, country)
    await options.store.removeWhere(({ scope }) => goes(scope))
    await eraseSegments(join(folder, 'cache', 'segments'), goes)
    await options.flushLog()
    await eraseLines(join(folder, 'log'), (site) => !mayLog || goes(site))
    for (const name of ['purges', 'purge-log']) await erasePurges(join(folder, name), goes)
  }
}

/** Is there a site or program that may not be here any more, though it could before, or was not there? */
function goMore(before: Snapshot, { sites, programs, placements }: Snapshot, country: CountryCode): boolean {
  const changed = [
    ...changedSites(before.sites, sites).come,
    ...changedPrograms(before.programs, programs).come,
  ] as readonly { readonly name: string; readonly within?: Within }[]
  if (placements === undefined) return false
  return changed.some(({ name, within }) => {
    if (allows(within, country)) return false
    const was = placementsOf(before)({ kind: 'site', id: name })
    return allows(was, country)
  })
}

/** Heads and bodies become zeros, files of large bodies go; headers stay, so that whoever reads on finds the next record. */
export async function eraseSegments(folder: string, goes: (scope: string) => boolean): Promise<void> {
  for (const name of await namesIn(folder)) {
    const path = join(folder, name)
    const places: SegmentRecord[] = []
    for await (const record of readSegment(path)) if (goes(record.scope)) places.push(record)
    if (places.length === 0) continue
    for (const { file } of places) if (file !== 0) await rm(join(folder, '..', 'bodies', `${file}`), { force: true })
    await overwrite(path, async (write) => {
      for (const { offset, bytes } of places) await write(Buffer.alloc(bytes - headerBytes), offset + headerBytes)
    })
  }
}

/** Lines become spaces in place: whoever appends to the file meanwhile is not disturbed. */
export async function eraseLines(folder: string, goes: (site: string) => boolean): Promise<void> {
  for (const name of (await namesIn(folder)).filter((one) => one.startsWith('rimward.jsonl'))) {
    const path = join(folder, name)
    const places = await linesOf(path, goes)
    if (places.length === 0) continue
    await overwrite(path, async (write) => {
      for (const { offset, bytes } of places) await write(Buffer.alloc(bytes, ' '), offset)
    })
  }
}

/** What was purged of these sites becomes that everything of them was; lines keep their lengths. */
export async function erasePurges(folder: string, goes: (site: string) => boolean): Promise<void> {
  for (const name of (await namesIn(folder)).filter((one) => one.endsWith('.jsonl'))) {
    const path = join(folder, name)
    const places: { readonly offset: number; readonly line: Buffer }[] = []
    let offset = 0
    for (const line of (await readFile(path, 'utf8')).split('\n')) {
      const bytes = Buffer.byteLength(line)
      const blurred = blurWishes(line, goes)
      const spare = bytes - Buffer.byteLength(blurred ?? line)
      if (blurred !== undefined && spare >= 0) places.push({ offset, line: Buffer.from(blurred + ' '.repeat(spare)) })
      offset += bytes + 1
    }
    if (places.length === 0) continue
    await overwrite(path, async (write) => {
      for (const place of places) await write(place.line, place.offset)
    })
  }
}

async function linesOf(path: string, goes: (site: string) => boolean) {
  const places: { readonly offset: number; readonly bytes: number }[] = []
  const handle = await open(path)
  try {
    let offset = 0
    for await (const line of handle.readLines({ autoClose: false })) {
      const bytes = Buffer.byteLength(line)
      const owner = ownerOfLine(line)
      if (owner !== undefined && goes(owner.id)) places.push({ offset, bytes })
      offset += bytes + 1
    }
  } finally {
    await handle.close()
  }
  return places
}

type Write = (bytes: Uint8Array, offset: number) => Promise<unknown>

async function overwrite(path: string, work: (write: Write) => Promise<void>): Promise<void> {
  if (!existsSync(path)) return
  const handle = await open(path, 'r+')
  try {
    await work((bytes, offset) => handle.write(bytes, 0, bytes.length, offset))
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => [])
}
