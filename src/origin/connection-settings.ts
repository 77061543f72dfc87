/** How an origin is reached: what its settings say, completed by the limits. */
import { createHash } from 'node:crypto'
import { checkServerIdentity, rootCertificates, type SecureVersion } from 'node:tls'
import type { Limits } from '#/core/limits.ts'
import type { OriginConnection, TcpKeepAlive } from '#/core/origin.ts'
import type { EgressRequest, Seal } from '#/core/ports.ts'

/** What a pool of connections is made with; times in milliseconds. */
export interface ConnectionSettings {
  /** The same settings have the same key: their connections may be shared. */
  readonly key: string
  readonly connectMs: number
  readonly firstByteMs: number
  readonly betweenBytesMs: number
  readonly keepAliveMs: number
  readonly connections: number
  readonly maxUse?: number
  readonly maxLifetimeMs?: number
  readonly sniHostname?: string
  readonly tcpKeepAlive?: TcpKeepAlive | false
  readonly http2Only?: true
  /** Options of `tls.connect`, made when a pool is: keys are opened no earlier. */
  tls(): object
}

export interface SettingsOptions {
  readonly limits: Limits
  /** PEM of authorities to trust besides the usual ones. */
  readonly ca?: string | undefined
  /** Opens the keys of client certificates. */
  readonly seal?: Pick<Seal, 'open'> | undefined
}

/** Sites have Fastly's defaults, programs the more patient ones of the limits `origin…`. */
export function createConnectionSettings(options: SettingsOptions) {
  const { limits } = options
  const usual = usualAuthorities(options.ca)
  const forPrograms: ConnectionSettings = {
    key: '',
    connectMs: limits.originConnectMs,
    firstByteMs: limits.originFirstByteMs,
    betweenBytesMs: limits.originBetweenBytesMs,
    keepAliveMs: limits.originKeepAliveMs,
    connections: limits.originConnections,
    tls: () => usual,
  }
  const forSites: ConnectionSettings = {
    ...forPrograms,
    key: 'site',
    connectMs: limits.siteOriginConnectMs,
    firstByteMs: limits.siteOriginFirstByteMs,
    betweenBytesMs: limits.siteOriginBetweenBytesMs,
    connections: limits.siteOriginConnections,
  }
  // Nouns of a Snapshot are the same objects for each request.
  const known = new WeakMap<OriginConnection, ConnectionSettings>()

  return function settingsOf(by: EgressRequest['by'], connection: OriginConnection | undefined): ConnectionSettings {
    const base = 'site' in by ? forSites : forPrograms
    if (connection === undefined) return base
    const found = known.get(connection)
    if (found !== undefined) return found
    const made = complete(base, connection, () => tlsOptions(connection, usual, options.seal))
    known.set(connection, made)
    return made
  }
}

function complete(base: ConnectionSettings, one: OriginConnection, tls: () => object): ConnectionSettings {
  return {
    key: createHash('sha256')
      .update(JSON.stringify(connectionOnly(one)))
      .update(base.key)
      .digest('base64url'),
    connectMs: one.connectTimeoutMs ?? base.connectMs,
    firstByteMs: one.firstByteTimeoutMs ?? base.firstByteMs,
    betweenBytesMs: one.betweenBytesTimeoutMs ?? base.betweenBytesMs,
    keepAliveMs: one.keepAliveMs ?? base.keepAliveMs,
    connections: one.maxConnections ?? base.connections,
    ...(one.maxUse && { maxUse: one.maxUse }),
    ...(one.maxLifetimeMs && { maxLifetimeMs: one.maxLifetimeMs }),
    ...(one.sniHostname !== undefined && { sniHostname: one.sniHostname }),
    ...(one.tcpKeepAlive !== undefined && { tcpKeepAlive: one.tcpKeepAlive }),
    ...(one.http2Only && { http2Only: true }),
    tls,
  }
}

/** In a fixed order, without what an origin has besides (name, weight), so that equal settings are equal texts. */
function connectionOnly(one: OriginConnection): unknown[] {
  return [
    [one.connectTimeoutMs, one.firstByteTimeoutMs, one.betweenBytesTimeoutMs, one.maxConnections, one.keepAliveMs],
    [one.maxUse, one.maxLifetimeMs, one.sniHostname, one.certificateHostname, one.checkCertificate],
    [one.caCertificate, one.clientCertificate, one.clientKey, one.minTlsVersion, one.maxTlsVersion, one.ciphers],
    [one.tcpKeepAlive, one.http2Only],
  ]
}

function tlsOptions(one: OriginConnection, usual: object, seal: Pick<Seal, 'open'> | undefined): object {
  const { caCertificate, certificateHostname, checkCertificate, clientCertificate, clientKey } = one
  const { minTlsVersion, maxTlsVersion, ciphers } = one
  if (clientKey !== undefined && seal === undefined) throw new Error('client certificates need a seal')
  return {
    ...usual,
    ...(caCertificate !== undefined && { ca: [caCertificate] }),
    ...(checkCertificate === false && { rejectUnauthorized: false }),
    ...(certificateHostname !== undefined && {
      checkServerIdentity: (_name: string, certificate: Parameters<typeof checkServerIdentity>[1]) =>
        checkServerIdentity(certificateHostname, certificate),
    }),
    ...(clientCertificate !== undefined &&
      clientKey !== undefined && { cert: clientCertificate, key: seal!.open(clientKey) }),
    ...(minTlsVersion !== undefined && { minVersion: nodeName(minTlsVersion) }),
    ...(maxTlsVersion !== undefined && { maxVersion: nodeName(maxTlsVersion) }),
    // OpenSSL has no cipher for versions before 1.2 at its usual level.
    ...((minTlsVersion === '1.0' || minTlsVersion === '1.1') && { ciphers: 'DEFAULT@SECLEVEL=0' }),
    ...(ciphers !== undefined && { ciphers }),
  }
}

function nodeName(version: NonNullable<OriginConnection['minTlsVersion']>): SecureVersion {
  return version === '1.0' ? 'TLSv1' : `TLSv${version}`
}

function usualAuthorities(ca: string | undefined): object {
  return ca === undefined ? {} : { ca: [...rootCertificates, ca] }
}
