/**
 * A real node for story tests: `bin/rimward.mjs up` as a child process on ports of its own, and real clients beside it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { TestContext } from 'node:test'

export { until } from './until.ts'

export const root = resolve(import.meta.dirname, '../..')

/** No node outlives its test, however that ends. */
const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export interface Addresses {
  readonly http: string
  readonly https?: string
  readonly api: string
}

export interface RunningNode {
  readonly pid: number
  readonly data: string
  readonly token: string
  readonly accountId: string
  readonly addresses: Addresses
  /** Milliseconds from spawn to `rimward ready`. */
  readonly startedInMs: number
  readonly output: () => string
  /** Ends the process and returns its exit code; SIGKILL gives null. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
  get(host: string, path: string, options?: GetOptions): Promise<Answered>
  api(path: string, init?: RequestInit): Promise<Response>
  /** What `eval "$(npx rimward env)"` puts into a shell. */
  shell(): NodeJS.ProcessEnv
}

export interface GetOptions {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string | Uint8Array
}

export interface Answered {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

export async function temporaryFolder(t: TestContext | undefined, name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `rimward-${name}-`))
  t?.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export async function startNode(
  t: TestContext | undefined,
  options: { readonly data?: string; readonly args?: readonly string[]; readonly env?: Record<string, string> } = {},
): Promise<RunningNode> {
  const data = options.data ?? (await temporaryFolder(undefined, 'data'))
  const started = Date.now()
  const child = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      join(root, 'bin/rimward.mjs'),
      ...['up', '--data', data, '--http', '127.0.0.1:0', '--api', '127.0.0.1:0'],
      ...(options.args ?? []),
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...options.env } },
  )
  let output = ''
  running.add(child)
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  exited.then(() => running.delete(child))
  t?.after(async () => {
    child.kill('SIGKILL')
    await exited
    // The process writes until it has ended.
    if (options.data === undefined) await rm(data, { recursive: true, force: true })
  })
  await untilReady(child, exited, (text) => {
    output += text
    return output
  })
  const startedInMs = Date.now() - started
  const { addresses, accountId } = JSON.parse(await readFile(join(data, 'node.json'), 'utf8')) as {
    addresses: Addresses
    accountId: string
  }
  const token = options.env?.RIMWARD_TOKEN ?? (await readFile(join(data, 'token'), 'utf8')).trim()
  return {
    pid: child.pid!,
    data,
    token,
    accountId,
    addresses,
    startedInMs,
    output: () => output,
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      return exited
    },
    get: (host, path, request) => get(addresses.http, host, path, request),
    api: (path, init) =>
      fetch(`${addresses.api}${path}`, {
        ...init,
        headers: { authorization: `Bearer ${token}`, ...(init?.headers as Record<string, string>) },
      }),
    shell: () => ({
      ...process.env,
      CI: 'true',
      NO_COLOR: '1',
      WRANGLER_SEND_METRICS: 'false',
      CLOUDFLARE_API_BASE_URL: `${addresses.api}/client/v4`,
      CLOUDFLARE_API_TOKEN: token,
      CLOUDFLARE_ACCOUNT_ID: accountId,
    }),
  }
}

async function untilReady(
  child: ChildProcess,
  exited: Promise<number | null>,
  append: (text: string) => string,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      if (/^rimward ready$/m.test(append(String(chunk)))) resolve()
    }
    child.stdout?.on('data', read)
    child.stderr?.on('data', read)
    exited.then((code) => reject(new Error(`rimward up ended with ${code}:\n${append('')}`)))
  })
}

/** One request on a connection of its own, to an address, for a host. */
export function get(address: string, host: string, path: string, options: GetOptions = {}): Promise<Answered> {
  const { hostname, port } = new URL(address)
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        host: hostname,
        port,
        path,
        method: options.method ?? 'GET',
        headers: { host, ...options.headers },
        agent: false,
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text: Buffer.concat(chunks).toString(),
          }),
        )
      },
    )
    request.on('error', reject)
    request.end(options.body)
  })
}

export interface Ran {
  readonly code: number | null
  readonly output: string
}

/** Runs a program to its end; stdout and stderr are one text, as a person sees them. */
export function run(
  command: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env: NodeJS.ProcessEnv; readonly input?: string },
): Promise<Ran> {
  const child = spawn(command, args, { cwd: options.cwd, env: options.env, stdio: ['pipe', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  child.stderr.on('data', (chunk) => {
    output += chunk
  })
  child.stdin.end(options.input ?? '')
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })))
}

/** The real wrangler, in a folder, pointed at the node; fails the test with its whole output when it fails. */
export async function wrangler(
  node: RunningNode,
  cwd: string,
  args: readonly string[],
  options: { readonly input?: string; readonly mayFail?: boolean } = {},
): Promise<Ran> {
  const ran = await run(process.execPath, [join(root, 'node_modules/wrangler/bin/wrangler.js'), ...args], {
    cwd,
    env: { ...node.shell(), HOME: node.data, XDG_CONFIG_HOME: node.data },
    ...(options.input === undefined ? {} : { input: options.input }),
  })
  if (ran.code !== 0 && options.mayFail !== true)
    throw new Error(`wrangler ${args.join(' ')} ended with ${ran.code}:\n${ran.output}\n--- node:\n${node.output()}`)
  return ran
}

/** The CLI itself, against the node's data folder. */
export function rimward(node: RunningNode, cwd: string, args: readonly string[]): Promise<Ran> {
  return run(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', join(root, 'bin/rimward.mjs'), ...args, '--data', node.data],
    { cwd, env: { ...process.env, RIMWARD_TOKEN: node.token, NO_COLOR: '1' } },
  )
}
