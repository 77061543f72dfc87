/**
 * Alarms of Durable Objects while no process runs that could ring them: read from workerd's own record, one
 * `metadata.sqlite` a namespace with `_cf_ALARM(actor_id, scheduled_time in ns)`.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { EpochMs } from '#/core/units.ts'

/** When the first alarm of these namespaces is due; `undefined` when none is set. An unreadable record counts as due. */
export function nextAlarm(objectsFolder: string, keys: readonly string[]): EpochMs | undefined {
  const due = keys.map((key) => firstOf(join(objectsFolder, key, 'metadata.sqlite'))).filter((at) => at !== undefined)
  return due.length === 0 ? undefined : Math.min(...due)
}

function firstOf(file: string): EpochMs | undefined {
  if (!existsSync(file)) return undefined
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(file, { readOnly: true, timeout: 500 })
    const query = database.prepare('SELECT min(scheduled_time) AS at FROM _cf_ALARM')
    query.setReadBigInts(true)
    const at = (query.get() as { at: bigint | null }).at
    return at === null ? undefined : Number(at / 1_000_000n)
  } catch {
    // Starting the cell costs little; an alarm that never rings would be a broken promise.
    return 0
  } finally {
    database?.close()
  }
}
