/** Databases of stores whose thread commits groups of writes (`core/group-commit.ts`). */
import { DatabaseSync } from 'node:sqlite'

/**
 * Opened for writing, with the tables of `schema`. `FULL`: what was acknowledged outlives the loss of power. What is deleted
 * is overwritten. Throws what SQLite throws.
 */
export function openDurableDatabase(file: string, schema: string): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 5000 })
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY')
  database.exec('PRAGMA secure_delete = ON')
  database.exec(schema)
  return database
}
