/** Where the nodes of a process listen. */
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Address } from '#/edge/edge.ts'
import type { Pop } from './pop.ts'

/** URLs, without a slash at the end. */
export interface PopAddresses {
  readonly http: string
  readonly https?: string
}

/** Of the n-th node of a process. */
export function nth({ host, port }: Address, index: number): Address {
  return { host, port: port === 0 ? 0 : port + index }
}

/** Of a node that listens. */
export function urlsOf({ addresses }: Pop): PopAddresses {
  const { http, https } = addresses!
  return { http: urlOf('http', http), ...(https && { https: urlOf('https', https) }) }
}

export function urlOf(scheme: 'http' | 'https', { host, port }: Address): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** Rejects when the address is taken or not this machine's. */
export async function listen(server: Server, { host, port }: Address): Promise<Address> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(port, host, resolve)
  await promise
  server.off('error', reject)
  const bound = server.address() as AddressInfo
  return { host: bound.address, port: bound.port }
}
