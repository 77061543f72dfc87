/** Imports and exports of whole databases, each in a process of its own: they may take long. */
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, type Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Moment } from './bookmarks.ts'
import type { DatabasePool } from './database-pool.ts'
import { type DatabaseProcess, type DatabaseProcessOptions, startDatabaseProcess } from './database-process.ts'
import type { DumpOptions } from './dump-database.ts'
import type { Frame } from './frames.ts'

export type ImportState =
  | { readonly status: 'active'; readonly bytes: number; readonly bookmark: string }
  | { readonly status: 'error'; readonly error: string }
  | { readonly status: 'complete'; readonly head: Frame['head']; readonly durationMs: number }

export interface Transfers {
  /** Keeps a file for an import; resolves to its MD5 once it is on the disk. Another upload to the database replaces it. */
  receive(folder: string, body: Readable | Uint8Array): Promise<{ readonly md5: string; readonly bytes: number }>
  /** Begins with the file that was received; `undefined` where there is none with this MD5. */
  import(folder: string, md5: string): ImportState | undefined
  /** How the last import of the database went, after a second or once it is over. */
  standing(folder: string): Promise<ImportState | undefined>
  /** SQL text as it is made; breaks off with an error where the database has something that cannot be written. */
  export(folder: string, options: DumpOptions, signal?: AbortSignal): Readable
  /** Takes the database back to a bookmark. Answers where it was, or why that is not possible. */
  restore(folder: string, moment: Moment): Promise<Frame['head']>
  /** Ends what is under way. */
  close(): Promise<void>
}

export interface TransfersOptions extends Omit<DatabaseProcessOptions, 'onFrame' | 'limits'> {
  readonly pool: Pick<DatabasePool, 'alone'>
  readonly limits: Limits
  readonly clock: () => number
}

type TakeFrame = (frame: Frame, process: DatabaseProcess) => void

interface Running {
  state: ImportState
  readonly done: Promise<void>
}

const fileIn = (folder: string) => join(folder, 'database')
const uploadIn = (folder: string) => join(folder, 'import.sql')

export function createTransfers({ pool, limits, clock, servedBy }: TransfersOptions): Transfers {
  /** One a database, until the next; what is over is small. */
  const imports = new Map<string, Running>()
  const received = new Map<string, string>()
  const ends = new Set<() => void>()
  const long = { ...limits, sqlStatementBytes: limits.sqlImportStatementBytes }

  /** Starts a process, gives it one thing to do and resolves to its last frame. */
  async function runProcess(head: Frame['head'], take: TakeFrame, signal?: AbortSignal): Promise<Frame['head']> {
    let last: Frame | undefined
    const process: DatabaseProcess = startDatabaseProcess({
      limits: long,
      servedBy,
      onFrame(frame) {
        if (frame.head.kind === 'answer') last = frame
        else take(frame, process)
      },
    })
    const kill = () => process.kill()
    ends.add(kill)
    signal?.addEventListener('abort', kill, { once: true })
    if (signal?.aborted) kill()
    process.send([{ head: { ...head, number: 1 }, body: new Uint8Array(0) }])
    process.end()
    const why = await process.exited
    ends.delete(kill)
    signal?.removeEventListener('abort', kill)
    if (last === undefined) throw new EdgeError('internal', `A process of databases ended: ${why}`)
    return last.head
  }

  async function runImport(folder: string, running: { state: ImportState }): Promise<void> {
    const startedAt = clock()
    const work = () =>
      runProcess({ kind: 'import', file: fileIn(folder), source: uploadIn(folder) }, ({ head }) => {
        running.state = { status: 'active', bytes: head.bytes as number, bookmark: `${head.bytes}` }
      })
    try {
      const head = await pool.alone(fileIn(folder), work, 'Currently processing a long-running import.')
      const { refused } = head
      running.state =
        typeof refused === 'string'
          ? { status: 'error', error: refused }
          : { status: 'complete', head, durationMs: clock() - startedAt }
    } catch (error) {
      running.state = { status: 'error', error: (error as Error).message }
    }
    await rm(uploadIn(folder), { force: true })
  }

  return {
    async receive(folder, body) {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      if (imports.get(folder)?.state.status === 'active')
        throw new EdgeError('overloaded', 'The database is being filled from another file.')
      received.delete(folder)
      const hash = createHash('md5')
      let bytes = 0
      const count = new Transform({
        transform(chunk: Buffer, _encoding, done) {
          bytes += chunk.length
          hash.update(chunk)
          const isTooLong = bytes > limits.sqlImportBytes
          done(
            isTooLong ? new EdgeError('body_too_large', `A file has at most ${limits.sqlImportBytes} bytes.`) : null,
            chunk,
          )
        },
      })
      const source = body instanceof Uint8Array ? [body] : body
      try {
        await pipeline(source, count, createWriteStream(uploadIn(folder)))
      } catch (error) {
        await rm(uploadIn(folder), { force: true })
        throw error
      }
      const handle = await open(uploadIn(folder))
      await handle.sync().finally(() => handle.close())
      const md5 = hash.digest('hex')
      received.set(folder, md5)
      return { md5, bytes }
    },
    import(folder, md5) {
      const known = imports.get(folder)
      if (known?.state.status === 'active') return known.state
      if (received.get(folder) !== md5) return undefined
      received.delete(folder)
      const running = { state: { status: 'active', bytes: 0, bookmark: '0' } as ImportState }
      imports.set(folder, Object.assign(running, { done: runImport(folder, running) }))
      return running.state
    },
    async standing(folder) {
      const running = imports.get(folder)
      if (running === undefined) return undefined
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, 1000)
      })
      await Promise.race([running.done, late])
      clearTimeout(timer)
      return running.state
    },
    export(folder, options, signal) {
      const out = new PassThrough({ highWaterMark: 1024 * 1024 })
      const left = new AbortController()
      out.once('close', () => left.abort())
      const ended = signal === undefined ? left.signal : AbortSignal.any([left.signal, signal])
      const take: TakeFrame = ({ body }, process) => {
        if (out.write(body)) return
        process.pause()
        out.once('drain', () => process.resume())
      }
      runProcess({ kind: 'export', file: fileIn(folder), options }, take, ended).then(
        ({ refused }) => {
          if (refused === undefined) out.end()
          else out.destroy(new EdgeError('bad_request', String(refused)))
        },
        (error: Error) => out.destroy(error),
      )
      return out
    },
    restore: (folder, moment) =>
      pool.alone(fileIn(folder), () => runProcess({ kind: 'restore', file: fileIn(folder), moment }, () => {})),
    async close() {
      for (const end of ends) end()
      await Promise.all([...imports.values()].map(({ done }) => done))
    },
  }
}
