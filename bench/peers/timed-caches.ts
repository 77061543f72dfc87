/** What stands in front of the origin of `delivery-times`: nothing, our node, nginx, Varnish. */
import { fileURLToPath } from 'node:url'
import { type KeptConnection, openConnection } from '../kept-connection.ts'
import { launch } from '../target.ts'
import { launchNginx, version as nginxVersion } from './nginx.ts'
import { type Node, startNode } from './rimward.ts'
import { launchVarnish, version as varnishVersion } from './varnish.ts'

export interface Place {
  readonly host: string
  readonly port: number
  readonly authority: string
}

export interface TimedOrigin extends Place {
  /** How often this path was asked. */
  asked(path: string): Promise<number>
  stop(): Promise<void>
}

export interface TimedCache extends Place {
  readonly name: string
  stop(): Promise<void>
}

const host = '127.0.0.1'
const originFile = fileURLToPath(new URL('timed-origin-process.ts', import.meta.url))

export async function startTimedOrigin(): Promise<TimedOrigin> {
  const running = launch(process.execPath, [originFile])
  const [line] = await running.until(/^\{.*\}$/m)
  const { port } = JSON.parse(line) as { port: number }
  const connection = await openConnection(host, port, 'origin.localhost')
  return {
    host,
    port,
    authority: 'origin.localhost',
    asked: async (path) => Number((await connection.ask({ path: `/asked${path}` })).body),
    async stop() {
      connection.close()
      await running.stop()
    },
  }
}

/** Versions of the peers that are installed here. */
export const peerVersions: Readonly<Record<string, string>> = {
  ...(nginxVersion !== undefined && { nginx: nginxVersion }),
  ...(varnishVersion !== undefined && { Varnish: varnishVersion }),
}

/** Those of nginx and Varnish that are installed, in front of the origin. */
export async function startPeers(origin: Place): Promise<TimedCache[]> {
  const caches: TimedCache[] = []
  const peers = [
    { name: 'nginx', version: nginxVersion, start: () => launchNginx(origin.port, { together: true }) },
    { name: 'Varnish', version: varnishVersion, start: () => launchVarnish(origin.port) },
  ]
  for (const { name, version, start } of peers) {
    if (version === undefined) continue
    const { port, stop } = await start()
    await untilListening(port)
    caches.push({ name, host, port, authority: 'www.localhost', stop })
  }
  return caches
}

/** Both bind their port some time after they are launched. */
async function untilListening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const connection = await openConnection(host, port, 'www.localhost').catch(() => undefined)
    if (connection !== undefined) return connection.close()
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`Nothing listens at ${host}:${port}.`)
}

export interface OwnNode extends TimedCache {
  /** A service as `fastly` makes it, whose objects are purged. */
  readonly service: { readonly id: string; readonly authority: string }
  readonly api: URL
  readonly token: string
  /** To the control API, kept alive. */
  openApi(): Promise<KeptConnection>
}

/** Our node as users start it, with a plain site and a service in front of the origin. */
export async function startOwnNode(origin: Place): Promise<OwnNode> {
  const node = await startNode()
  try {
    await node.addSite('www', `http://${host}:${origin.port}`)
    const api = new URL(node.env.FASTLY_API_ENDPOINT!)
    const token = node.env.FASTLY_API_TOKEN!
    const authority = 'shop.localhost'
    const id = await addService(node, { name: 'shop', authority, port: origin.port })
    return {
      name: 'rimward',
      host,
      port: Number(node.http.port),
      authority: 'www.localhost',
      service: { id, authority },
      api,
      token,
      openApi: () => openConnection(api.hostname, Number(api.port), api.host),
      stop: node.stop,
    }
  } catch (error) {
    await node.stop()
    throw error
  }
}

interface NewService {
  readonly name: string
  readonly authority: string
  readonly port: number
}

async function addService(node: Node, { name, authority, port }: NewService): Promise<string> {
  const call = async (method: string, path: string, form: Record<string, string> = {}): Promise<unknown> => {
    const answer = await fetch(`${node.env.FASTLY_API_ENDPOINT}${path}`, {
      method,
      headers: { 'fastly-key': node.env.FASTLY_API_TOKEN! },
      body: new URLSearchParams(form),
    })
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
    return answer.json()
  }
  const { id } = (await call('POST', '/service', { name, type: 'vcl' })) as { id: string }
  const version = `/service/${id}/version/1`
  await call('POST', `${version}/domain`, { name: authority })
  await call('POST', `${version}/backend`, { name: 'origin', address: host, port: String(port) })
  await call('PUT', `${version}/activate`)
  return id
}
