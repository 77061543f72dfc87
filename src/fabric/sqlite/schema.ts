/**
 * The database file: its tables and the settings that make an acknowledged write survive a power cut.
 */
import { DatabaseSync } from 'node:sqlite'

const version = 1

const tables = `
CREATE TABLE IF NOT EXISTS entries (
  bucket TEXT NOT NULL,
  key BLOB NOT NULL,
  value BLOB NOT NULL,
  revision INTEGER NOT NULL,
  expires_at INTEGER,
  UNIQUE (bucket, key)
);
CREATE INDEX IF NOT EXISTS entries_expiry ON entries (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS leases (name TEXT PRIMARY KEY, epoch INTEGER NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO counters VALUES ('revision', 0);
`

/**
 * Opens the only connection that writes. Leases of the process before are over: the lock on the folder proves that it
 * is dead; their epochs stay. Throws when the file is not ours or was written by a later version.
 */
export function openForWriting(file: string, limitBytes: number): DatabaseSync {
  // Others look at the file too: readers here, and `rimward audit` from its own process.
  const database = new DatabaseSync(file, { timeout: 5000 })
  try {
    // With WAL, FULL is what makes a commit wait for fsync (https://sqlite.org/pragma.html#pragma_synchronous);
    // fullfsync does the same on macOS, where fsync alone leaves data in the drive's cache.
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON')
    const found = numberOf(database, 'PRAGMA user_version')
    if (found > version) throw new Error(`${file} was written by a later version of Rimward (format ${found}).`)
    const pageBytes = numberOf(database, 'PRAGMA page_size')
    database.exec(
      `BEGIN IMMEDIATE; ${tables} UPDATE leases SET expires_at = 0; PRAGMA user_version = ${version}; COMMIT`,
    )
    database.exec(`PRAGMA max_page_count = ${Math.max(1, Math.floor(limitBytes / pageBytes))}`)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

/** Opens a connection for reads beside the writer: each statement sees everything committed before it began. */
export function openForReading(file: string): DatabaseSync {
  return new DatabaseSync(file, { readOnly: true, timeout: 2000 })
}

function numberOf(database: DatabaseSync, pragma: string): number {
  return Number(Object.values(database.prepare(pragma).get()!)[0])
}
