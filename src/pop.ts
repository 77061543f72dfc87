/** One running point of presence: the only file that wires rooms together. */
import { createHash } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { Registry } from 'prom-client'
import { createRimwardApi } from '#/apis/rimward/app.ts'
import { defaultLimits } from '#/core/limits.ts'

export interface ListenAddress {
  readonly host: string
  /** 0 lets the kernel choose. */
  readonly port: number
}

export interface PopOptions {
  readonly data: string
  readonly http: ListenAddress
  readonly https?: ListenAddress
  readonly api: ListenAddress
  readonly pop: { readonly id: string; readonly country?: string }
  readonly debug: boolean
  readonly token: string
  readonly log: 'file' | 'stderr' | 'off'
  readonly otlpEndpoint?: string
}

export interface RunningPop {
  /** URLs, without a slash at the end. */
  readonly addresses: { readonly http: string; readonly https?: string; readonly api: string }
  readonly accountId: string
  stop(): Promise<void>
}

async function listen(server: Server, { host, port }: ListenAddress): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  return `http://${host.includes(':') ? `[${host}]` : host}:${(server.address() as AddressInfo).port}`
}

export async function startPop(options: PopOptions): Promise<RunningPop> {
  const front = createServer((_request, response) => response.writeHead(404).end('No site answers here.\n'))
  const startedAt = Date.now()
  const accountId = createHash('sha256').update(options.data).digest('hex').slice(0, 32)
  const http = await listen(front, options.http)
  const addresses = { http, api: '' }
  const api = createRimwardApi({
    control: {
      programs: () => [],
      sites: () => [],
      addSite: async () => ({ ok: false, taken: 'This node keeps no sites.' }),
      removeSite: async () => false,
    },
    traces: { listen: () => () => {} },
    egressRules: new Hono(),
    certificates: new Hono(),
    metrics: new Registry(),
    token: options.token,
    info: { version: '0.1.0', pop: options.pop.id, accountId, startedAt, addresses: () => addresses, checks: () => [] },
    clock: Date.now,
    log: console.error,
    limits: defaultLimits,
  })
  const control = createAdaptorServer({ fetch: api.fetch }) as Server
  try {
    addresses.api = await listen(control, options.api)
  } catch (error) {
    front.close()
    throw error
  }
  const close = (server: Server): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return { addresses, accountId, stop: async () => void (await Promise.all([close(front), close(control)])) }
}
