/** A platform of three points of presence on NATS, behind long lines, and what a benchmark asks of it. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type DistantPops, type PopName, roundTripOf, startDistantPops } from '../../test/support/distant-pops.ts'
import type { RelaysApart } from '../../test/support/relays-apart.ts'
import { type Exchange, type KeptConnection, openConnection } from '../kept-connection.ts'
import { compatibilityDate } from '../programs.ts'

export interface Pops {
  /** A connection to the data plane of one, for a host. */
  open(pop: PopName, host: string): Promise<KeptConnection>
  /** Connections to the API of the first. */
  openApi(): Promise<KeptConnection>
  /** On such a connection; JSON in. Rejects when it is refused. */
  call(api: KeptConnection, method: string, path: string, body?: object): Promise<Exchange>
  /** Uploads and deploys a module Worker with a namespace bound as `KV`; resolves with when that was acknowledged. */
  deploy(name: string, source: string, namespace?: string): Promise<number>
  addNamespace(title: string): Promise<string>
  /** What bare round trips from the first take now, ms. */
  roundTrips(): Promise<Readonly<Record<'iad' | 'nrt', number>>>
  readonly distant: DistantPops
  stop(): Promise<void>
}

/** An echo behind lines as long as those between the points of presence. */
async function openEchoes(relays: RelaysApart) {
  const server = createServer((socket) =>
    socket
      .setNoDelay(true)
      .on('error', () => {})
      .pipe(socket),
  )
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const open = async (name: 'iad' | 'nrt') => {
    const relay = await relays.open(roundTripOf('fra', name) / 2)
    await relays.aim(relay, (server.address() as AddressInfo).port)
    const socket = connect({ host: '127.0.0.1', port: relay, noDelay: true })
    await once(socket, 'connect')
    return socket
  }
  const sockets = { iad: await open('iad'), nrt: await open('nrt') }
  return {
    sockets,
    close() {
      for (const socket of Object.values(sockets)) socket.destroy()
      server.close()
    },
  }
}

async function echo(socket: Socket): Promise<number> {
  const began = performance.now()
  socket.write('?')
  await once(socket, 'data')
  return performance.now() - began
}

export async function startPops(): Promise<Pops> {
  const stops: (() => unknown)[] = []
  const distant = await startDistantPops({ after: (stop) => void stops.unshift(stop) })
  const { pops, accountId, token } = distant
  const echoes = await openEchoes(distant.relays)
  stops.unshift(echoes.close)
  const { api } = pops.fra
  const authorization = `Bearer ${token}`
  const account = `${api}/client/v4/accounts/${accountId}`

  async function send(method: string, url: string, body: string | FormData, type?: string): Promise<string> {
    const headers = { authorization, ...(type !== undefined && { 'content-type': type }) }
    const answer = await fetch(url, { method, body, headers })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status} ${text.slice(0, 300)}`)
    return text
  }

  return {
    open(pop, host) {
      const { hostname, port } = new URL(pops[pop].http)
      return openConnection(hostname, Number(port), `${host}:${port}`)
    },
    openApi() {
      const { hostname, port, host } = new URL(api)
      return openConnection(hostname, Number(port), host)
    },
    async call(connection, method, path, body) {
      const fields = { authorization, 'content-type': 'application/json' }
      const answer = await connection.ask({ method, path, fields, ...(body && { body: JSON.stringify(body) }) })
      if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.body.slice(0, 300)}`)
      return answer
    },
    async deploy(name, source, namespace) {
      const bindings = namespace === undefined ? [] : [{ type: 'kv_namespace', name: 'KV', namespace_id: namespace }]
      const metadata = { main_module: 'index.js', bindings, compatibility_date: compatibilityDate }
      const form = new FormData()
      form.append('metadata', JSON.stringify(metadata))
      form.append('index.js', new File([source], 'index.js', { type: 'application/javascript+module' }))
      await send('PUT', `${account}/workers/scripts/${name}?excludeScript=true`, form)
      const acknowledgedAt = performance.now()
      const enabled = JSON.stringify({ enabled: true })
      await send('POST', `${account}/workers/scripts/${name}/subdomain`, enabled, 'application/json')
      return acknowledgedAt
    },
    async addNamespace(title) {
      const url = `${account}/storage/kv/namespaces`
      const text = await send('POST', url, JSON.stringify({ title }), 'application/json')
      return (JSON.parse(text) as { result: { id: string } }).result.id
    },
    async roundTrips() {
      const [iad, nrt] = await Promise.all([echo(echoes.sockets.iad), echo(echoes.sockets.nrt)])
      return { iad, nrt }
    },
    distant,
    async stop() {
      for (const stop of stops) await stop()
    },
  }
}
