/** Runs the real command line as a child process, for the tests of this room. */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export const bin = fileURLToPath(new URL('../../bin/rimward.mjs', import.meta.url))

export interface CliResult {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

export interface CliOptions {
  readonly cwd?: string
  readonly env?: Record<string, string>
}

export interface RunningCli {
  readonly child: ChildProcess
  readonly done: Promise<CliResult>
  /** Resolves when stdout holds the text; rejects when the process ends before. */
  until(text: string): Promise<string>
}

export function startCli(args: readonly string[], options: CliOptions = {}): RunningCli {
  const { RIMWARD_API: _api, RIMWARD_TOKEN: _token, CLOUDFLARE_API_BASE_URL: _base, ...rest } = process.env
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', bin, ...args], {
    cwd: options.cwd ?? process.cwd(),
    env: { ...rest, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  const watchers = new Set<() => void>()
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
    for (const watcher of watchers) watcher()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  const done = new Promise<CliResult>((resolve) => child.on('close', (code) => resolve({ code, out, err })))
  const until = (text: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (!out.includes(text)) return
        watchers.delete(look)
        resolve(out)
      }
      watchers.add(look)
      look()
      done.then((result) => reject(new Error(`rimward ended with ${result.code} before "${text}": ${result.err}`)))
    })
  return { child, done, until }
}

export const runCli = (args: readonly string[], options?: CliOptions): Promise<CliResult> =>
  startCli(args, options).done
