/** A platform of three points of presence in a process of its own, and what a benchmark asks of it. */
import { fileURLToPath } from 'node:url'
import { type Exchange, type KeptConnection, openConnection } from '../kept-connection.ts'
import { compatibilityDate } from '../programs.ts'
import { launch } from '../target.ts'

export const popNames = ['fra', 'iad', 'nrt'] as const
export type PopName = (typeof popNames)[number]

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
  stop(): Promise<void>
}

interface Started {
  readonly api: string
  readonly lines: string
  readonly accountId: string
  readonly token: string
  readonly pops: Readonly<Record<PopName, string>>
}

const script = fileURLToPath(new URL('pops-process.ts', import.meta.url))

export async function startPops(): Promise<Pops> {
  const running = launch(process.execPath, ['--disable-warning=ExperimentalWarning', script])
  const [line] = await running.until(/^\{"api".*\}$/m)
  const { api, lines, accountId, token, pops } = JSON.parse(line) as Started
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
      const { hostname, port } = new URL(pops[pop])
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
    roundTrips: async () => (await fetch(lines)).json() as Promise<{ iad: number; nrt: number }>,
    stop: running.stop,
  }
}
