/** Real NATS servers for tests: where they are on this machine, started in folders of their own. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { TestContext } from 'node:test'

export interface ServerBinary {
  readonly path: string
  readonly version: string
}

/**
 * Every different server of this machine: the one named by RIMWARD_NATS_SERVER (a current release, as CI builds it), and those on
 * the PATH.
 */
export function findServers(environment: NodeJS.ProcessEnv = process.env): readonly ServerBinary[] {
  const places = (environment.PATH ?? '').split(delimiter).map((folder) => join(folder, 'nats-server'))
  const found = new Map<string, ServerBinary>()
  for (const path of [environment.RIMWARD_NATS_SERVER ?? '', ...places]) {
    if (!isExecutable(path)) continue
    const version = /v(\d+\.\d+\.\d+)/.exec(execFileSync(path, ['--version'], { encoding: 'utf8' }))?.[1] ?? 'unknown'
    if (!found.has(version)) found.set(version, { path, version })
  }
  return [...found.values()]
}

/** The newest: what faults are tested with. */
export function newestServer(servers: readonly ServerBinary[] = findServers()): ServerBinary {
  const [newest] = servers.toSorted((one, other) => other.version.localeCompare(one.version, 'en', { numeric: true }))
  if (newest === undefined) throw new Error('There is no nats-server on this machine.')
  return newest
}

/** `sync_interval: always` came after what Debian 12 ships. */
export function syncsAlways({ version }: ServerBinary): boolean {
  return version.localeCompare('2.10.0', 'en', { numeric: true }) >= 0
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return path !== ''
  } catch {
    return false
  }
}

export async function temporaryFolder(t: Pick<TestContext, 'after'>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-nats-'))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  return folder
}

/** Ports that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

export interface RunningServer {
  readonly url: string
  readonly port: number
  readonly process: ChildProcess
  signal(name: NodeJS.Signals): void
  /** SIGKILL, unless another is named; resolves when it is gone. */
  stop(name?: NodeJS.Signals): Promise<void>
  /** What it wrote so far. */
  log(): string
}

/** Starts a server with a configuration; resolves when it takes connections. */
export async function startServer(
  t: Pick<TestContext, 'after'>,
  { binary = newestServer(), configuration, folder }: { binary?: ServerBinary; configuration: string; folder: string },
): Promise<RunningServer> {
  const file = join(folder, 'nats.conf')
  await writeFile(file, configuration)
  return runServer(t, binary, ['-c', file])
}

export async function runServer(
  t: Pick<TestContext, 'after'>,
  binary: ServerBinary,
  flags: readonly string[],
): Promise<RunningServer> {
  const child = spawn(binary.path, flags, { stdio: ['ignore', 'ignore', 'pipe'] })
  const gone = once(child, 'exit')
  let output = ''
  const listening = Promise.withResolvers<number>()
  child.stderr!.on('data', (chunk) => {
    output += chunk
    const port = /Listening for client connections on \S+:(\d+)/.exec(output)?.[1]
    if (port !== undefined && output.includes('Server is ready')) listening.resolve(Number(port))
  })
  gone.then(() => listening.reject(new Error(`nats-server did not start:\n${output}`)))
  listening.promise.catch(() => {})
  async function stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    child.kill('SIGCONT')
    child.kill(signal)
    await gone
  }
  t.after(() => stop())
  const port = await listening.promise
  return {
    port,
    url: `nats://127.0.0.1:${port}`,
    process: child,
    signal: (name) => void child.kill(name),
    stop,
    log: () => output,
  }
}

/** One server with JetStream, all by itself. */
export async function startSingle(
  t: Pick<TestContext, 'after'>,
  binary: ServerBinary,
  extra = '',
): Promise<RunningServer> {
  const folder = await temporaryFolder(t)
  const sync = syncsAlways(binary) ? ', sync_interval: always' : ''
  const configuration = `listen: "127.0.0.1:-1"\njetstream { store_dir: "${folder}"${sync} }\n${extra}`
  return startServer(t, { binary, configuration, folder })
}
