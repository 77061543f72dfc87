/**
 * A cell: one workerd process with its own configuration, reached over unix sockets in a private folder. Knows nothing
 * of what runs inside; `cell-pool.ts` (shared cells) and `own-cell.ts` write the configuration.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import type { Milliseconds } from '#/core/units.ts'

export interface CellOptions {
  /** For people: log lines and the folder's records. */
  readonly name: string
  /**
   * Configuration text (workerd.capnp). Its sockets must be `unix:` + `cellSocket(folder, NAME)`. It may hold opened
   * secrets: it lies in the folder (0600) only until the cell has started.
   */
  readonly config: string
  /** Of this cell alone; made here (0700). Keep it short: a socket's path has at most 107 bytes. */
  readonly folder: string
  /** More files the configuration embeds, written beside it and removed with it: name → content. */
  readonly files?: ReadonlyMap<string, Uint8Array | string>
  readonly workerdPath?: string
  /** Features that workerd marks as experimental: object storage on disk, the debug port. Default: allowed. */
  readonly experimental?: boolean
  /** Other cells may reach all its services (`workerd serve --debug-port`) at `debugAddress(cell)`. */
  readonly reachable?: boolean
  /** Longest time from spawn until every socket listens. */
  readonly startMs?: Milliseconds
  /** Called once when the process has ended for any reason, `kill` and `stop` too. */
  readonly onExit?: (reason: string) => void
  /** Each line that workerd writes to stdout and stderr. */
  readonly onLine?: (line: string) => void
}

export interface Cell {
  readonly name: string
  readonly pid: number
  readonly folder: string
  /** Path of one of its unix sockets. */
  socket(name: string): string
  /** SIGKILL, at once: for a cell that hangs. */
  kill(): void
  /** SIGTERM, then SIGKILL after `graceMs` (1 s); resolves when the process is gone. */
  stop(graceMs?: Milliseconds): Promise<void>
  readonly exited: Promise<string>
}

/** Where a socket of a cell lies; for the `address` of a socket in its configuration (`unix:` before it). */
export function cellSocket(folder: string, name: string): string {
  return join(folder, `${name}.s`)
}

/** Where other cells reach the services of one that has a `debugSocket`. */
export function debugAddress(cell: Pick<Cell, 'socket'>): string {
  return `unix:${cell.socket(debugSocketName)}`
}

const debugSocketName = 'debug'

/** The workerd binary that npm installed for this machine. */
export function findWorkerd(): string {
  const require = createRequire(import.meta.url)
  return (require('workerd') as { default: string }).default
}

/** Starts a cell; resolves when all its sockets listen. Rejects with `program_start_failed` and workerd's own words. */
export async function startCell(options: CellOptions): Promise<Cell> {
  const { folder, name } = options
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const configFile = join(folder, 'config.capnp')
  const written = [configFile]
  for (const [file, content] of options.files ?? []) {
    written.push(join(folder, file))
    writeFileSync(join(folder, file), content, { mode: 0o600 })
  }
  writeFileSync(configFile, options.config, { mode: 0o600 })
  const child = spawnWorkerd(options, configFile)
  const lastLines: string[] = []
  const onLine = (line: string) => {
    if (lastLines.length < 20) lastLines.push(line)
    options.onLine?.(line)
  }
  eachLine(child.stdout!, onLine)
  eachLine(child.stderr!, onLine)
  const exited = new Promise<string>((resolve) => {
    // `close`, not `exit`: the last words on stderr are read by then.
    child.once('close', (code, signal) => {
      rmSync(join(folder, 'pid'), { force: true })
      const reason = signal === null ? `exited with code ${code}` : `killed by ${signal}`
      options.onExit?.(reason)
      resolve(reason)
    })
    child.once('error', (error) => {
      options.onExit?.(error.message)
      resolve(error.message)
    })
  })
  try {
    await listening(child, options, exited, lastLines)
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  } finally {
    for (const file of written) rmSync(file, { force: true })
  }
  return {
    name,
    pid: child.pid!,
    folder,
    socket: (socketName) => cellSocket(folder, socketName),
    kill: () => void child.kill('SIGKILL'),
    exited,
    async stop(graceMs = 1000) {
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
      await exited
      clearTimeout(timer)
    },
  }
}

/** setpriv(1) of util-linux asks the kernel to kill the cell when its parent dies, however the parent dies. */
const setpriv = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
})

function spawnWorkerd(options: CellOptions, configFile: string): ChildProcess {
  const workerd = options.workerdPath ?? findWorkerd()
  const command = [workerd, 'serve', '--control-fd=3']
  if (options.experimental !== false) command.push('--experimental')
  if (options.reachable === true) command.push(`--debug-port=unix:${cellSocket(options.folder, debugSocketName)}`)
  command.push(configFile)
  if (setpriv !== undefined) command.unshift(setpriv, '--pdeathsig', 'KILL')
  const child = spawn(command[0]!, command.slice(1), {
    cwd: options.folder,
    env: {},
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  })
  if (child.pid !== undefined)
    writeFileSync(join(options.folder, 'pid'), `${child.pid} ${startTimeOf(child.pid) ?? ''}`, { mode: 0o600 })
  return child
}

/** workerd reports each socket that listens on its control descriptor; all of the configuration's must. */
async function listening(
  child: ChildProcess,
  options: CellOptions,
  exited: Promise<string>,
  lines: readonly string[],
): Promise<void> {
  const wanted = new Set([...options.config.matchAll(/"unix:[^"]*\/([^"/]+)\.s"/g)].map((match) => match[1]!))
  if (options.reachable === true) wanted.add('debug-port')
  const startMs = options.startMs ?? 10_000
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`did not listen within ${startMs} ms`), startMs)
  })
  const ready = new Promise<undefined>((resolve) => {
    eachLine(child.stdio[3] as Readable, (line) => {
      const event = JSON.parse(line) as { event: string; socket?: string }
      if (event.event === 'listen') wanted.delete(event.socket ?? '')
      if (wanted.size === 0) resolve(undefined)
    })
  })
  const trouble = await Promise.race([ready, exited, late])
  clearTimeout(timer)
  if (trouble !== undefined)
    throw new EdgeError('program_start_failed', [`Cell ${options.name} ${trouble}.`, ...lines].join('\n'))
}

function eachLine(stream: Readable, onLine: (line: string) => void): void {
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop()!.slice(-65_536)
    for (const line of lines) if (line !== '') onLine(line)
  })
  stream.on('end', () => {
    if (rest !== '') onLine(rest)
  })
  stream.on('error', () => {})
}

/** Field 22 of /proc/PID/stat: with the pid it names one process for ever (until the machine restarts). */
function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

/**
 * Kills cells that an earlier run left behind (it was killed, on a machine without setpriv) and removes their folders.
 * `runFolder` holds one folder a cell; call it before the first `startCell`.
 */
export function clearLeftovers(runFolder: string): void {
  mkdirSync(runFolder, { recursive: true, mode: 0o700 })
  for (const name of readdirSync(runFolder)) {
    const folder = join(runFolder, name)
    try {
      const [pid, startTime] = readFileSync(join(folder, 'pid'), 'utf8').split(' ')
      if (startTime !== '' && startTimeOf(Number(pid)) === startTime) process.kill(Number(pid), 'SIGKILL')
    } catch {
      // No record, or the process is gone.
    }
    rmSync(folder, { recursive: true, force: true })
  }
}
