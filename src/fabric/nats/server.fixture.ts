/** Real NATS servers for tests: where they are on this machine, started in folders of their own. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { dialled } from './plan.ts'

export interface ServerBinary {
  readonly path: string
  readonly version: string
}

/**
 * Every different server of this machine: the one that RIMWARD_NATS_SERVER names, the one that `.ci/run` builds, and those of the
 * system.
 */
export function findServers(environment: NodeJS.ProcessEnv = process.env): readonly ServerBinary[] {
  const { RIMWARD_NATS_SERVER: named = '', XDG_CACHE_HOME, HOME = '', PATH = '' } = environment
  const built = join(XDG_CACHE_HOME || join(HOME, '.cache'), 'rimward/bin/nats-server')
  const installed = [...PATH.split(delimiter), '/usr/sbin'].map((folder) => join(folder, 'nats-server'))
  const found = new Map<string, ServerBinary>()
  for (const path of [named, built, ...installed]) {
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

export interface ClusterServer extends RunningServer {
  readonly name: string
  /** Starts again on the same folder and ports after `stop`. */
  restart(): Promise<ClusterServer>
}

export interface ClusterPlan {
  readonly binary: ServerBinary
  /** Further lines of each server's configuration. */
  readonly extra?: (index: number) => string
  /** Clients are not told of the other servers. */
  readonly noGossip?: boolean
  /** Where server `from` reaches the route port of server `to`; that port itself unless a relay stands between. */
  readonly route?: (from: number, to: number, ports: readonly number[]) => number
}

/** Nothing listens there: servers tell each other of this port, and reach each other as configured and in no other way. */
const closedPort = 1

/** Three servers with JetStream; each keeps its ports over restarts. */
export async function startCluster(t: Pick<TestContext, 'after'>, plan: ClusterPlan): Promise<ClusterServer[]> {
  const { binary, extra = () => '', noGossip = false, route = (_, to, ports) => ports[to]! } = plan
  const ports = await freePorts(6)
  const routePorts = ports.slice(3)
  const sync = syncsAlways(binary) ? ', sync_interval: always' : ''
  async function start(index: number, folder: string): Promise<ClusterServer> {
    const routes = dialled(index, 3).map((to) => `nats://127.0.0.1:${route(index, to, routePorts)}`)
    const configuration = `
      server_name: n${index}
      listen: "127.0.0.1:${ports[index]}"
      jetstream { store_dir: "${folder}"${sync} }
      cluster {
        name: tests
        listen: "127.0.0.1:${routePorts[index]}"
        advertise: "127.0.0.1:${closedPort}"
        routes: [${routes.map((url) => `"${url}"`).join(', ')}]
        no_advertise: ${noGossip}
        ${syncsAlways(binary) ? 'ping_interval: "3s"' : ''}
      }
      ${extra(index)}`
    const running = await startServer(t, { binary, configuration, folder })
    return { ...running, name: `n${index}`, restart: () => start(index, folder) }
  }
  const folders = await Promise.all([0, 1, 2].map(() => temporaryFolder(t)))
  return Promise.all(folders.map((folder, index) => start(index, folder)))
}

/** Asks again until a cluster that has just started has elected its leaders. */
export async function whenReady<Result>(open: () => Promise<Result>): Promise<Result> {
  for (const until = Date.now() + 30_000; ; ) {
    try {
      return await open()
    } catch (error) {
      if (Date.now() > until) throw error
      await wait(200)
    }
  }
}
