/**
 * Connections to origins. A pool connects to the addresses that were checked last for it and to nothing else: no name
 * is resolved a second time. Pools of public addresses are shared by all; where a rule was needed, the addresses are
 * part of the pool's key, so that nobody gets a connection that was allowed to somebody else only.
 */
import { isIP } from 'node:net'
import { rootCertificates } from 'node:tls'
import { buildConnector, Pool } from 'undici'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import { normalAddress } from './address-policy.ts'
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
}

export interface PoolsOptions {
  readonly limits: Limits
  /** PEM of authorities to trust besides the usual ones. */
  readonly ca?: string
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

export function createOriginPools({ limits, ca }: PoolsOptions): OriginPools {
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
    const made = { pool: createPool(target, checked, limits, ca), checked, inFlight: 0 }
    held.set(key, made)
    return made
  }

  return {
    acquire(target) {
      const { scheme, host, port } = target.destination
      const addresses = target.public ? [] : [...target.addresses].sort()
      const one = open([scheme, host, port, target.http1Only, ...addresses].join(' '), target)
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

function createPool(target: PoolTarget, checked: Checked, limits: Limits, ca: string | undefined): Pool {
  const { destination, http1Only } = target
  const { scheme, host, port } = destination
  const name = isIP(host) === 6 ? `[${host}]` : host
  return new Pool(`${scheme}://${name}:${port}`, {
    connect: createConnect(checked, http1Only, limits, ca),
    allowH2: !http1Only,
    connections: limits.originConnections,
    pipelining: 1,
    keepAliveTimeout: limits.originKeepAliveMs,
    keepAliveMaxTimeout: limits.originKeepAliveMs * 10,
    maxHeaderSize: limits.originHeaderBytes,
    headersTimeout: limits.originFirstByteMs,
    bodyTimeout: limits.originBetweenBytesMs,
  })
}

/** Addresses are tried in turn, families in alternation (Node's `autoSelectFamily`, after RFC 8305). */
function createConnect(
  checked: Checked,
  http1Only: boolean,
  limits: Limits,
  ca: string | undefined,
): buildConnector.connector {
  const connect = buildConnector({
    allowH2: !http1Only,
    preferH2: true,
    timeout: limits.originConnectMs,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: limits.originAttemptMs,
    ...(ca === undefined ? {} : { ca: [...rootCertificates, ca] }),
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
      callback(...outcome)
    })
  }
}
