/** The index of one bucket: a database beside its files. Keys are UTF-8 bytes, so that they are listed in R2's order. */
import { DatabaseSync } from 'node:sqlite'

const schema = `
CREATE TABLE IF NOT EXISTS objects (
  id INTEGER PRIMARY KEY,
  key BLOB NOT NULL UNIQUE,
  version TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  etag TEXT NOT NULL,
  uploaded_at INTEGER NOT NULL,
  digests TEXT NOT NULL,
  http TEXT NOT NULL,
  custom TEXT NOT NULL,
  class TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS bodies (object INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS pieces (
  object INTEGER NOT NULL,
  start INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  file TEXT NOT NULL,
  PRIMARY KEY (object, start)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pieces_by_file ON pieces (file);
CREATE TABLE IF NOT EXISTS uploads (
  id TEXT PRIMARY KEY,
  key BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  http TEXT NOT NULL,
  custom TEXT NOT NULL,
  class TEXT NOT NULL,
  ended_at INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS parts (
  upload TEXT NOT NULL,
  number INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  etag TEXT NOT NULL,
  uploaded_at INTEGER NOT NULL,
  file TEXT NOT NULL,
  PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS parts_by_file ON parts (file);
CREATE TABLE IF NOT EXISTS sums (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  objects INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  uploads INTEGER NOT NULL,
  closed INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS notices (id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, notice TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS notices_by_queue ON notices (queue, id);
INSERT OR IGNORE INTO sums VALUES (1, 0, 0, 0, 0);
`

/** Milliseconds. While the last connection of one thread is closed nobody can open the file. */
const timeout = 5000

/** What is removed is overwritten: it may have had to stay in its country. */
export function openForWriting(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout })
  database.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA cache_size = -2048',
  )
  database.exec(schema)
  return database
}

export function openForReading(file: string): DatabaseSync {
  const database = new DatabaseSync(file, { readOnly: true, timeout })
  database.exec('PRAGMA query_only = ON; PRAGMA cache_size = -2048')
  return database
}
