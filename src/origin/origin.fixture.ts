/** What the tests of this room share: an egress with every knob in reach, and requests with defaults. */
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import type { Readable } from 'node:stream'
import type { TestContext } from 'node:test'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import type { EgressGrant, EgressRequest } from '#/core/ports.ts'
import { createEgress, type EgressOptions } from './egress.ts'

export interface Listening {
  listen(port: number, host: string, ready: () => void): unknown
  address(): AddressInfo | string | null
}

/** Listens on a free port of loopback and returns the port. */
export async function listenOn(server: Listening, host = '127.0.0.1'): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  return (server.address() as AddressInfo).port
}

/** Loopback is allowed for `program` «trusted», by network and without port. */
export function openEgress(options: Partial<Omit<EgressOptions, 'limits'>> & { limits?: Partial<Limits> } = {}) {
  const network: EgressGrant[] = [{ names: 'network', port: false }]
  return createEgress({
    rules: {
      grants: (by, { address }) =>
        'program' in by && by.program === 'trusted' && /^(127\.|::1$)/.test(address) ? network : [],
    },
    ownSite: () => undefined,
    clock: Date.now,
    lookup: async (host) => {
      throw Object.assign(new Error(host), { code: 'ENOTFOUND' })
    },
    ...options,
    limits: { ...defaultLimits, ...options.limits },
  })
}

export function request(url: string, more: Partial<EgressRequest> = {}): EgressRequest {
  return {
    by: { program: 'trusted' },
    method: 'GET',
    url,
    headers: [],
    body: null,
    wantsUpgrade: false,
    signal: new AbortController().signal,
    ...more,
  }
}

export async function textOf(body: Readable | Uint8Array | null): Promise<string> {
  if (body === null) return ''
  if (body instanceof Uint8Array) return Buffer.from(body).toString()
  const chunks: Buffer[] = []
  for await (const chunk of body) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

/** An origin and an egress that may reach it; both end with the test. */
export async function withHttp(t: TestContext, listener: RequestListener, limits: Partial<Limits> = {}) {
  const server = createHttpServer(listener)
  const url = `http://127.0.0.1:${await listenOn(server)}`
  const egress = openEgress({ limits })
  t.after(async () => {
    await egress.close()
    server.closeAllConnections()
    server.close()
  })
  return { url, egress, server }
}

/** An origin that writes bytes of its own. */
export async function withTcp(t: TestContext, answer: (socket: Socket) => void, limits: Partial<Limits> = {}) {
  const sockets = new Set<Socket>()
  const server = createTcpServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('data', () => answer(socket))
  })
  const url = `http://127.0.0.1:${await listenOn(server)}`
  const egress = openEgress({ limits })
  t.after(async () => {
    await egress.close()
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url, egress, sockets }
}
