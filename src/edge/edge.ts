/**
 * The data plane of one point of presence: listens, serves, drains.
 */
import { randomBytes } from 'node:crypto'
import type { AddressInfo, Server, Socket } from 'node:net'
import type { Certificates } from '#/core/certificates.ts'
import type { Limits } from '#/core/limits.ts'
import type { Mesh } from '#/core/mesh.ts'
import { pickDeployment } from '#/core/pick-deployment.ts'
import { allows } from '#/core/pops.ts'
import type { Assets, Engine } from '#/core/ports.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import type { Clock } from '#/core/units.ts'
import type { AcceptedExchange } from './accepted.ts'
import { type Connections, createConnections } from './connections.ts'
import { createFastHttp1 } from './fast-http1.ts'
import type { EdgeEgress } from './fetch-origin.ts'
import { findSiteByName } from './find-site.ts'
import type { Front } from './front.ts'
import { createHandOver, isAway, isWithheld } from './hand-over.ts'
import { type HandlePorts, handle, refuse } from './handle.ts'
import { createHttpDate } from './http-date.ts'
import { createHttp1 } from './http1.ts'
import { createHttp2 } from './http2.ts'
import { createCleartextListener } from './listen-cleartext.ts'
import { createTlsListener } from './listen-tls.ts'
import type { Locate } from './locate.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import { createOwnHttp2 } from './own-http2.ts'
import type { ProgramFirst } from './pick-target.ts'
import type { PurgePort } from './purge-request.ts'
import { createRecorder } from './record.ts'
import type { Pop } from './request-headers.ts'
import type { RequestTraces } from './request-traces.ts'
import { createSecureContexts } from './secure-contexts.ts'
import { createSiteAnswers, type SiteAnswers } from './site-answers.ts'
import { createTakeOver } from './take-over.ts'
import { createTlsPassage } from './tls-passage.ts'

export interface Address {
  readonly host: string
  readonly port: number
}

export interface EdgeOptions {
  /** Port 0 takes any free one; `https` needs `certificates`. */
  readonly listen: { readonly http: Address; readonly https?: Address }
  readonly snapshot: () => Snapshot
  readonly engine: Pick<Engine, 'run' | 'warm'>
  readonly assets: Assets
  readonly programFirst: ProgramFirst
  readonly egress: EdgeEgress
  /** Absent: `PURGE` is a method like any other. */
  readonly purge?: PurgePort
  readonly certificates?: Certificates
  readonly log: Log
  readonly metrics: Metrics
  readonly traces?: RequestTraces
  readonly limits: Limits
  readonly clock: Clock
  readonly pop: Pop
  readonly debug: boolean
  readonly locate?: Locate
  /** To other nodes, for what may not be answered here. Absent: this node is the only one. */
  readonly mesh?: Mesh
  /** 32 bytes; the same on points of presence that should accept each other's TLS sessions. */
  readonly ticketSecret?: Uint8Array
  /** False leaves all of HTTP/1 to node:http, for comparing the two. Default true. */
  readonly fastHttp1?: boolean
  /** False reads HTTP/2 by node:http2 instead of our own framing, for comparing the two. Default true. */
  readonly ownHttp2?: boolean
}

export interface Edge {
  readonly addresses: { readonly http: Address; readonly https?: Address }
  /** Stops accepting, finishes what is in flight within `drainMs`, then closes. */
  drain(): Promise<void>
  /** Closes at once; what is in flight is cut. */
  close(): Promise<void>
}

export async function createEdge(options: EdgeOptions): Promise<Edge> {
  const { limits, metrics, pop, listen } = options
  const connections = createConnections({ limits, metrics, locate: options.locate, country: pop.country })
  const addresses: { http: Address; https?: Address } = { http: listen.http }
  const siteAnswers = createSiteAnswers({ limits, httpsPort: () => addresses.https?.port })
  const front = createFront(options, connections, siteAnswers)
  const takeOver = options.mesh && createTakeOver(options.mesh, front)
  const slowHttp1 = createHttp1(front)
  const fastHttp1 = options.fastHttp1 === false ? undefined : createFastHttp1(front, slowHttp1)
  const http1 = fastHttp1 ?? { adopt: (socket: Socket) => adoptByNode(slowHttp1, socket) }
  const ownHttp2 = options.ownHttp2 === false ? undefined : createOwnHttp2(front)
  const http2 = ownHttp2 ?? createHttp2(front)
  const listeners: Server[] = []
  const shared = { http1, http2, connections, limits }
  const cleartext = createCleartextListener(shared)
  addresses.http = await start(cleartext, listen.http)
  listeners.push(cleartext)
  if (listen.https !== undefined) {
    if (options.certificates === undefined) throw new TypeError('listen.https needs certificates')
    const tls = await createTlsListener({
      ...shared,
      contexts: createSecureContexts({ certificates: options.certificates, limits, clock: options.clock }),
      clock: options.clock,
      ticketSecret: options.ticketSecret ?? randomBytes(32),
      onClientHello: (name) => warm(options, name),
      onRefused: () => metrics.refused('tls_handshake'),
      passage:
        options.mesh &&
        createTlsPassage({
          ...options,
          mesh: options.mesh,
          country: pop.country,
          onRefused: () => metrics.refused('peer_away'),
        }),
    })
    listeners.push(tls)
    addresses.https = await start(tls, listen.https)
  }

  function closeHttp1(): void {
    slowHttp1.close()
    fastHttp1?.close()
    ownHttp2?.close()
  }

  async function close(): Promise<void> {
    for (const listener of listeners) listener.close()
    takeOver?.close()
    connections.destroyAll()
    closeHttp1()
    await connections.empty()
  }

  return {
    addresses,
    async drain() {
      front.draining = true
      for (const listener of listeners) listener.close()
      for (const socket of connections.silent) socket.destroy()
      for (const connection of connections.all) endIdle(connection)
      const timer = setTimeout(() => {
        connections.destroyAll()
        takeOver?.close()
      }, limits.drainMs)
      await Promise.all([connections.empty(), takeOver?.drain()])
      clearTimeout(timer)
      takeOver?.close()
      closeHttp1()
    },
    close,
  }
}

function adoptByNode(server: Server, socket: Socket): void {
  server.emit('connection', socket)
  socket.resume()
}

function endIdle(connection: Connections['all'] extends ReadonlySet<infer One> ? One : never): void {
  for (const goAway of connection.webSockets ?? []) goAway()
  if (connection.endGracefully !== undefined) connection.endGracefully()
  else if (connection.live.length === 0) connection.endSoon()
}

type MutableFront = Front & HandlePorts & { draining: boolean }

function createFront(options: EdgeOptions, connections: Connections, siteAnswers: SiteAnswers): MutableFront {
  const { log, metrics, pop, limits } = options
  const recorder = createRecorder({
    log,
    metrics,
    pop: pop.id,
    mayLog: () => allows(options.snapshot().logWithin, pop.country),
  })
  const onBug = (bug: unknown) => log.logger.error({ err: bug }, 'handle')
  const withhold = (exchange: AcceptedExchange) => {
    exchange.withheld ||= isWithheld(options.snapshot(), exchange, pop.country)
  }
  const front: MutableFront = {
    snapshot: options.snapshot,
    engine: options.engine,
    assets: options.assets,
    programFirst: options.programFirst,
    egress: options.egress,
    purge: options.purge,
    certificates: options.certificates,
    traces: options.traces,
    siteAnswers,
    handOver: createHandOver({ mesh: options.mesh, limits }),
    limits,
    clock: options.clock,
    httpDate: createHttpDate(options.clock),
    pop,
    debug: options.debug,
    random: Math.random,
    draining: false,
    unreadBodyBytes: limits.unreadBodyBytes,
    record(exchange) {
      metrics.inFlight(-1)
      // Its site may have been confined to other countries while it was answered.
      if (options.snapshot().placements !== undefined) withhold(exchange)
      recorder.record(exchange)
    },
    connectionOf: connections.of,
    serve(exchange, reply) {
      metrics.inFlight(1)
      return handle(exchange, reply, front).catch(onBug)
    },
    refuse(exchange, reply, error) {
      metrics.refused(error.code)
      withhold(exchange)
      reply.closeAfter()
      refuse(exchange, reply, error, front)
      recorder.record(exchange)
    },
  }
  return front
}

/** The name in a ClientHello tells which program is about to be asked: its cold start runs beside the handshake. */
function warm(options: EdgeOptions, serverName: string): void {
  const snapshot = options.snapshot()
  const site = findSiteByName(snapshot, serverName)
  if (site?.target.kind !== 'program' || isAway(site, options.pop.country)) return
  const program = snapshot.programs.get(site.target.program)
  const picked = program && pickDeployment(program, [], Math.random())
  if (program === undefined || picked === undefined) return
  const { code, compute } = picked.deployment
  if ((code ?? compute) !== undefined) options.engine.warm(program, picked.deployment)
}

async function start(server: Server, { host, port }: Address): Promise<Address> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen({ host, port, backlog: 1024 }, resolve)
  await promise
  server.off('error', reject)
  const bound = server.address() as AddressInfo
  return { host: bound.address, port: bound.port }
}
