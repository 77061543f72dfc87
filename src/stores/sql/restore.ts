/** A database as it was at one of its commits, put in its place. Runs in a process of its own, while nobody has it open. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type Moment, writeBookmark } from './bookmarks.ts'
import { SqlRefusal } from './error-text.ts'
import { copyBytes, syncFile } from './file-bytes.ts'
import { historyFolder, keptFiles } from './history.ts'
import { walFrameBytes, walHeaderBytes } from './wal-index.ts'

/** The last commit at or before a time, in milliseconds since 1970. Throws a `SqlRefusal` where none is known any more. */
export function momentAt(file: string, time: number): Moment {
  const kept = keptFiles(historyFolder(file))
  const first = kept.find(({ kind }) => kind === 'base')
  let found: Moment | undefined
  for (const { kind, log, path } of kept) {
    if (kind !== 'times' || first === undefined || log < first.log) continue
    for (const line of readFileSync(path, 'latin1').split('\n')) {
      const [at, page] = line.split(' ').map(Number)
      if (page !== undefined && page > 0 && at! <= time) found = { log, page }
    }
  }
  if (found !== undefined) return found
  // The copy is what was before the first commit that is known; it is as good as it is old.
  if (first !== undefined && first.changedAt <= time) return { log: first.log, page: 0 }
  const since =
    first === undefined
      ? 'There is none of this database.'
      : `It reaches back to ${new Date(first.changedAt).toISOString()}.`
  throw new SqlRefusal(`The history of this database does not reach back so far. ${since}`)
}

/**
 * Throws a `SqlRefusal` where the bookmark leads nowhere; then nothing has changed. `newest` is the log that follows all that
 * were kept; it stays empty, as the bookmark of what was there before.
 */
export function restore(file: string, wanted: Moment, newest: number): void {
  const folder = historyFolder(file)
  const work = join(dirname(file), 'restore')
  rmSync(work, { recursive: true, force: true })
  mkdirSync(work, { mode: 0o700 })
  const made = join(work, 'database')
  try {
    rebuild(folder, made, wanted)
    putInPlace(file, made, folder, newest)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

function rebuild(folder: string, made: string, { log, page }: Moment): void {
  const kept = keptFiles(folder)
  const base = kept.findLast((one) => one.kind === 'base' && one.log <= log)
  const unknown = new SqlRefusal(
    `There is no bookmark ${writeBookmark({ log, page })} in the history of this database.`,
  )
  if (base === undefined) throw unknown
  copyFileSync(base.path, made)
  for (let number = base.log; number <= log; number++) {
    if (number === log && page === 0) return
    const wal = kept.find((one) => one.kind === 'wal' && one.log === number)
    const pages = number === log ? page : ((wal?.bytes ?? 0) - walHeaderBytes) / walFrameBytes
    if (wal === undefined || walHeaderBytes + pages * walFrameBytes > wal.bytes) throw unknown
    copyBytes(wal.path, `${made}-wal`, walHeaderBytes + pages * walFrameBytes)
    const connection = new DatabaseSync(made)
    try {
      const { busy } = connection.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get() as { busy: number }
      const [checked] = Object.values(connection.prepare('PRAGMA quick_check(1)').get()!)
      if (busy !== 0 || checked !== 'ok') throw unknown
    } finally {
      connection.close()
    }
  }
}

/** What comes from now on has a history of its own, which begins with what was restored. */
function putInPlace(file: string, made: string, folder: string, newest: number): void {
  syncFile(made)
  // Until the file is in its place too, the copy counts for nothing: it is no base before it has its name.
  writeFileSync(join(folder, `${newest}.gone`), '')
  const base = join(folder, `${newest + 1}.base`)
  copyFileSync(made, `${base}.part`)
  syncFile(`${base}.part`)
  for (const end of ['-wal', '-shm']) rmSync(`${file}${end}`, { force: true })
  renameSync(made, file)
  renameSync(`${base}.part`, base)
  syncFile(dirname(file))
  syncFile(folder)
}

/** After a crash in the middle of `restore`: what is there is either as before, or restored without its copy. */
export function finishRestore(file: string): void {
  const folder = historyFolder(file)
  if (!existsSync(folder)) return
  if (!existsSync(join(dirname(file), 'restore'))) return
  // Which of the two is not known: no history is better than a wrong one. Numbers go on.
  const kept = keptFiles(folder)
  const last = kept.at(-1)?.log ?? 0
  for (const { path } of kept) rmSync(path, { force: true })
  writeFileSync(join(folder, `${last + 1}.gone`), '')
  rmSync(join(dirname(file), 'restore'), { recursive: true, force: true })
}
