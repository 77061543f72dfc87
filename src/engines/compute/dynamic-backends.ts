/** Backends by name: those of the service, and those that a program describes while it answers one request. */
import { createHash, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import { type HealthCheck, type Origin, tlsVersions } from '#/core/origin.ts'
import type { Seal } from '#/core/ports.ts'
import type { Sealed } from '#/core/snapshot.ts'
import type { DynamicBackend } from './fetch-protocol.ts'
import type { HostRun } from './host-calls.ts'
import { asBackend, backendFacts } from './program-facts.ts'
import type { BackendFacts } from './protocol.ts'

export interface KnownBackend {
  readonly origin: Origin
  /** The service's owner said so; else it is the program's own word. */
  readonly configured: boolean
}

export interface DynamicBackends {
  /** Throws `bad_request` for what does not make a backend. Returns what the program may know of it. */
  add(run: HostRun, backend: DynamicBackend): BackendFacts
  get(run: HostRun, name: string): Origin | undefined
}

/** Throws `not_found`. */
export function backendOf(run: HostRun, name: string, dynamic: DynamicBackends, limits: Limits): KnownBackend {
  const configured = run.deployment.compute.backends.find((one) => one.name === name)
  if (configured !== undefined) return { origin: asBackend(configured, limits), configured: true }
  const origin = dynamic.get(run, name)
  if (origin === undefined) throw new EdgeError('not_found', `There is no backend ${name}.`)
  return { origin, configured: false }
}

export function createDynamicBackends({
  seal,
  limits,
}: {
  readonly seal: Pick<Seal, 'seal'>
  readonly limits: Limits
}): DynamicBackends {
  const byRun = new WeakMap<HostRun, Map<string, Origin>>()
  const sealed = createKeptSeals(seal, limits)
  return {
    add(run, backend) {
      const origin = asBackend(toOrigin(backend, sealed, limits), limits)
      const ours = byRun.get(run) ?? new Map<string, Origin>()
      if (ours.size >= limits.computeHandles) throw new EdgeError('bad_request', 'Too many backends.')
      ours.set(backend.name, origin)
      byRun.set(run, ours)
      return backendFacts(origin, limits)
    },
    get: (run, name) => byRun.get(run)?.get(name),
  }
}

/**
 * A key is sealed once, for as long as it is among the last ones: sealing it anew each time would make each request's
 * backend another one, with connections of its own.
 */
function createKeptSeals(seal: Pick<Seal, 'seal'>, limits: Limits): (key: string) => Sealed {
  const kept = new Map<string, Sealed>()
  return (key) => {
    const name = createHash('sha256').update(key).digest('base64')
    const sealed = kept.get(name) ?? seal.seal(key)
    kept.delete(name)
    kept.set(name, sealed)
    if (kept.size > limits.computeClientKeys) kept.delete(kept.keys().next().value!)
    return sealed
  }
}

function toOrigin(backend: DynamicBackend, seal: (key: string) => Sealed, limits: Limits): Origin {
  const { name, target, tls, clientCertificate, clientKey, caCertificate, ciphers, tcpKeepAlive, healthCheck } = backend
  const url = /^[^/?#@\\\s]+$/.test(target) ? URL.parse(`${tls ? 'https' : 'http'}://${target}`) : null
  if (url === null) throw new EdgeError('bad_request', `Not a host: ${target.slice(0, 200)}`)
  for (const pem of [clientCertificate, caCertificate]) if (pem !== undefined) checkCertificate(pem)
  if (ciphers !== undefined) checkCiphers(ciphers)
  return {
    name,
    url: url.origin,
    weight: 100,
    ...(backend.overrideHost !== undefined && { overrideHost: backend.overrideHost }),
    connectTimeoutMs: backend.connectTimeoutMs ?? limits.siteOriginConnectMs,
    firstByteTimeoutMs: backend.firstByteTimeoutMs ?? limits.siteOriginFirstByteMs,
    betweenBytesTimeoutMs: backend.betweenBytesTimeoutMs ?? limits.siteOriginBetweenBytesMs,
    ...(backend.keepAliveMs !== undefined && { keepAliveMs: backend.keepAliveMs }),
    ...(tcpKeepAlive !== undefined && { tcpKeepAlive }),
    ...(backend.grpc && { http2Only: true }),
    ...(healthCheck && { healthCheck: checked(healthCheck) }),
    ...(backend.maxConnections !== undefined && {
      maxConnections: Math.min(backend.maxConnections, limits.originConnections),
    }),
    ...(backend.maxUse !== undefined && { maxUse: backend.maxUse }),
    ...(backend.maxLifetimeMs !== undefined && { maxLifetimeMs: backend.maxLifetimeMs }),
    // Both may come with the target's port.
    ...(backend.certificateHostname !== undefined && { certificateHostname: nameOnly(backend.certificateHostname) }),
    ...(backend.sniHostname !== undefined && { sniHostname: nameOnly(backend.sniHostname) }),
    ...(caCertificate !== undefined && { caCertificate }),
    ...(ciphers !== undefined && { ciphers }),
    ...(clientCertificate !== undefined &&
      clientKey !== undefined && { clientCertificate, clientKey: seal(clientKey) }),
    ...(backend.minTlsVersion !== undefined && { minTlsVersion: tlsVersion(backend.minTlsVersion) }),
    ...(backend.maxTlsVersion !== undefined && { maxTlsVersion: tlsVersion(backend.maxTlsVersion) }),
  }
}

/** Bounds as the vendor's interface description has them; what is beyond is refused, not bent. */
function checked(check: HealthCheck): HealthCheck {
  const { method, path, host, expectedStatus, timeoutMs, intervalMs, threshold, window, initial } = check
  const fits =
    ['HEAD', 'GET', 'POST'].includes(method) &&
    /^\/[\x21\x22\x24-\x7e]*$/.test(path) &&
    /^[^\s/?#@\\]+$/.test(host ?? '') &&
    [expectedStatus >= 100, expectedStatus <= 599, window >= 1, window <= 15].every(Boolean) &&
    [threshold <= window, initial <= window].every(Boolean) &&
    [intervalMs >= 1_000, intervalMs <= 3_600_000, timeoutMs >= 1, timeoutMs <= 3_600_000].every(Boolean)
  if (!fits) throw new EdgeError('bad_request', 'Not a health check.')
  return check
}

function nameOnly(host: string): string {
  return host.replace(/:\d+$/, '')
}

function tlsVersion(number: number): (typeof tlsVersions)[number] {
  const version = tlsVersions[number]
  if (version === undefined) throw new EdgeError('bad_request', 'Not a version of TLS.')
  return version
}

function checkCiphers(ciphers: string): void {
  try {
    createSecureContext({ ciphers })
  } catch {
    throw new EdgeError('bad_request', `No cipher is in the list ${ciphers.slice(0, 200)}`)
  }
}

function checkCertificate(pem: string): void {
  try {
    new X509Certificate(pem)
  } catch {
    throw new EdgeError('bad_request', 'Not a certificate in PEM.')
  }
}
