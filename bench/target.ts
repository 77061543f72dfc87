/** A server under test: what answers, and the root of its process tree. */
import { type ChildProcess, spawn } from 'node:child_process'

export interface Target {
  readonly host: string
  readonly port: number
  /** Values for the Host header, taken in turn by the requests. */
  readonly authorities: readonly string[]
  readonly path: string
  readonly pid: number
  stop(): Promise<void>
}

export interface Peer {
  readonly name: string
  readonly version: string
  /** Load before the first round, where that of one round does not bring it to its best. */
  readonly warmUpSeconds?: number
  start(): Promise<Target>
}

export interface Launched {
  readonly child: ChildProcess
  /** Resolves with the first match in what the process prints; rejects when it ends before. */
  until(pattern: RegExp): Promise<RegExpExecArray>
  stop(): Promise<void>
}

export interface LaunchOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  /** Also read file descriptor 3. */
  readonly controlPipe?: boolean
}

const running = new Set<Launched>()

/** Ends every server that still runs, as its `stop` does. */
export async function stopAll(): Promise<void> {
  await Promise.all([...running].map((one) => one.stop()))
}

/** Starts a process in a group of its own, so that `stop` reaches its descendants too. */
export function launch(command: string, args: readonly string[], options: LaunchOptions = {}): Launched {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe', ...(options.controlPipe ? (['pipe'] as const) : [])],
    detached: true,
  })
  let text = ''
  const lookers = new Set<() => void>()
  for (const stream of child.stdio.slice(1)) {
    stream?.on('data', (chunk: Buffer) => {
      text = (text + chunk).slice(-65_536)
      for (const look of lookers) look()
    })
  }
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const kill = (signal: NodeJS.Signals): void => {
    try {
      process.kill(-child.pid!, signal)
    } catch {
      // The group is gone already.
    }
  }
  process.once('exit', () => kill('SIGKILL'))
  const launched: Launched = {
    child,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const match = pattern.exec(text)
          if (!match) return
          lookers.delete(look)
          resolve(match)
        }
        lookers.add(look)
        look()
        ended.then(() => reject(new Error(`${command} ended before ${pattern}:\n${text}`)))
      }),
    async stop() {
      kill('SIGTERM')
      const timer = setTimeout(() => kill('SIGKILL'), 12_000)
      await ended
      clearTimeout(timer)
      kill('SIGKILL')
    },
  }
  running.add(launched)
  ended.then(() => running.delete(launched))
  return launched
}
