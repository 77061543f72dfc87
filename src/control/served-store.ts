/**
 * What a node serves, on its own disk: one row a site and a program, so that a change costs what it changes and not what
 * there is. A node that starts while the platform is out of reach serves from here.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setImmediate } from 'node:timers/promises'
import type { DomainCacheRules } from '#/core/cache-settings.ts'
import { changedSites } from '#/core/changed-sites.ts'
import type { Within } from '#/core/pops.ts'
import type { Resource } from '#/core/resources.ts'
import type { Program, Site, Snapshot } from '#/core/snapshot.ts'

export interface ServedStore {
  /** Undefined where nothing was kept, or what is there cannot be read. */
  read(): Snapshot | undefined
  /** Writes what differs from what was kept before; one at a time. */
  keep(snapshot: Snapshot): Promise<void>
  close(): void
}

/** Rows between pauses, so that requests are answered while very many are written. */
const rowsAtOnce = 500

const schema = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  CREATE TABLE IF NOT EXISTS parts (kind TEXT, name TEXT, place INTEGER, value TEXT, PRIMARY KEY (kind, name)) WITHOUT ROWID;
`

interface Head {
  readonly revision: number
  readonly release: string
  readonly cacheRules?: readonly DomainCacheRules[]
  readonly placements?: readonly (readonly [store: string, within: Within])[]
  readonly resources?: readonly (readonly [key: string, resource: Resource])[]
  readonly logWithin?: Within
  readonly erased?: number
}

interface Row {
  readonly kind: string
  readonly name: string
  readonly value: string
}

/**
 * The folder is the node's own, and made where it is missing. `release`: another one may make something else of the same
 * records, so what it kept is written anew.
 */
export function openServedStore(folder: string, release: string): ServedStore {
  mkdirSync(folder, { recursive: true })
  const database = new DatabaseSync(join(folder, 'served.db'))
  database.exec(schema)
  const put = database.prepare('INSERT OR REPLACE INTO parts (kind, name, place, value) VALUES (?, ?, ?, ?)')
  const drop = database.prepare('DELETE FROM parts WHERE kind = ? AND name = ?')
  /** What lies on disk, as the objects it was made of. */
  let kept: Snapshot | undefined
  let keptBy = release

  async function write(snapshot: Snapshot): Promise<void> {
    let written = 0
    const pause = async () => void (++written % rowsAtOnce === 0 && (await setImmediate()))
    const { gone, come, at } = changedSites(kept?.sites ?? [], snapshot.sites)
    const before = new Map(gone.map((site) => [site.name, site]))
    for (const [index, site] of come.entries()) {
      if (before.get(site.name) !== site) {
        put.run('site', site.name, at + index, JSON.stringify(site))
        await pause()
      }
      before.delete(site.name)
    }
    for (const name of before.keys()) drop.run('site', name)
    if (kept?.programs !== snapshot.programs) await writePrograms(snapshot, pause)
    const { revision, cacheRules, placements, resources, logWithin, erased } = snapshot
    const head: Head = {
      ...{ revision, release },
      ...(cacheRules && { cacheRules }),
      ...(placements && { placements: [...placements] }),
      ...(resources && { resources: [...resources] }),
      ...(logWithin && { logWithin }),
      ...(erased !== undefined && { erased }),
    }
    put.run('head', '', 0, JSON.stringify(head))
  }

  async function writePrograms({ programs }: Snapshot, pause: () => Promise<void>): Promise<void> {
    for (const [name, program] of programs) {
      if (kept?.programs.get(name) === program) continue
      put.run('program', name, 0, JSON.stringify(program))
      await pause()
    }
    for (const name of kept?.programs.keys() ?? []) if (!programs.has(name)) drop.run('program', name)
  }

  return {
    read() {
      const rows = database
        .prepare('SELECT kind, name, value FROM parts ORDER BY kind, place, name')
        .all() as unknown as Row[]
      try {
        const parsed = rows.map(({ kind, name, value }) => ({ kind, name, value: JSON.parse(value) as unknown }))
        const head = parsed.find(({ kind }) => kind === 'head')?.value
        if (head === undefined) return undefined
        const { revision, cacheRules, placements, resources, logWithin, erased, ...made } = head as Head
        keptBy = made.release
        const sites = parsed.filter(({ kind }) => kind === 'site').map(({ value }) => value as Site)
        const programs = parsed.filter(({ kind }) => kind === 'program')
        kept = {
          revision,
          sites,
          programs: new Map(programs.map(({ name, value }) => [name, value as Program])),
          ...(cacheRules && { cacheRules }),
          ...(placements && { placements: new Map(placements) }),
          ...(resources && { resources: new Map(resources) }),
          ...(logWithin && { logWithin }),
          ...(erased !== undefined && { erased }),
        }
        return kept
      } catch {
        return undefined
      }
    },
    async keep(snapshot) {
      if (kept?.revision === snapshot.revision && keptBy === release) {
        kept = snapshot
        return
      }
      // What cannot be compared with what is there is written as a whole.
      if (kept === undefined) database.exec('DELETE FROM parts')
      database.exec('BEGIN')
      try {
        const isErased = (snapshot.erased ?? 0) > (kept?.erased ?? 0)
        await write(snapshot)
        database.exec('COMMIT')
        // Bytes of what it replaced lie in free pages and in the log of writes still.
        if (isErased) database.exec('VACUUM; PRAGMA wal_checkpoint(TRUNCATE)')
        kept = snapshot
        keptBy = release
      } catch (error) {
        if (database.isTransaction) database.exec('ROLLBACK')
        throw error
      }
    },
    close: () => database.close(),
  }
}
