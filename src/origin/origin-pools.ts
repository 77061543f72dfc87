/**
 * Connections to origins. A pool connects to the addresses that were checked last for it and to nothing else: no name
 * is resolved a second time. Pools of public addresses are shared by all; where a rule was needed, the addresses are
 * part of the pool's key, so that nobody gets a connection that was allowed to somebody else only.
 */
import { isIP, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { buildConnector, Pool } from 'undici'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { TcpKeepAlive } from '#/core/origin.ts'
import { normalAddress } from './address-policy.ts'
import type { ConnectionSettings } from './connection-settings.ts'
import type { Destination } from './destination.ts'

export interface OriginPool {
  readonly pool: Pool
  /** Call when a request (or an upgraded connection) is over. */
  release(): void
}

export interface OriginPools {
  /** Rejects nothing; throws `overloaded` when this origin, or the number of origins, is at its limit. */
  acquire(target: PoolTarget): OriginPool
  /** Ends every connection, also those in use. */
  close(): Promise<void>
}

export interface PoolTarget {
  readonly destination: Pick<Destination, 'scheme' | 'host' | 'port'>
  readonly addresses: readonly string[]
  /** Every address is open to everybody. */
  readonly public: boolean
  /** Upgrades need a connection of HTTP/1.1. */
  readonly http1Only: boolean
  readonly settings: ConnectionSettings
}

export interface PoolsOptions {
  readonly limits: Limits
}

interface Held {
  readonly pool: Pool
  readonly checked: Checked
  inFlight: number
}

/** The addresses to which the next connection may go; only a pool of public addresses gets new ones. */
interface Checked {
  addresses: readonly string[]
}

export function createOriginPools({ limits }: PoolsOptions): OriginPools {
  const held = new Map<string, Held>()

  function makeRoom(): void {
    if (held.size < limits.origins) return
    for (const [key, { pool, inFlight }] of held) {
      if (inFlight > 0) continue
      held.delete(key)
      void pool.close()
      return
    }
    throw new EdgeError('overloaded', 'Requests to too many different origins are in flight.')
  }

  function open(key: string, target: PoolTarget): Held {
    const found = held.get(key)
    if (found !== undefined) {
      held.delete(key)
      held.set(key, found)
      return found
    }
    makeRoom()
    const checked: Checked = { addresses: target.addresses }
    const made = { pool: createPool(target, checked, limits), checked, inFlight: 0 }
    held.set(key, made)
    return made
  }

  return {
    acquire(target) {
      const { scheme, host, port } = target.destination
      const addresses = target.public ? [] : [...target.addresses].sort()
      const one = open([scheme, host, port, target.http1Only, target.settings.key, ...addresses].join(' '), target)
      one.checked.addresses = target.addresses
      if (one.inFlight >= limits.originRequests)
        throw new EdgeError('overloaded', `Too many requests to ${host} are in flight.`)
      one.inFlight++
      let released = false
      return {
        pool: one.pool,
        release() {
          if (!released) one.inFlight--
          released = true
        },
      }
    },
    async close() {
      const pools = [...held.values()]
      held.clear()
      await Promise.all(pools.map(({ pool }) => pool.destroy()))
    },
  }
}

function createPool(target: PoolTarget, checked: Checked, limits: Limits): Pool {
  const { destination, http1Only, settings } = target
  const { scheme, host, port } = destination
  const name = isIP(host) === 6 ? `[${host}]` : host
  return new Pool(`${scheme}://${name}:${port}`, {
    connect: createConnect(checked, target, limits),
    allowH2: !http1Only,
    ...(settings.http2Only && { h2Options: { useH2c: true } }),
    connections: settings.connections,
    clientTtl: settings.maxLifetimeMs ?? null,
    ...(settings.maxUse !== undefined && { maxRequestsPerClient: settings.maxUse }),
    pipelining: 1,
    keepAliveTimeout: settings.keepAliveMs,
    keepAliveMaxTimeout: settings.keepAliveMs * 10,
    maxHeaderSize: limits.originHeaderBytes,
    headersTimeout: settings.firstByteMs,
    bodyTimeout: settings.betweenBytesMs,
  })
}

function keepAlive(socket: Socket, wanted: TcpKeepAlive | false): void {
  if (wanted === false) socket.setKeepAlive(false)
  else socket.setKeepAlive(true, wanted.idleMs, wanted.intervalMs, wanted.probes)
}

/** Addresses are tried in turn, families in alternation (Node's `autoSelectFamily`, after RFC 8305). */
function createConnect(
  checked: Checked,
  { http1Only, settings }: PoolTarget,
  limits: Limits,
): buildConnector.connector {
  const connect = buildConnector({
    allowH2: !http1Only,
    preferH2: true,
    ...(settings.http2Only && { useH2c: true }),
    timeout: settings.connectMs,
    autoSelectFamily: true,
    // Half of the time at most, so that a second address is tried at all.
    autoSelectFamilyAttemptTimeout: Math.min(limits.originAttemptMs, Math.max(10, settings.connectMs / 2)),
    ...settings.tls(),
    lookup: (_name, options, callback) => {
      const found = checked.addresses.map((address) => ({ address, family: isIP(address) }))
      if (options.all) callback(null, found)
      else callback(null, found[0]!.address, found[0]!.family)
    },
  } as buildConnector.BuildOptions)
  return (options, callback) => {
    const allowed = checked.addresses
    connect(options, (...outcome) => {
      const socket = outcome[1]
      // Holds whatever the layers above do: a connection to an unchecked address is never used.
      if (socket && !allowed.includes(normalAddress(socket.remoteAddress ?? '::'))) {
        socket.destroy()
        callback(new EdgeError('origin_failed', `${options.hostname} hung up at once.`), null)
        return
      }
      if (socket && settings.http2Only && (socket as TLSSocket).alpnProtocol !== 'h2') {
        socket.destroy()
        callback(new EdgeError('origin_failed', `${options.hostname} does not speak HTTP/2.`), null)
        return
      }
      if (socket && settings.tcpKeepAlive !== undefined) keepAlive(socket, settings.tcpKeepAlive)
      callback(...outcome)
    })
  }
}
