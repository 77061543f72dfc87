/** A Worker with bindings, at Miniflare and at a node of ours: the same source, each with what it binds made first. */
import { get } from 'node:http'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { compatibilityDate } from '../programs.ts'
import { launch, type Target } from '../target.ts'
import { type Node, startNode } from './rimward.ts'

export const { version: miniflareVersion } = createRequire(import.meta.url)('miniflare/package.json') as {
  version: string
}

export interface BoundProgram {
  readonly name: string
  /** A module Worker; absent: assets alone. */
  readonly source?: string
  /** Miniflare's options besides the script. */
  readonly miniflare: object
  /** Makes what it binds at a node of ours. Answers what goes into the upload's metadata. */
  readonly make: (node: Node) => Promise<object>
  /** After the upload. */
  readonly after?: (node: Node) => Promise<void>
}

/** The name on the page, and where it listens. */
export interface Contestant {
  readonly name: string
  readonly target: Target
}

export async function startMiniflareWith({ name, source, miniflare }: BoundProgram): Promise<Target> {
  const program = fileURLToPath(new URL('bound-miniflare-process.ts', import.meta.url))
  const script = source ?? 'export default {}'
  const running = launch(process.execPath, [program, JSON.stringify({ name, script, ...miniflare })])
  const [, port] = await running.until(/listening (\d+)/)
  const target = { host: '127.0.0.1', port: Number(port), authorities: [`${name}.localhost`], path: '/' }
  return { ...target, pid: running.child.pid!, stop: running.stop }
}

/** Its target, and the node for whatever else is asked of it. */
export async function startOursWith({ name, source, make, after }: BoundProgram): Promise<Target & { node: Node }> {
  const node = await startNode()
  const metadata = { compatibility_date: compatibilityDate, ...(await make(node)) }
  const form = new FormData()
  form.append('metadata', JSON.stringify(source === undefined ? metadata : { main_module: 'index.js', ...metadata }))
  if (source !== undefined)
    form.append('index.js', new File([source], 'index.js', { type: 'application/javascript+module' }))
  await node.call('PUT', `/workers/scripts/${name}?excludeScript=true&bindings_inherit=strict`, form)
  await node.call('POST', `/workers/scripts/${name}/subdomain`, { enabled: true })
  await after?.(node)
  const { hostname, port } = node.http
  const target = { host: hostname, port: Number(port), authorities: [`${name}.localhost:${port}`], path: '/' }
  return { ...target, pid: node.pid, stop: node.stop, node }
}

/** Both, Miniflare first. */
export async function startBoth(program: BoundProgram): Promise<readonly [Contestant, Contestant]> {
  return [
    { name: 'miniflare', target: await startMiniflareWith(program) },
    { name: 'Rimward', target: await startOursWith(program) },
  ]
}

/** One request; its body as text. Rejects when it is not answered with 200. */
export function ask({ host, port, authorities }: Target, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = get({ host, port, path, headers: { host: authorities[0]! }, agent: false }, (answer) => {
      let text = ''
      answer.on('data', (chunk: Buffer) => {
        text += String(chunk)
      })
      answer.on('end', () => {
        if (answer.statusCode === 200) resolve(text)
        else reject(new Error(`${path}: ${answer.statusCode} ${text.slice(0, 300)}`))
      })
      answer.on('error', reject)
    })
    asked.on('error', reject)
  })
}
