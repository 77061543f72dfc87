/** What SQLite throws, as a value that threads send each other. */
export interface SqliteFailure {
  readonly ok: false
  /** The disk, or the database, has no room. */
  readonly full: boolean
  readonly message: string
}

/** SQLITE_FULL, SQLITE_IOERR_WRITE and SQLITE_IOERR_SHMSIZE: what a full file system shows as. */
const fullCodes = [13, 778, 4874]

/** Of whatever was thrown: without one of those codes the disk is not full. */
export function sqliteFailure(thrown: unknown): SqliteFailure {
  const { errcode, message } = thrown as { errcode?: number; message: string }
  return { ok: false, full: fullCodes.includes(errcode ?? 0), message }
}
