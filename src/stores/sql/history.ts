/**
 * What a database was at each of its commits: the logs that SQLite wrote ahead, kept when their pages go into the file, and
 * copies of the file from time to time. A copy with the logs that follow it, up to a page, is the database at that commit
 * (https://www.sqlite.org/walformat.html). Runs in the process that has the turn of the database, and nowhere else meanwhile.
 *
 * Beside the database, in `history/`: `N.base` is the file as log N began, `N.wal` the whole log, `N.times` its commits in
 * lines `MS PAGE`; `N.gone` stands for a log that was not kept.
 */
import {
  appendFileSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import type { Moment } from './bookmarks.ts'
import { copyBytes, readBytes, syncFile } from './file-bytes.ts'
import { openWalIndex, walFrameBytes, walHeaderBytes } from './wal-index.ts'

export interface HistoryLimits {
  readonly sqlHistoryBytes: number
  readonly sqlHistoryMs: number
  readonly sqlLogPages: number
}

export interface History {
  /** The commit that is newest; notes when it was first seen, which is before it is told. */
  moment(): Moment
  /** Puts the log's pages into the file when there are many, and keeps the log. */
  turnIfLong(): void
  /** The same, however few there are. False where a reader holds the log. */
  turn(): boolean
  close(): void
}

export interface HistoryOptions {
  readonly file: string
  readonly limits: HistoryLimits
  /** Milliseconds since 1970. */
  readonly clock: () => number
  /** `PRAGMA wal_checkpoint(TRUNCATE)`; true when the log is empty then. */
  readonly checkpoint: () => boolean
}

export const historyFolder = (file: string): string => join(dirname(file), 'history')

interface Kept {
  readonly log: number
  readonly kind: 'base' | 'wal' | 'times' | 'gone'
  readonly path: string
  readonly bytes: number
  readonly changedAt: number
}

export function keptFiles(folder: string): Kept[] {
  const found: Kept[] = []
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    const [, log, kind] = /^(\d+)\.(base|wal|times|gone)$/.exec(name) ?? []
    if (log === undefined) continue
    const path = join(folder, name)
    const { size, mtimeMs } = statSync(path)
    found.push({ log: Number(log), kind: kind as Kept['kind'], path, bytes: size, changedAt: mtimeMs })
  }
  return found.sort((one, other) => one.log - other.log)
}

/** Salts of a log, which no other log of the database has. */
const saltsOf = (wal: string): string => (existsSync(wal) ? readBytes(wal, 16, 8).toString('hex') : '')

export function openHistory({ file, limits, clock, checkpoint }: HistoryOptions): History {
  const folder = historyFolder(file)
  const index = openWalIndex(file)
  const path = (log: number, kind: Kept['kind']) => join(folder, `${log}.${kind}`)
  const isNew = !existsSync(folder)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (isNew) copyFileSync(file, path(1, 'base'))
  let log = currentLog()
  let { salts } = index.read()
  let noted = -1

  /** A log that was kept and is still the database's goes on; otherwise the next one has begun. */
  function currentLog(): number {
    const last = keptFiles(folder).findLast(({ kind }) => kind === 'wal' || kind === 'gone')
    if (last === undefined) return 1
    const now = saltsOf(`${file}-wal`)
    return now !== '' && now === saltsOf(last.path) ? last.log : last.log + 1
  }

  function moment(): Moment {
    const header = index.read()
    if (header.salts !== salts) {
      // SQLite began the log anew, as it does once all of it is in the file and nobody reads it.
      salts = header.salts
      log = currentLog()
      noted = -1
    }
    if (header.page !== noted) {
      if (header.page > 0) appendFileSync(path(log, 'times'), `${clock()} ${header.page}\n`)
      noted = header.page
    }
    return { log, page: header.page }
  }

  function turn(): boolean {
    const { page } = moment()
    if (page === 0) return true
    const kept = keptFiles(folder)
    const hasChain = kept.some(({ kind }) => kind === 'base')
    const bytes = walHeaderBytes + page * walFrameBytes
    const isKept = hasChain && bytes <= limits.sqlHistoryBytes / 4
    const target = path(log, isKept ? 'wal' : 'gone')
    copyBytes(`${file}-wal`, target, isKept ? bytes : walHeaderBytes)
    if (!isKept) forgetBefore(log)
    if (!checkpoint()) return false
    moment()
    makeBase(isKept)
    prune()
    return true
  }

  /** Nothing before it leads anywhere any more. */
  function forgetBefore(gone: number): void {
    for (const one of keptFiles(folder)) if (one.log < gone || one.kind === 'base') rmSync(one.path, { force: true })
  }

  /** The file is the database, whole: it is copied when the logs since the last copy are longer than it. */
  function makeBase(isChain: boolean): void {
    const { size } = statSync(file)
    if (size > limits.sqlHistoryBytes / 4) return
    const kept = keptFiles(folder)
    const lastBase = kept.findLast(({ kind }) => kind === 'base')?.log ?? 0
    const since = kept
      .filter((one) => one.kind === 'wal' && one.log >= lastBase)
      .reduce((sum, one) => sum + one.bytes, 0)
    if (isChain && lastBase > 0 && since < Math.max(size, 16 * limits.sqlLogPages * walFrameBytes)) return
    copyFileSync(file, path(log, 'base'), constants.COPYFILE_FICLONE)
    syncFile(path(log, 'base'))
  }

  /** Drops what lies before the oldest copy that is needed for the time, and fits. */
  function prune(): void {
    const kept = keptFiles(folder)
    const bases = kept.filter(({ kind }) => kind === 'base')
    const bytesFrom = (from: number) => kept.reduce((sum, one) => sum + (one.log >= from ? one.bytes : 0), 0)
    let first = bases[0]
    for (const next of bases.slice(1)) {
      const isOld = next.changedAt < clock() - limits.sqlHistoryMs
      if (isOld || bytesFrom(first!.log) > limits.sqlHistoryBytes) first = next
    }
    if (first === undefined) return
    for (const one of kept) if (one.log < first.log) rmSync(one.path, { force: true })
    if (bytesFrom(first.log) <= limits.sqlHistoryBytes) return
    // Too many commits since the only copy: what was before now is given up.
    writeFileSync(path(log - 1, 'gone'), readBytes(path(log - 1, 'wal'), 0, walHeaderBytes))
    rmSync(path(log - 1, 'wal'), { force: true })
    forgetBefore(log)
    makeBase(false)
  }

  return {
    moment,
    turn,
    turnIfLong() {
      if (moment().page > limits.sqlLogPages) turn()
    },
    close: index.close,
  }
}
