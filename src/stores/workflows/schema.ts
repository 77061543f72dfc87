/** The database of one workflow: its instances, what their steps gave, events that wait. */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { EpochMs } from '#/core/units.ts'

const schema = `
  CREATE TABLE IF NOT EXISTS instances (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    params TEXT NOT NULL,
    source TEXT NOT NULL,
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    started INTEGER,
    ended INTEGER,
    -- When it is to run; none while it runs or rests.
    due INTEGER,
    -- How many runs were begun: an older one has nothing to say any more.
    run INTEGER NOT NULL DEFAULT 0,
    -- Runs in a row that were cut off.
    losses INTEGER NOT NULL DEFAULT 0,
    paused INTEGER,
    output TEXT,
    error TEXT,
    keepSuccess INTEGER NOT NULL,
    keepError INTEGER NOT NULL,
    forget INTEGER,
    bytes INTEGER NOT NULL,
    -- JSON of the schedule that made it.
    schedule TEXT
  ) STRICT;
  CREATE INDEX IF NOT EXISTS byDue ON instances (due) WHERE due IS NOT NULL;
  CREATE INDEX IF NOT EXISTS byStatus ON instances (status);
  CREATE INDEX IF NOT EXISTS byForget ON instances (forget) WHERE forget IS NOT NULL;
  CREATE TABLE IF NOT EXISTS steps (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    instance INTEGER NOT NULL,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    count INTEGER NOT NULL,
    config TEXT,
    started INTEGER NOT NULL,
    ended INTEGER,
    -- running, pending (a retry, a sleep or an event is waited for until due), done, failed
    state TEXT NOT NULL,
    run INTEGER NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    interrupted INTEGER NOT NULL DEFAULT 0,
    due INTEGER,
    output TEXT,
    error TEXT,
    UNIQUE (instance, type, name, count)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS attempts (
    step INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER,
    error TEXT,
    PRIMARY KEY (step, attempt)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    instance INTEGER NOT NULL,
    type TEXT NOT NULL,
    payload TEXT NOT NULL,
    at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS eventsByType ON events (instance, type);
`

/** Runs of the process before this one are over: what ran then is due. */
const revive = [
  `UPDATE instances SET status = 'paused', paused = :now WHERE status = 'waitingForPause'`,
  `UPDATE instances SET status = 'waiting', due = :now WHERE status = 'running'`,
]

/** Throws what SQLite throws. */
export function openInstances(
  file: string,
  { now, revive: revives }: { readonly now: EpochMs; readonly revive: boolean },
): DatabaseSync {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const database = new DatabaseSync(file, { timeout: 5000 })
  // What was deleted is not to be found in the file either.
  database.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=ON')
  database.exec(schema)
  addSchedule(database)
  if (revives) for (const statement of revive) database.prepare(statement).run({ now })
  return database
}

/** Databases of earlier releases have no such column. */
function addSchedule(database: DatabaseSync): void {
  const known = database.prepare(`SELECT 1 FROM pragma_table_info('instances') WHERE name = 'schedule'`).get()
  if (known === undefined) database.exec('ALTER TABLE instances ADD COLUMN schedule TEXT')
}

/** One row each. */
export interface InstanceRow {
  readonly number: number
  readonly id: string
  readonly status: Status
  readonly params: string
  readonly source: 'api' | 'binding' | 'cron'
  readonly created: EpochMs
  readonly modified: EpochMs
  readonly started: EpochMs | null
  readonly ended: EpochMs | null
  readonly due: EpochMs | null
  readonly run: number
  readonly losses: number
  readonly paused: EpochMs | null
  readonly output: string | null
  readonly error: string | null
  readonly keepSuccess: number
  readonly keepError: number
  readonly bytes: number
  readonly schedule: string | null
}

export type Status =
  | 'queued'
  | 'running'
  | 'paused'
  | 'errored'
  | 'terminated'
  | 'complete'
  | 'waiting'
  | 'waitingForPause'

export const finalStatuses: readonly Status[] = ['errored', 'terminated', 'complete']

export interface StepRow {
  readonly number: number
  readonly type: 'do' | 'sleep' | 'wait'
  readonly name: string
  readonly count: number
  readonly config: string | null
  readonly started: EpochMs
  readonly ended: EpochMs | null
  readonly state: 'running' | 'pending' | 'done' | 'failed'
  readonly run: number
  readonly attempt: number
  readonly interrupted: number
  readonly due: EpochMs | null
  readonly output: string | null
  readonly error: string | null
}
