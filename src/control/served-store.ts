/**
 * What a node serves, on its own disk: a row for each site, program, store with a place, and resource, so that a change costs what it changes and not what
 * there is. A node that starts while the platform is out of reach serves from here.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setImmediate } from 'node:timers/promises'
import type { DomainCacheRules } from '#/core/cache-settings.ts'
import { differences, keep } from '#/core/kept-map.ts'
import type { Within } from '#/core/pops.ts'
import type { Resource } from '#/core/resources.ts'
import { keysOf, listSites } from '#/core/site-list.ts'
import type { Program, Site, Snapshot } from '#/core/snapshot.ts'
import type { EpochMs } from '#/core/units.ts'

export interface ServedStore {
  /** Undefined where nothing was kept, or what is there cannot be read. */
  read(): Snapshot | undefined
  /** Writes what differs from what was kept before; one at a time. */
  keep(snapshot: Snapshot): Promise<void>
  /** What the platform shares was within reach then. */
  noteHere(at: EpochMs): void
  /** As it was noted last, by this process or one before. */
  lastHere(): EpochMs | undefined
  close(): void
}

/** Rows between pauses, so that requests are answered while very many are written. */
const rowsAtOnce = 500

const schema = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  CREATE TABLE IF NOT EXISTS parts (kind TEXT, name TEXT, place INTEGER, value TEXT, PRIMARY KEY (kind, name)) WITHOUT ROWID;
`

/** Of the rows; what another form left is of no use. */
const form = 2

interface Head {
  readonly revision: number
  readonly release: string
  readonly logWithin?: Within
  readonly erased?: number
  readonly isPlaced: boolean
}

type Tables = Record<'site' | 'program' | 'placement' | 'resource' | 'rules', ReadonlyMap<string, object>>

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
  const database = new DatabaseSync(join(folder, 'served.db'), { timeout: 5000 })
  if (database.prepare('PRAGMA user_version').get()!.user_version !== form)
    database.exec(`DROP TABLE IF EXISTS parts; PRAGMA user_version = ${form}`)
  database.exec(schema)
  // What is written again keeps its place.
  const put = database.prepare(
    `INSERT INTO parts (kind, name, place, value) VALUES (?, ?, ?, ?)
     ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value`,
  )
  const noted = database.prepare("SELECT value FROM parts WHERE kind = 'here'")
  const drop = database.prepare('DELETE FROM parts WHERE kind = ? AND name = ?')
  /** What lies on disk, as the objects it was made of. */
  let kept: Snapshot | undefined
  let keptBy = release
  let places = Number(database.prepare('SELECT max(place) AS last FROM parts').get()?.last ?? 0)

  async function write(snapshot: Snapshot): Promise<void> {
    let written = 0
    const pause = async () => void (++written % rowsAtOnce === 0 && (await setImmediate()))
    const [was, is] = [kept && tablesOf(kept), tablesOf(snapshot)]
    for (const kind of Object.keys(is) as (keyof Tables)[])
      for (const { key, before, after } of differences(was?.[kind] ?? new Map(), is[kind])) {
        const value = JSON.stringify(after)
        if (value === undefined) drop.run(kind, key)
        // What was read from here is another object.
        else if (before === undefined || JSON.stringify(before) !== value) put.run(kind, key, ++places, value)
        await pause()
      }
    const { revision, placements, logWithin, erased } = snapshot
    const head: Head = {
      ...{ revision, release, isPlaced: placements !== undefined },
      ...(logWithin && { logWithin }),
      ...(erased !== undefined && { erased }),
    }
    put.run('head', '', 0, JSON.stringify(head))
  }

  return {
    read() {
      const rows = database
        .prepare('SELECT kind, name, value FROM parts ORDER BY kind, place, name')
        .all() as unknown as Row[]
      try {
        const tables = new Map<string, Map<string, object>>()
        for (const { kind, name, value } of rows) {
          const table = tables.get(kind) ?? new Map<string, object>()
          tables.set(kind, table.set(name, JSON.parse(value) as object))
        }
        const head = tables.get('head')?.get('') as Head | undefined
        if (head === undefined) return undefined
        keptBy = head.release
        kept = snapshotOf(head, tables)
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
      if (kept === undefined) database.exec("DELETE FROM parts WHERE kind <> 'here'")
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
    noteHere: (at) => void put.run('here', '', 0, String(at)),
    lastHere() {
      const at = Number(noted.get()?.value)
      return Number.isSafeInteger(at) ? at : undefined
    },
    close: () => database.close(),
  }
}

function tablesOf({ sites, programs, placements, resources, cacheRules }: Snapshot): Tables {
  return {
    site: keysOf(sites) ?? new Map(sites.map((site) => [site.name, site])),
    program: programs,
    placement: placements ?? new Map(),
    resource: resources ?? new Map(),
    rules: new Map(cacheRules && [['', cacheRules]]),
  }
}

function snapshotOf(head: Head, read: ReadonlyMap<string, ReadonlyMap<string, object>>): Snapshot {
  const { revision, isPlaced, logWithin, erased } = head
  const table = <Part extends object>(kind: keyof Tables) => keep((read.get(kind) ?? new Map()) as Map<string, Part>)
  const cacheRules = table<readonly DomainCacheRules[]>('rules').get('')
  const resources = table<Resource>('resource')
  return {
    ...{ revision, sites: listSites(table<Site>('site')), programs: table<Program>('program') },
    ...(cacheRules && { cacheRules }),
    ...(isPlaced && { placements: table<Within>('placement') }),
    ...(resources.size > 0 && { resources }),
    ...(logWithin && { logWithin }),
    ...(erased !== undefined && { erased }),
  }
}
