/** What a cell is told of a program and of a request. */
import type { ComputeCode } from '#/core/compute.ts'
import type { Client, HeaderList } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import { type Origin, type TcpKeepAlive, tlsVersions } from '#/core/origin.ts'
import type { ProgramRequest } from '#/core/ports.ts'
import type { Deployment, Program } from '#/core/snapshot.ts'
import type { BackendFacts, ClientFacts, ProgramFacts, RunHead } from './protocol.ts'

export function programFacts(
  program: Program,
  deployment: Deployment & { readonly compute: ComputeCode },
  place: {
    readonly pop: { readonly id: string; readonly country: string }
    readonly customer: string
    readonly limits: Limits
  },
): ProgramFacts {
  const { compute } = deployment
  return {
    name: program.name,
    service: compute.service,
    customer: place.customer,
    staged: deployment.staged === true,
    pop: place.pop.id,
    region: place.pop.country,
    hostname: place.pop.id,
    backends: compute.backends.map((backend) => backendFacts(asBackend(backend, place.limits), place.limits)),
    stores: compute.stores.map(({ kind, name }) => ({ kind, name })),
    logs: compute.logs.map(({ name }) => name),
    dictionaries: program.lookups?.tables ?? {},
  }
}

/** As at Fastly. */
export const usualTcpKeepAlive: TcpKeepAlive = { idleMs: 300_000, intervalMs: 10_000, probes: 3 }

const completed = new WeakMap<Origin, Origin>()

/** An origin with what backends of Compute programs have where nobody said otherwise; the same one each time. */
export function asBackend(origin: Origin, limits: Limits): Origin {
  const found = completed.get(origin)
  if (found !== undefined) return found
  const made = { keepAliveMs: limits.computeKeepAliveMs, tcpKeepAlive: usualTcpKeepAlive, ...origin }
  completed.set(origin, made)
  return made
}

export function backendFacts(backend: Origin, limits: Limits): BackendFacts {
  const { protocol, hostname, port } = new URL(backend.url)
  const tls = protocol === 'https:'
  return {
    name: backend.name,
    host: hostname,
    port: port === '' ? (tls ? 443 : 80) : Number(port),
    tls,
    ...(backend.overrideHost !== undefined && { overrideHost: backend.overrideHost }),
    connectTimeoutMs: backend.connectTimeoutMs ?? limits.siteOriginConnectMs,
    firstByteTimeoutMs: backend.firstByteTimeoutMs ?? limits.siteOriginFirstByteMs,
    betweenBytesTimeoutMs: backend.betweenBytesTimeoutMs ?? limits.siteOriginBetweenBytesMs,
    keepAliveMs: backend.keepAliveMs ?? limits.computeKeepAliveMs,
    tcpKeepAlive: backend.tcpKeepAlive ?? usualTcpKeepAlive,
    ...(backend.minTlsVersion && { minTlsVersion: tlsVersions.indexOf(backend.minTlsVersion) }),
    ...(backend.maxTlsVersion && { maxTlsVersion: tlsVersions.indexOf(backend.maxTlsVersion) }),
  }
}

export function runHead(deployment: Deployment, run: number, request: ProgramRequest): RunHead {
  const { address, port, tls } = request.client
  return {
    program: deployment.id,
    run,
    requestId: request.id,
    method: request.method,
    uri: `${request.scheme}://${request.authority}${request.path}`,
    headers: ['host', request.authority, ...withoutWorkers(request.headers)],
    client: { address, port, serverAddress: request.serverAddress, httpVersion: request.httpVersion, ...tlsFacts(tls) },
    originalNames: request.received.filter((_, index) => index % 2 === 0),
  }
}

/** Fields that only Workers expect. */
function withoutWorkers(headers: HeaderList): HeaderList {
  const kept: HeaderList = []
  for (let index = 0; index < headers.length; index += 2)
    if (!headers[index]!.startsWith('cf-')) kept.push(headers[index]!, headers[index + 1]!)
  return kept
}

function tlsFacts(tls: Client['tls']): Pick<ClientFacts, 'tls'> {
  if (tls === undefined) return {}
  const { version, cipher, serverName } = tls
  return { tls: { version, cipher, ...(serverName !== undefined && { serverName }) } }
}
