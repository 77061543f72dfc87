/** A node with one site in front of an origin that the test scripts, path by path. */
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { type Answered, type GetOptions, type RunningNode, startNode } from './node.ts'

export interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly rawHeaders: readonly string[]
  readonly body: string
}

export type Script = (asked: IncomingMessage, answer: ServerResponse, count: number) => void

export interface Origin {
  readonly url: string
  readonly port: number
  /** What `path` (query included) is answered with; a script gets the number of the request, from 1. */
  on(path: string, script: Script): void
  seen(path: string): readonly Seen[]
  stop(): Promise<void>
  /** On the same port again. */
  start(): Promise<void>
}

export async function startOrigin(t: TestContext): Promise<Origin> {
  const scripts = new Map<string, Script>()
  const seen = new Map<string, Seen[]>()
  const server = createServer((asked, answer) => {
    const url = asked.url!
    const list = seen.get(url) ?? []
    seen.set(url, list)
    const { method, headers, rawHeaders } = asked
    const entry = { method: method!, url, headers, rawHeaders, body: '' }
    list.push(entry)
    asked.on('data', (chunk: Buffer) => {
      entry.body += String(chunk)
    })
    const script = scripts.get(url)
    if (script !== undefined) script(asked, answer, list.length)
    else answer.writeHead(404, { 'cache-control': 'no-store' }).end('no such script')
  })
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  await listen(0)
  const { port } = server.address() as AddressInfo
  const stop = async () => {
    server.closeAllConnections()
    if (server.listening) await new Promise((resolve) => server.close(resolve))
  }
  t.after(stop)
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    on: (path, script) => void scripts.set(path, script),
    seen: (path) => seen.get(path) ?? [],
    stop,
    start: () => listen(port),
  }
}

export interface Delivery {
  readonly node: RunningNode
  readonly origin: Origin
  get(path: string, options?: GetOptions): Promise<Answered>
  /** Resolves at the head. */
  open(path: string, headers?: Record<string, string>): Promise<Opened>
}

export interface Opened {
  readonly status: number
  readonly answer: IncomingMessage
  readonly firstByteMs: Promise<number>
  /** Rejects when the transfer broke. */
  readonly text: Promise<string>
  leave(): void
}

export const host = 'shop.localhost'

export async function startDelivery(t: TestContext, policy?: object): Promise<Delivery> {
  const origin = await startOrigin(t)
  const node = await startNode(t)
  const added = await node.api('/rimward/v1/sites', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'shop', origin: origin.url, ...(policy && { cache: policy }) }),
  })
  if (added.status !== 201) throw new Error(`adding the site: ${added.status} ${await added.text()}`)
  return {
    node,
    origin,
    get: (path, options) => node.get(host, path, options),
    open: (path, headers) => open(node.addresses.http, path, headers),
  }
}

function open(address: string, path: string, headers: Record<string, string> = {}): Promise<Opened> {
  const { hostname, port } = new URL(address)
  const started = performance.now()
  return new Promise((resolve, reject) => {
    const asking = request({ host: hostname, port, path, headers: { host, ...headers }, agent: false })
    asking.once('error', reject)
    asking.once('response', (answer) => {
      const first = Promise.withResolvers<number>()
      answer.once('data', () => first.resolve(performance.now() - started))
      let text = ''
      const whole = new Promise<string>((done, broke) => {
        answer.on('data', (chunk) => {
          text += String(chunk)
        })
        answer.on('end', () => done(text))
        answer.on('error', broke)
        answer.on('close', () => broke(new Error(`broke off after ${text.length} bytes`)))
      })
      whole.catch(() => {})
      asking.off('error', reject)
      asking.on('error', () => {})
      resolve({
        status: answer.statusCode!,
        answer,
        firstByteMs: first.promise,
        text: whole,
        leave: () => asking.destroy(),
      })
    })
    asking.end()
  })
}

/** A scripted answer with a body that is all there. */
export function say(headers: Record<string, string | string[]>, body = 'hello', status = 200): Script {
  return (_asked, answer) => void answer.writeHead(status, headers).end(body)
}

/** Opens when the test says so: scripts wait for it instead of sleeping. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { opened: promise, open: resolve }
}
