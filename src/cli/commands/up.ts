/** `rimward up`: starts a node and keeps it until a signal. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { EdgeError } from '#/core/errors.ts'
import type { startPlatform } from '#/platform.ts'
import { Complaint } from '../complaint.ts'
import {
  claimDataFolder,
  defaultDataFolder,
  keepToken,
  makeDataFolder,
  obtainToken,
  readNodeFile,
  writeNodeFile,
} from '../data-folder.ts'
import { type Address, oneOf, parseAddress, parsePercent, parsePops } from '../parse-flags.ts'
import { type Terminal, table } from '../terminal.ts'
import { shellQuote } from './env.ts'

export interface UpFlags {
  readonly data: string
  readonly http: string
  readonly https?: string
  readonly api?: string
  readonly pops: string
  readonly join?: string
  readonly invite?: string
  readonly mesh?: string
  readonly debug?: boolean
  readonly log: string
  readonly logSample: string
  readonly logQuery: string
  readonly logAddress: string
  readonly json?: boolean
}

type StartOptions = Parameters<typeof startPlatform>[0]
type Running = Awaited<ReturnType<typeof startPlatform>>

export interface UpDependencies {
  readonly terminal: Terminal
  /** Loaded when it is needed: the other commands start without the engines. */
  readonly start: (options: StartOptions) => Promise<Running>
  readonly process: Pick<NodeJS.Process, 'on' | 'exit' | 'pid'>
  readonly now: () => number
}

/** A terminal's Ctrl-C reaches us directly and again through npx or a parent Node: that is one signal, not two. */
const sameSignalMs = 500

/** 127.0.0.1:8081, or the first port after those of the PoPs where these cover it. */
function apiBeside(http: Address, pops: number): Address {
  const covered = http.port <= 8081 && 8081 < http.port + pops
  return { host: '127.0.0.1', port: covered ? http.port + pops : 8081 }
}

type JoinSetUp = NonNullable<StartOptions['join']>

/** Where NATS is on this machine, all nodes are taken to be; elsewhere only the operator knows how they reach each other. */
async function joinSetUp(servers: string, { invite, mesh }: UpFlags, { env }: Terminal): Promise<JoinSetUp> {
  const { isTrial, readJoin } = await import('#/nats-set-up.ts')
  let nats: JoinSetUp['nats']
  try {
    nats = readJoin(servers, env)
  } catch (error) {
    throw error instanceof EdgeError ? new Complaint(`--join: ${error.message}`) : error
  }
  if (mesh === undefined && !isTrial(nats))
    throw new Complaint('--join also needs --mesh HOST:PORT: where nodes of other machines reach this one.')
  const invitation = invite ?? env.RIMWARD_INVITE
  return {
    nats,
    mesh: mesh === undefined ? { host: '127.0.0.1', port: 0 } : parseAddress('--mesh', mesh),
    ...(invitation !== undefined && invitation !== '' && { invite: invitation }),
    ...(env.RIMWARD_TOKEN !== undefined && env.RIMWARD_TOKEN !== '' && { token: env.RIMWARD_TOKEN }),
  }
}

async function startOptions(flags: UpFlags, terminal: Terminal): Promise<Omit<StartOptions, 'token'>> {
  const endpoint = terminal.env.OTEL_EXPORTER_OTLP_ENDPOINT
  const http = parseAddress('--http', flags.http)
  const pops = parsePops(flags.pops)
  return {
    data: resolve(terminal.folder, flags.data),
    http,
    ...(flags.https !== undefined && { https: parseAddress('--https', flags.https) }),
    api: flags.api === undefined ? apiBeside(http, pops.length) : parseAddress('--api', flags.api),
    pops,
    ...(flags.join !== undefined && { join: await joinSetUp(flags.join, flags, terminal) }),
    debug: flags.debug ?? false,
    log: oneOf('--log', flags.log, ['file', 'stderr', 'off'] as const),
    logged: {
      sample: parsePercent('--log-sample', flags.logSample) / 100,
      query: oneOf('--log-query', flags.logQuery, ['full', 'names', 'none'] as const),
      address: oneOf('--log-address', flags.logAddress, ['full', 'network'] as const),
    },
    ...(endpoint !== undefined && endpoint !== '' && { otlpEndpoint: endpoint }),
  }
}

/** The failure to listen or to open the folder, or any the platform knows, as one line; the rest is a bug and is thrown on. */
function explainStart(error: unknown, flags: UpFlags): Complaint | undefined {
  if (error instanceof EdgeError) return new Complaint(`The node does not start: ${error.message}`)
  const pops = flags.pops.split(',').length
  const { code, port, address } = error as NodeJS.ErrnoException & { port?: number; address?: string }
  const flag = (['api', 'http', 'https'] as const).find((name) =>
    isPortOf(flags[name], port, name === 'api' ? 1 : pops),
  )
  const where = address === undefined ? `port ${port}` : `${address}:${port}`
  const by = flag === undefined ? '' : ` (--${flag})`
  if (code === 'EADDRINUSE') return new Complaint(`${where}${by} is in use by another program; give another address.`)
  if (code === 'EACCES' && port !== undefined) return new Complaint(`${where}${by} may not be opened by this user.`)
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return new Complaint(`${where}${by} is not an address of this machine.`)
  if (code === 'EACCES' || code === 'EROFS' || code === 'ENOSPC') {
    return new Complaint(`The data folder ${flags.data} cannot be written: ${(error as Error).message}`)
  }
  return undefined
}

/** The n-th PoP listens on the port + n - 1. */
function isPortOf(address: string | undefined, port: number | undefined, pops: number): boolean {
  const first = Number(address?.slice(address.lastIndexOf(':') + 1) ?? Number.NaN)
  return port !== undefined && port >= first && port < first + pops
}

function banner(running: Running, flags: UpFlags, terminal: Terminal): void {
  const { addresses, pops, accountId } = running
  if (flags.json) {
    terminal.out(JSON.stringify({ addresses, pops, accountId, data: resolve(terminal.folder, flags.data) }))
    return
  }
  const api = flags.data === defaultDataFolder ? '' : ` --data ${shellQuote(flags.data)}`
  terminal.out(
    `Programs  ${addresses.http}   a Worker NAME answers at http://NAME.localhost:${new URL(addresses.http).port}/`,
  )
  if (addresses.https !== undefined) terminal.out(`with TLS  ${addresses.https}`)
  if (pops.length > 1)
    for (const line of table(
      pops.map(({ id, country, http, https }) => [`PoP       ${id}`, country, http, https ?? '']),
    ))
      terminal.out(line)
  terminal.out(`Control   ${addresses.api}   the state in a browser; the token lies in ${flags.data}/token`)
  for (const sentence of running.lacks) terminal.out(`Note      ${sentence}`)
  terminal.out('')
  terminal.out('To deploy with wrangler (or fastly), in another shell:')
  terminal.out(`  eval "$(npx rimward env${api})"`)
  terminal.out('  npx wrangler deploy')
  terminal.out('')
}

/**
 * Resolves once when SIGTERM or SIGINT comes, also while the node still starts: its processes must not be left behind.
 * A second signal exits at once.
 */
export function waitForSignal({ process, now }: Pick<UpDependencies, 'process' | 'now'>): Promise<void> {
  let signalledAt: number | undefined
  return new Promise((resolve) => {
    const onSignal = (): void => {
      if (signalledAt !== undefined && now() - signalledAt > sameSignalMs) process.exit(1)
      signalledAt ??= now()
      resolve()
    }
    process.on('SIGTERM', onSignal)
    process.on('SIGINT', onSignal)
  })
}

/** Starts the node and returns when it is ready; ends the process with 0 after a signal. */
export async function up(flags: UpFlags, dependencies: UpDependencies): Promise<void> {
  const { terminal, process } = dependencies
  const options = await startOptions(flags, terminal)
  makeDataFolder(options.data)
  const release = claimDataFolder(options.data)
  const token = obtainToken(options.data, terminal.env.RIMWARD_TOKEN)
  const signalled = waitForSignal(dependencies)
  const before = readNodeFile(options.data)?.pops
  const ranAs = before?.length === 1 ? before[0]!.id : undefined
  const running = await dependencies
    .start({ ...options, token, ...(ranAs !== undefined && { ranAs }) })
    .catch((error: unknown) => {
      throw explainStart(error, flags) ?? error
    })
  const stopped = signalled.then(() => running.stop())
  stopped.then(release).then(
    () => process.exit(0),
    (error: unknown) => {
      terminal.err(`rimward: stopping failed: ${(error as Error).message}`)
      process.exit(1)
    },
  )
  const { accountId, addresses, pops } = running
  if (running.token !== token) keepToken(options.data, running.token)
  writeNodeFile(options.data, { pid: process.pid, accountId, addresses, pops: [...pops] })
  banner(running, flags, terminal)
  terminal.out('rimward ready')
}

export function addUp(program: Command, dependencies: UpDependencies): void {
  program
    .command('up')
    .description('start a node: control API, data plane and engines in one process')
    .option('--data <folder>', 'everything that must last', defaultDataFolder)
    .option('--http <host:port>', 'data plane, HTTP/1.1 and cleartext HTTP/2', '127.0.0.1:8080')
    .option('--https <host:port>', 'data plane with TLS (off unless given)')
    .option('--api <host:port>', 'control API and web page (127.0.0.1:8081, or after the ports of several PoPs)')
    .option(
      '--pops <list>',
      'points of presence that run here, ID or ID:COUNTRY; the n-th listens on port + n - 1',
      'local',
    )
    .option(
      '--join <url>',
      'NATS of the platform that this becomes a part of, nats://HOST:PORT, several separated by commas',
    )
    .option('--invite <token>', 'lets this machine in; as "rimward invite" printed it (or RIMWARD_INVITE)')
    .option('--mesh <host:port>', 'where nodes of other machines reach this one; with --join')
    .option('--debug', 'add diagnostic response headers')
    .option('--log <where>', 'log lines go to "file" (in the data folder), "stderr" or "off"', 'file')
    .option('--log-sample <percent>', 'share of exchanges that leave a line; those with an error always do', '100')
    .option('--log-query <what>', 'of queries, keep the "names" of parameters, "full" or "none"', 'names')
    .option('--log-address <what>', 'of client addresses, keep "full" or the "network"', 'full')
    .option('--json', 'print the addresses as JSON instead of the banner')
    .addHelpText('after', '\nEnvironment: RIMWARD_TOKEN sets the token; OTEL_EXPORTER_OTLP_ENDPOINT turns on traces.')
    .action((flags: UpFlags) => up(flags, dependencies))
}
