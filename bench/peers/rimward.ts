/** Ourselves, started as a user would, and deployed to through the API. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compatibilityDate, helloSource } from '../programs.ts'
import { launch, type Peer, type Target } from '../target.ts'
import { authorities, type KeptPage, startPageOrigin, untilWarm } from './kept-page.ts'

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string }
const bin = fileURLToPath(new URL('../../bin/rimward.mjs', import.meta.url))

export interface Node {
  readonly pid: number
  readonly http: URL
  readonly https: URL | undefined
  readonly data: string
  /** What a shell gets from `rimward env`. */
  readonly env: Readonly<Record<string, string>>
  /** A call of Cloudflare's API, below the account; what its `result` is. */
  call<Result>(method: string, path: string, body?: FormData | object, token?: string): Promise<Result>
  /** Uploads and deploys a module Worker; it answers at NAME.localhost when this resolves. */
  deploy(name: string, source: string): Promise<void>
  /** A plain CDN site at NAME.localhost. */
  addSite(name: string, origin: string): Promise<void>
  stop(): Promise<void>
}

export async function startNode(flags: readonly string[] = []): Promise<Node> {
  const data = mkdtempSync(join(tmpdir(), 'bench-rimward-'))
  const args = ['up', '--data', data, '--http', '127.0.0.1:0', '--api', '127.0.0.1:0', '--json', ...flags]
  const running = launch(process.execPath, ['--disable-warning=ExperimentalWarning', bin, ...args])
  // After the handler of `launch`, which ends the process.
  process.once('exit', () => rmSync(data, { recursive: true, force: true, maxRetries: 3 }))
  const [, banner] = await running.until(/^(\{.*\})\n(?:.*\n)*?rimward ready\n/m)
  const { addresses } = JSON.parse(banner!) as { addresses: { http: string; https?: string } }
  const text = execFileSync(process.execPath, [bin, 'env', '--data', data, '--json'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const env = JSON.parse(text) as Record<string, string>
  const account = `${env.CLOUDFLARE_API_BASE_URL}/accounts/${env.CLOUDFLARE_ACCOUNT_ID}`
  const call = async <Result>(
    method: string,
    path: string,
    body?: FormData | object,
    token = env.CLOUDFLARE_API_TOKEN,
  ): Promise<Result> => {
    const answer = await fetch(account + path, {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(body !== undefined && { body: body instanceof FormData ? body : JSON.stringify(body) }),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 300)}`)
    return (JSON.parse(text) as { result: Result }).result
  }
  return {
    pid: running.child.pid!,
    http: new URL(addresses.http),
    https: addresses.https === undefined ? undefined : new URL(addresses.https),
    data,
    env,
    call,
    async deploy(name, source) {
      const form = new FormData()
      form.append(
        'metadata',
        JSON.stringify({ main_module: 'index.js', bindings: [], compatibility_date: compatibilityDate }),
      )
      form.append('index.js', new File([source], 'index.js', { type: 'application/javascript+module' }))
      await call('PUT', `/workers/scripts/${name}?excludeScript=true&bindings_inherit=strict`, form)
      await call('POST', `/workers/scripts/${name}/subdomain`, { enabled: true })
    },
    async addSite(name, origin) {
      const answer = await fetch(`${env.FASTLY_API_ENDPOINT}/rimward/v1/sites`, {
        method: 'POST',
        body: JSON.stringify({ name, origin }),
        headers: { authorization: `Bearer ${env.CLOUDFLARE_API_TOKEN}`, 'content-type': 'application/json' },
      })
      if (!answer.ok) throw new Error(`adding the site ${name}: ${answer.status} ${await answer.text()}`)
    },
    async stop() {
      await running.stop()
      rmSync(data, { recursive: true, force: true })
    },
  }
}

/** A node with the given number of hello worlds; requests are spread over them. */
function helloNode(programs: number): () => Promise<Target> {
  return async () => {
    const node = await startNode()
    const names = Array.from({ length: programs }, (_, index) => `hello-${index}`)
    for (const name of names) await node.deploy(name, helloSource)
    const { hostname, port } = node.http
    const authorities = names.map((name) => `${name}.localhost:${port}`)
    return { host: hostname, port: Number(port), authorities, path: '/', pid: node.pid, stop: node.stop }
  }
}

/** One program under all the load: after seconds of it the program is hot and has a cell of its own. */
export const rimwardHot: Peer = { name: 'rimward, one hot program', version, warmUpSeconds: 8, start: helloNode(1) }
/** The same load over many programs that share a process: none of them is hot, and after seconds all are in the group. */
export const rimwardShared: Peer = {
  name: 'rimward, 32 programs in one cell',
  version,
  warmUpSeconds: 10,
  start: helloNode(32),
}

/** A node as users run it, with a plain site whose page lies in its cache. */
export function rimwardCache(page: KeptPage): Peer {
  return { name: 'rimward, whole node', version, start: () => startCache(page) }
}

async function startCache(page: KeptPage): Promise<Target> {
  const origin = await startPageOrigin(page)
  const node = await startNode()
  await node.addSite('hello', `http://127.0.0.1:${origin.port}`)
  const { hostname, port } = node.http
  const target: Target = {
    host: hostname,
    port: Number(port),
    authorities,
    path: page.path,
    pid: node.pid,
    async stop() {
      await node.stop()
      origin.close()
    },
  }
  await untilWarm(target, origin)
  return target
}
