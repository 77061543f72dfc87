/** Connections for what is not HTTP, to exactly the addresses that were checked. */
import { connect, isIP, type LookupFunction, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Dialer, DialRequest } from '#/core/dialer.ts'
import { EdgeError } from '#/core/errors.ts'
import { normalAddress } from './address-policy.ts'
import { type CheckedAddresses, type CheckOptions, createDestinationCheck } from './check-destination.ts'
import { parseDestination } from './destination.ts'

export interface DialerOptions extends CheckOptions {
  /** PEM of authorities to trust instead of the usual ones. */
  readonly tls?: { readonly ca?: string }
}

export function createDialer(options: DialerOptions): Dialer {
  const { limits } = options
  const check = createDestinationCheck(options)
  return {
    async dial(request) {
      // Read as a URL would be, so that odd spellings of an address are checked as what they are.
      const literal = isIP(request.host) === 6 ? `[${request.host}]` : request.host
      const { host, port } = parseDestination(`http://${literal}:${request.port}/`)
      const checked = await check(request.by, { host, port })
      const socket = open({ ...request, host, port }, checked, options.tls?.ca)
      return connected(socket, { ...request, host, port }, checked, limits.originConnectMs)
    },
  }
}

function open({ host, port, tls }: DialRequest, { addresses }: CheckedAddresses, ca: string | undefined): Socket {
  const lookup: LookupFunction = (_name, wanted, callback) => {
    const found = addresses.map((address) => ({ address, family: isIP(address) }))
    if (wanted.all) callback(null, found)
    else callback(null, found[0]!.address, found[0]!.family)
  }
  const where = { host, port, lookup, autoSelectFamily: true }
  if (!tls) return connect(where)
  const servername = isIP(host) === 0 ? { servername: host } : {}
  return connectTls({ ...where, ...servername, ...(ca !== undefined && { ca }) })
}

function connected(
  socket: Socket,
  { host, port, tls, signal }: DialRequest,
  { addresses }: CheckedAddresses,
  connectMs: number,
): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  const fail = (error: EdgeError) => {
    socket.destroy()
    reject(error)
  }
  const late = () => fail(new EdgeError('origin_timeout', `${host}:${port} did not take the connection in time.`))
  const timer = setTimeout(late, connectMs)
  signal.addEventListener('abort', late, { once: true })
  socket.once('error', (error: NodeJS.ErrnoException) => {
    const code = error.code === 'ECONNREFUSED' ? 'origin_refused' : 'origin_failed'
    fail(new EdgeError(code, `${host}:${port} could not be connected to (${error.code ?? error.message}).`))
  })
  socket.once(tls ? 'secureConnect' : 'connect', () => {
    // A connection to an address that was not checked is never used.
    if (addresses.includes(normalAddress(socket.remoteAddress ?? '::'))) resolve(socket)
    else fail(new EdgeError('origin_failed', `${host}:${port} hung up at once.`))
  })
  return promise.finally(() => {
    clearTimeout(timer)
    signal.removeEventListener('abort', late)
  })
}
