/**
 * A process that runs SQL, started by `database-process.ts`. It waits for frames on its standard input and answers on its
 * standard output, one thing after the other: while a query runs nothing else does, so whoever started it kills it when a
 * query takes too long. What is not acknowledged by then was never committed.
 */
import { readSync, writeSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { type Moment, writeBookmark } from './bookmarks.ts'
import { checkDump, type DumpOptions, dumpDatabase } from './dump-database.ts'
import { SqlRefusal } from './error-text.ts'
import { begunFile, createFrameReader, encodeFrame, type Frame } from './frames.ts'
import { type OpenDatabase, openDatabase, type SqlLimits } from './open-database.ts'
import { momentAt, restore } from './restore.ts'
import { type GroupJob, runGroups } from './run-group.ts'
import { runImport } from './run-import.ts'
import { readQueries, type ServedBy } from './run-query.ts'

const { limits, servedBy } = JSON.parse(process.argv[2]!) as { limits: SqlLimits; servedBy: ServedBy }
const open = new Map<string, OpenDatabase>()
const now = () => performance.now()

let unsent: Buffer[] = []
let unsentBytes = 0
/** What waits for `flush` at the most. */
const mostUnsent = 1024 * 1024

/** It is written with the next `flush`. */
function queue(head: Frame['head'], body?: Uint8Array): void {
  const parts = encodeFrame(head, body)
  unsent.push(...parts)
  for (const part of parts) unsentBytes += part.length
  if (unsentBytes > mostUnsent) flush()
}

/** Blocks until all is written: nothing else is to be done meanwhile. */
function flush(): void {
  let rest = Buffer.concat(unsent)
  unsent = []
  unsentBytes = 0
  while (rest.length > 0)
    try {
      rest = rest.subarray(writeSync(1, rest))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
}

function send(head: Frame['head'], body?: Uint8Array): void {
  queue(head, body)
  flush()
}

const begun = Buffer.alloc(8)

/** Into the file that is read when this process was killed: a frame would wake the node for each query. */
function begin(number: number): void {
  begun.writeDoubleLE(number)
  writeSync(begunFile, begun, 0, begun.length, 0)
}

const bookmark = ({ history }: OpenDatabase) => writeBookmark(history.moment())

function databaseAt(file: string): OpenDatabase {
  const known = open.get(file)
  if (known !== undefined) return known
  const opened = openDatabase(file, limits)
  open.set(file, opened)
  return opened
}

function closeDatabase(file: string): void {
  open.get(file)?.close()
  open.delete(file)
}

function query(database: OpenDatabase, { head, body }: Frame): GroupJob | undefined {
  const { number, columns, each } = head as { number: number; columns: boolean; each: boolean }
  const answer = (text: string, refused?: string) =>
    queue(
      { number, kind: 'answer', bookmark: bookmark(database), ...(refused !== undefined && { refused }) },
      Buffer.from(text),
    )
  const fail = (error: string) => answer(JSON.stringify({ success: false, error }), error)
  try {
    return {
      request: { columns, each, queries: readQueries(body) },
      // Where it is the only one that was given, it is known to be the one that runs.
      started: () => head.single !== true && begin(number),
      done: (outcome) => (outcome.ok ? answer(`[${outcome.results.join(',')}]`) : fail(outcome.error)),
    }
  } catch (error) {
    fail((error as Error).message)
    return undefined
  }
}

function orRefuse(number: number, run: () => void): void {
  try {
    run()
  } catch (error) {
    if (!(error instanceof SqlRefusal)) throw error
    send({ number, kind: 'answer', refused: error.message })
  }
}

function describe(number: number, file: string): void {
  const database = databaseAt(file)
  send({ number, kind: 'answer', ...database.describe(), bookmark: bookmark(database) })
}

function importFile(number: number, file: string, source: string): void {
  let told = 0
  orRefuse(number, () => {
    const database = databaseAt(file)
    const outcome = runImport(database, source, limits, (bytes) => {
      if (now() - told < 250) return
      told = now()
      send({ number, kind: 'progress', bytes })
    })
    send({ number, kind: 'answer', ...outcome, bookmark: bookmark(database) })
    database.history.turnIfLong()
  })
}

function checkExport(number: number, file: string, options: DumpOptions): void {
  orRefuse(number, () => {
    const database = databaseAt(file)
    database.asOurs((connection) => checkDump(connection, options))
    send({ number, kind: 'answer', bookmark: bookmark(database) })
  })
}

/** Parts of 256 KiB; the pipe is as full as the reader lets it be. */
function exportFile(number: number, file: string, options: DumpOptions): void {
  const connection = new DatabaseSync(file, { readOnly: true, timeout: 5000 })
  let text = ''
  const part = () => {
    send({ number, kind: 'part' }, Buffer.from(text))
    text = ''
  }
  try {
    connection.exec('BEGIN')
    checkDump(connection, options)
    for (const line of dumpDatabase(connection, options)) {
      text += line
      if (text.length > 262_144) part()
    }
    part()
    send({ number, kind: 'answer' })
  } catch (error) {
    if (!(error instanceof SqlRefusal)) throw error
    send({ number, kind: 'answer', refused: error.message })
  } finally {
    connection.close()
  }
}

function findBookmark(number: number, file: string, time: number | undefined): void {
  const database = databaseAt(file)
  database.history.moment()
  const moment = time === undefined ? database.history.moment() : momentAt(file, time)
  send({ number, kind: 'answer', bookmark: writeBookmark(moment) })
}

/** What is there now is kept first, under the bookmark `previous`. */
function restoreFile(number: number, file: string, wanted: Moment): void {
  const { history } = databaseAt(file)
  if (!history.turn()) throw new SqlRefusal('The database is read by an export; try again when that is done.')
  const previous = history.moment()
  closeDatabase(file)
  restore(file, wanted, previous.log)
  send({ number, kind: 'answer', bookmark: writeBookmark(wanted), previous: writeBookmark(previous) })
}

/** What a process is asked that has nothing else to do. */
function runAlone({ head }: Frame): void {
  const { number, kind, file, source, options, time, moment } = head as {
    number: number
    kind: string
    file: string
    source: string
    options: DumpOptions
    time?: number
    moment: Moment
  }
  if (kind === 'info') describe(number, file)
  else if (kind === 'bookmark') orRefuse(number, () => findBookmark(number, file, time))
  else if (kind === 'restore') orRefuse(number, () => restoreFile(number, file, moment))
  else if (kind === 'import') importFile(number, file, source)
  else if (kind === 'export-check') checkExport(number, file, options)
  else if (kind === 'export') exportFile(number, file, options)
}

/** Frames that came together are of one database. */
function run(frames: readonly Frame[]): void {
  const queries = frames.filter(({ head }) => head.kind === 'query')
  for (const { head } of frames)
    if (head.kind === 'close') {
      closeDatabase(head.file as string)
      send({ number: head.number, kind: 'answer' })
    }
  for (const frame of frames) runAlone(frame)
  if (queries.length === 0) return
  const database = databaseAt(queries[0]!.head.file as string)
  const jobs = queries.map((frame) => query(database, frame)).filter((job) => job !== undefined)
  runGroups({ database, limits, servedBy, now }, jobs, flush)
  flush()
  database.history.turnIfLong()
}

send({ number: 0, kind: 'ready' })

const input = Buffer.allocUnsafe(1024 * 1024)
const read = createFrameReader()
for (;;) {
  let length: number
  try {
    length = readSync(0, input)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    continue
  }
  if (length === 0) break
  const frames = read(Buffer.from(input.subarray(0, length)))
  if (frames.length > 0) run(frames)
}
for (const file of [...open.keys()]) closeDatabase(file)
