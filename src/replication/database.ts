/** The file of the replicas: tables, and the settings that make an acknowledged write survive a power cut. */
import { randomBytes } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'

const version = 1

/**
 * `at` is the order in which this node learned its rows: a row that changes moves to the end, so «everything after N» is all
 * that a peer lacks which had everything up to N. It is a key's revision too. A row without a value is a tombstone.
 * `base`: of an own write behind the `at` of the fact `unsent`, which nobody has seen: its time may be put back to after this.
 */
const tables = `
CREATE TABLE IF NOT EXISTS rows (
  at INTEGER PRIMARY KEY AUTOINCREMENT,
  bucket TEXT NOT NULL,
  key BLOB NOT NULL,
  value BLOB,
  time INTEGER NOT NULL,
  writer TEXT NOT NULL,
  scope TEXT NOT NULL,
  origin TEXT NOT NULL,
  seq INTEGER NOT NULL,
  expires_at INTEGER,
  blob TEXT,
  base INTEGER,
  UNIQUE (bucket, key)
);
CREATE INDEX IF NOT EXISTS rows_expiry ON rows (expires_at) WHERE expires_at IS NOT NULL AND value IS NOT NULL;
CREATE INDEX IF NOT EXISTS rows_dead ON rows (time) WHERE value IS NULL;
CREATE INDEX IF NOT EXISTS rows_blob ON rows (blob) WHERE blob IS NOT NULL;
CREATE VIEW IF NOT EXISTS entries AS
  SELECT bucket, key, value, at AS revision, expires_at FROM rows WHERE value IS NOT NULL;
CREATE TABLE IF NOT EXISTS vector (
  scope TEXT NOT NULL,
  origin TEXT NOT NULL,
  seq INTEGER NOT NULL DEFAULT 0,
  dropped INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (scope, origin)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS buckets (bucket TEXT PRIMARY KEY, scope TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS peers (origin TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
`

/**
 * Opens the only connection that writes. A new file gets an origin of its own, so that a node which lost its disk is not
 * taken for the one it was. Throws when the file is not ours or was written by a later version.
 */
export function openForWriting(file: string, node: string, limitBytes: number): DatabaseSync {
  // Others look at the file too: readers here, and `rimward audit` from its own process.
  const database = new DatabaseSync(file, { timeout: 5000 })
  try {
    // As the fabric's (docs/decisions/0003-fabric-on-sqlite.md): FULL makes a commit wait for fsync.
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON')
    const found = numberOf(database, 'PRAGMA user_version')
    if (found > version) throw new Error(`${file} was written by a later version of Rimward (format ${found}).`)
    database.exec(`BEGIN IMMEDIATE; ${tables} PRAGMA user_version = ${version}`)
    database
      .prepare(`INSERT OR IGNORE INTO facts VALUES ('origin', ?)`)
      .run(`${node}~${randomBytes(4).toString('hex')}`)
    database.exec(`
      INSERT OR IGNORE INTO facts VALUES ('unsent', (SELECT coalesce(max(at), 0) FROM rows));
      COMMIT;
      PRAGMA max_page_count = ${Math.max(1, Math.floor(limitBytes / numberOf(database, 'PRAGMA page_size')))}`)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

function numberOf(database: DatabaseSync, pragma: string): number {
  return Number(Object.values(database.prepare(pragma).get()!)[0])
}
