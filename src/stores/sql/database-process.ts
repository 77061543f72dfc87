/** One process of databases, seen from the node: what is given to it, and what came back before it ended. */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { accessSync, closeSync, constants, openSync, readSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { begunFile, createFrameReader, encodeFrame, type Frame } from './frames.ts'
import type { SqlLimits } from './open-database.ts'
import type { ServedBy } from './run-query.ts'

export interface DatabaseProcess {
  readonly pid: number | undefined
  /** Frames are read in this order, and what is sent at once is run together where it may be. */
  send(frames: readonly Frame[]): void
  /** Takes no more of what it writes, so that it waits; until `resume`. */
  pause(): void
  resume(): void
  /** It ends when it has done what it was given. */
  end(): void
  /** Once `exited` has told: the number of the query that it began last, of those that were sent with others. */
  begun(): number
  /** At once; `exited` tells. */
  kill(): void
  /** Resolves when all that it wrote has been told. */
  readonly exited: Promise<string>
}

export interface DatabaseProcessOptions {
  readonly limits: SqlLimits
  readonly servedBy: ServedBy
  readonly onFrame: (frame: Frame) => void
}

/** Of the limits, what the processes need. */
export function sqlLimits(limits: SqlLimits): SqlLimits {
  const {
    sqlStatementBytes,
    sqlParameters,
    sqlValueBytes,
    sqlColumns,
    sqlAnswerBytes,
    sqlDatabaseBytes,
    sqlStatementsKept,
    sqlHistoryBytes,
    sqlHistoryMs,
    sqlLogPages,
  } = limits
  return {
    sqlStatementBytes,
    sqlParameters,
    sqlValueBytes,
    sqlColumns,
    sqlAnswerBytes,
    sqlDatabaseBytes,
    sqlStatementsKept,
    sqlHistoryBytes,
    sqlHistoryMs,
    sqlLogPages,
  }
}

/** setpriv(1) of util-linux asks the kernel to kill the process when the node dies, however it dies. */
const setpriv = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
})

/** A file that is gone when its descriptors are closed. */
function openNameless(): number {
  const path = join(tmpdir(), `rimward-${randomUUID()}`)
  const file = openSync(path, 'wx+', 0o600)
  unlinkSync(path)
  return file
}

function readBegun(file: number): number {
  const bytes = Buffer.alloc(8)
  readSync(file, bytes, 0, bytes.length, 0)
  return bytes.readDoubleLE()
}

const program = new URL('./run-databases.child.ts', import.meta.url).pathname

export function startDatabaseProcess({ limits, servedBy, onFrame }: DatabaseProcessOptions): DatabaseProcess {
  const given = JSON.stringify({ limits: sqlLimits(limits), servedBy })
  const command = [process.execPath, '--disable-warning=ExperimentalWarning', program, given]
  if (setpriv !== undefined) command.unshift(setpriv, '--pdeathsig', 'KILL')
  const begun = openNameless()
  const stdio: StdioOptions = ['pipe', 'pipe', 'pipe']
  stdio[begunFile] = begun
  const child: ChildProcess = spawn(command[0]!, command.slice(1), { env: {}, stdio })
  const read = createFrameReader()
  let complaint = ''
  child.stdout!.on('data', (bytes: Buffer) => {
    for (const frame of read(bytes)) onFrame(frame)
  })
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-4096)
  })
  child.stdin!.on('error', () => {})
  const exited = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, signal) => resolve(complaint.trim() || `ended with ${signal ?? code}`))
  })
  let begunLast = 0
  exited.finally(() => {
    begunLast = readBegun(begun)
    closeSync(begun)
  })
  return {
    pid: child.pid,
    exited,
    pause: () => void child.stdout!.pause(),
    resume: () => void child.stdout!.resume(),
    end: () => void child.stdin!.end(),
    begun: () => begunLast,
    kill: () => void child.kill('SIGKILL'),
    send(frames) {
      child.stdin!.cork()
      for (const { head, body } of frames) for (const part of encodeFrame(head, body)) child.stdin!.write(part)
      child.stdin!.uncork()
    },
  }
}
