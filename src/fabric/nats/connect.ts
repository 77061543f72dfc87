/** The connection: who we are, over what, and what it says when that does not work. */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect as connectSocket, isIP, type Socket } from 'node:net'
import { checkServerIdentity } from 'node:tls'
import {
  type Authenticator,
  AuthorizationError,
  connect,
  credsAuthenticator,
  type NatsConnection,
  type NodeConnectionOptions,
  nkeyAuthenticator,
  nkeys,
  PermissionViolationError,
  type TlsOptions,
} from '@nats-io/transport-node'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Elsewhere } from './look-elsewhere.ts'

export interface NatsServers {
  /** `nats://host:4222` or `tls://host:4222`, the nearest first; others of a cluster are learned from the first that answers. */
  readonly servers: readonly string[]
  /** A file of credentials (`.creds`), or one that holds an nkey's seed. */
  readonly credentialsFile?: string
  /** Paths of PEM files. Any of them, or a `tls:` address, makes TLS a must. */
  readonly tls?: { readonly caFile?: string; readonly certFile?: string; readonly keyFile?: string }
}

/**
 * Reads what `--join` was given, several addresses separated by commas, and the environment: `RIMWARD_NATS_CREDENTIALS` and
 * `RIMWARD_NATS_CA` name files.
 */
export function readJoin(join: string, environment: Readonly<Record<string, string | undefined>>): NatsServers {
  const servers = join.split(',').map((address) => address.trim())
  for (const server of servers) readAddress(server)
  const { RIMWARD_NATS_CREDENTIALS: credentialsFile, RIMWARD_NATS_CA: caFile } = environment
  return { servers, ...(credentialsFile && { credentialsFile }), ...(caFile && { tls: { caFile } }) }
}

/** NATS on this machine, open to whoever is on it: then so is the platform. */
export function isTrial({ servers, credentialsFile }: NatsServers): boolean {
  return credentialsFile === undefined && servers.map(readAddress).every(isLocal)
}

function isLocal({ host: address, user }: Address): boolean {
  const host = address.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
  return user === undefined && (host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.')))
}

/** The oldest release with what is asked for here: consumers whose filter stands in the subject of their making. */
const oldest = [2, 9, 0]

export interface Connected {
  readonly connection: NatsConnection
  readonly elsewhere: Elsewhere
  /** The servers as they were named, without passwords. */
  readonly named: string
  readonly inboxPrefix?: string
}

/** Rejects within `natsConnectMs` for each server, naming it and what is wrong; nothing is left open then. */
export async function connectToNats(
  { servers, credentialsFile, tls }: NatsServers,
  limits: Pick<Limits, 'natsConnectMs'>,
): Promise<Connected> {
  const addresses = servers.map(readAddress)
  const [first] = addresses
  if (first === undefined) throw new EdgeError('bad_request', 'No NATS server was named.')
  const named = addresses.map(({ shown }) => shown).join(', ')
  const identity = credentialsFile === undefined ? undefined : await readIdentity(credentialsFile)
  const wantsTls = tls !== undefined || addresses.some(({ secure }) => secure)
  const greeting = await findGreeting(addresses, limits.natsConnectMs).catch((error: Error) => {
    throw explainConnect(error, named, credentialsFile)
  })
  let wanted: string | undefined
  const common: NodeConnectionOptions = {
    name: 'rimward',
    timeout: limits.natsConnectMs,
    ignoreAuthErrorAbort: true,
    ...(wantsTls ? { tls: { ...tls, checkServerIdentity: identityCheck(addresses) } as TlsOptions } : {}),
    ...(first.user === undefined ? {} : { user: first.user, pass: first.password ?? '' }),
    ...(identity ?? {}),
  }
  const connection = await connect({
    ...common,
    servers: greeting,
    // The first that was named is the nearest.
    noRandomize: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    reconnectJitter: 100,
    reconnectJitterTLS: 100,
    reconnectToServer(servers) {
      const found = servers.find(({ listen }) => listen === wanted)
      wanted = undefined
      return found ?? triedLongestAgo(servers)
    },
    // A paused server keeps its connection: two of these unanswered, and the next server is tried.
    pingInterval: 1500,
    maxPingOut: 2,
    // Listeners on this node are told at once, without the way there and back.
    noEcho: true,
  }).catch((error: Error) => {
    throw explainConnect(error, named, credentialsFile)
  })
  const elsewhere: Elsewhere = {
    async connectTo(listen) {
      await greet({ host: listen }, limits.natsConnectMs)
      return connect({ ...common, servers: listen, reconnect: false, ignoreClusterUpdates: true })
    },
    moveTo(listen) {
      const pool = connection.getServers().map((server) => server.listen)
      // One that was out of reach when this node started.
      if (!pool.includes(listen)) connection.setServers([...pool, listen])
      wanted = listen
      return connection.reconnect()
    },
    others: () =>
      connection
        .getServers()
        .map(({ listen }) => listen)
        .filter((listen) => listen !== connection.getServer()),
    nearer() {
      const all = addresses.map(({ host }) => host)
      const rank = all.indexOf(connection.getServer())
      return rank < 0 ? all : all.slice(0, rank)
    },
    inUse: () => connection.info?.server_id,
  }
  holdLateErrors(connection)
  const complaint = complainAbout(connection)
  if (complaint === undefined)
    return { connection, elsewhere, named, ...(identity && { inboxPrefix: identity.inboxPrefix }) }
  await connection.close()
  throw new EdgeError('fabric_away', `NATS at ${named}: ${complaint}`)
}

/**
 * Hosts that greet as NATS does. The client leaves a socket open when its first server is silent; those are not even tried.
 * Rejects when there is none.
 */
async function findGreeting(addresses: readonly Address[], withinMs: number): Promise<string[]> {
  const greetings = await Promise.allSettled(addresses.map((address) => greet(address, withinMs)))
  const [first] = greetings
  const found = addresses.filter((_, i) => greetings[i]?.status === 'fulfilled').map(({ host }) => host)
  if (found.length === 0 && first?.status === 'rejected') throw first.reason
  return found
}

async function greet({ host }: Pick<Address, 'host'>, withinMs: number): Promise<void> {
  const colon = host.lastIndexOf(':')
  const socket = connectSocket({
    host: host.slice(0, colon).replace(/^\[|\]$/g, ''),
    port: Number(host.slice(colon + 1)),
  })
  try {
    const [said] = (await once(socket, 'data', { signal: AbortSignal.timeout(withinMs) })) as [Buffer]
    if (!said.toString('latin1').startsWith('INFO ')) throw new Error('what answers there is not NATS')
  } catch (error) {
    throw (error as Error).name === 'AbortError' ? new Error(`nothing was heard for ${withinMs} ms`) : error
  } finally {
    socket.on('error', () => {}).destroy()
  }
}

/** The client itself tries first the one that it has just lost: one that is paused costs `natsConnectMs` then. */
function triedLongestAgo<Server extends { readonly lastConnect: number }>(servers: readonly Server[]): Server | null {
  const [first = null] = servers.toSorted((one, other) => one.lastConnect - other.lastConnect)
  return first
}

interface Address {
  readonly host: string
  readonly shown: string
  readonly secure: boolean
  readonly user?: string
  readonly password?: string
}

/** Reads `nats://user:password@host:port`, `tls://host`, `host:port`; `shown` leaves the password out. */
export function readAddress(text: string): Address {
  const url = URL.parse(/^[a-z]+:\/\//i.test(text) ? text : `nats://${text}`)
  if (url === null || !['nats:', 'tls:'].includes(url.protocol) || url.hostname === '' || url.pathname.length > 1)
    throw new EdgeError('bad_request', `«${text}» is no address of a NATS server: nats://HOST:PORT or tls://HOST:PORT.`)
  const host = `${url.hostname}:${url.port || '4222'}`
  return {
    host,
    shown: `${url.protocol}//${host}`,
    secure: url.protocol === 'tls:',
    ...(url.username === ''
      ? {}
      : { user: decodeURIComponent(url.username), password: decodeURIComponent(url.password) }),
  }
}

/**
 * The client checks a server that was dialled by its address against the name `localhost`. The certificate must then name one of
 * the addresses that we were told.
 */
function identityCheck(addresses: readonly Address[]): typeof checkServerIdentity {
  const dialled = addresses.map(({ host }) => host.slice(0, host.lastIndexOf(':')).replace(/^\[|\]$/g, ''))
  return (name, certificate) => {
    const error = checkServerIdentity(name, certificate)
    const named = dialled.some((ip) => isIP(ip) !== 0 && checkServerIdentity(ip, certificate) === undefined)
    return named ? undefined : error
  }
}

interface Identity {
  readonly authenticator: Authenticator
  /** Answers reach this user only: the server's rights name it (`rimward nats-config`). */
  readonly inboxPrefix: string
}

async function readIdentity(file: string): Promise<Identity> {
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new EdgeError('bad_request', `The credentials for NATS cannot be read: ${error.message}`, { cause: error })
  })
  const seed = /^\s*(SU[A-Z2-7]{50,})\s*$/m.exec(text)?.[1]
  if (seed === undefined)
    throw new EdgeError('bad_request', `${file} holds neither the seed of an nkey user (SU…) nor NATS credentials.`)
  const bytes = new TextEncoder().encode(text.includes('BEGIN NATS USER JWT') ? text : seed)
  try {
    const name = nkeys.fromSeed(new TextEncoder().encode(seed)).getPublicKey()
    const authenticator = bytes.length === seed.length ? nkeyAuthenticator(bytes) : credsAuthenticator(bytes)
    return { authenticator, inboxPrefix: `_INBOX_${name}` }
  } catch (error) {
    throw new EdgeError('bad_request', `${file} holds a damaged seed of an nkey user.`, { cause: error })
  }
}

function explainConnect(error: Error, named: string, credentialsFile: string | undefined): EdgeError {
  const shown =
    credentialsFile === undefined ? 'No credentials were given' : `The credentials are of ${credentialsFile}`
  if (error instanceof AuthorizationError || /authorization|authentication/i.test(error.message))
    return new EdgeError('fabric_away', `NATS at ${named} refused us: ${error.message}. ${shown}.`, { cause: error })
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : ''
  return new EdgeError('fabric_away', `NATS at ${named} cannot be reached: ${error.message}${cause}`, { cause: error })
}

function complainAbout({ info }: NatsConnection): string | undefined {
  if (info === undefined) return 'the server did not say what it is.'
  const version = info.version.split('.').map(Number.parseFloat)
  const difference = oldest.map((number, i) => (version[i] ?? 0) - number).find((part) => part !== 0) ?? 0
  if (difference < 0) return `version ${info.version} is too old, ${oldest.join('.')} is the oldest that will do.`
  if (!info.headers) return 'the server has headers switched off.'
  return undefined
}

/**
 * When the client closes a connection whose server has just gone, it writes once more and takes its listeners off the socket;
 * the error of that write then has none and would end the process. To be called for each new connection.
 */
export function holdLateErrors(connection: NatsConnection): void {
  const { protocol } = connection as { protocol?: { transport?: { socket?: Socket } } }
  const socket = protocol?.transport?.socket
  if (socket === undefined) return
  const removeAll = socket.removeAllListeners.bind(socket)
  socket.removeAllListeners = (name?: string) => removeAll(name).on('error', () => {})
}

/** Whether the server refused a subject to this user. */
export function isRefusedSubject(error: unknown): boolean {
  if (error instanceof PermissionViolationError) return true
  return error instanceof Error && error.cause instanceof PermissionViolationError
}
