/** The page that peers hold and serve: with validators and `Vary`, as pages of a CDN have them. */
import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Target } from '../target.ts'

export interface KeptPage {
  readonly path: string
  readonly bytes: number
}

export const authorities: readonly string[] = ['hello.localhost']
export const smallPage: KeptPage = { path: '/page.html', bytes: 1024 }
export const largePage: KeptPage = { path: '/picture.png', bytes: 1024 * 1024 }

export function pageFields({ path }: KeptPage): Readonly<Record<string, string>> {
  return {
    'content-type': path.endsWith('.html') ? 'text/html; charset=utf-8' : 'image/png',
    'cache-control': 'public, max-age=3600',
    etag: '"5f3c-1a2b3c"',
    'last-modified': 'Mon, 02 Nov 2026 10:00:00 GMT',
    vary: 'Accept-Encoding',
  }
}

export interface PageOrigin {
  readonly port: number
  /** How often it was asked: a cache asks once. */
  readonly asked: number
  close(): void
}

export async function startPageOrigin(page: KeptPage): Promise<PageOrigin> {
  let asked = 0
  const body = Buffer.alloc(page.bytes, 'x')
  const server = createServer((_request, response) => {
    asked++
    response.writeHead(200, { ...pageFields(page), 'content-length': body.length }).end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    get asked() {
      return asked
    },
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** A port for servers that take no port 0: it was free a moment ago. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => probe.once('listening', resolve))
  const { port } = probe.address() as AddressInfo
  await new Promise((resolve) => probe.close(resolve))
  return port
}

/** Resolves when the page is served from what the target holds: the origin is not asked again. */
export async function untilWarm(target: Pick<Target, 'host' | 'port' | 'path'>, origin: PageOrigin): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const before = origin.asked
    const status = await statusOf(target).catch(() => undefined)
    if (status === 200 && before > 0 && origin.asked === before) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`${target.host}:${target.port}${target.path} is not served from a cache.`)
}

function statusOf({ host, port, path }: Pick<Target, 'host' | 'port' | 'path'>): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get({ host, port, path, headers: { host: authorities[0]! }, agent: false }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode))
    }).on('error', reject)
  })
}
