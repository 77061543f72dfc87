/** One platform for the tests of this door: a control plane and the API on a port of its own, and the real wrangler. */
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Hono } from 'hono'
import { type Control, createControl } from '#/control/control.ts'
import { createMemoryFabric } from '#/control/memory-fabric.fixture.ts'
import { createProver } from '#/control/prover.fixture.ts'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import type { Fabric } from '#/core/ports.ts'
import type { ObjectNamespace, Snapshot } from '#/core/snapshot.ts'
import { createCloudflareApi } from './app.ts'
import { ok } from './envelope.ts'

export interface TestPlatform {
  readonly control: Control
  readonly fabric: Fabric
  /** `http://127.0.0.1:PORT/client/v4`. */
  readonly url: string
  readonly accountId: string
  readonly token: string
  /** Adopted Snapshots, newest last. */
  readonly adopted: Snapshot[]
  /** Classes whose data was removed. */
  readonly forgotten: readonly ObjectNamespace[]
  /** Bugs that the API met. */
  readonly bugs: unknown[]
  /** With the token; paths start behind `/client/v4`. */
  call(method: string, path: string, init?: RequestInit): Promise<{ status: number; body: Envelope }>
  close(): Promise<void>
}

export interface Envelope {
  readonly success: boolean
  readonly errors: readonly { readonly code: number; readonly message: string; readonly meta?: unknown }[]
  readonly messages: readonly { readonly message: string }[]
  // biome-ignore lint/suspicious/noExplicitAny: results differ by call, and tests look into them freely
  readonly result: any
}

export interface PlatformOptions {
  readonly limits?: Partial<Limits>
  readonly fabric?: Fabric
}

export async function testPlatform(options: PlatformOptions = {}): Promise<TestPlatform> {
  const clock = Date.now
  const fabric = options.fabric ?? createMemoryFabric(clock)
  const limits = { ...defaultLimits, ...options.limits }
  const engine = createProver(fabric.blobs)
  const adopted: Snapshot[] = []
  const bugs: unknown[] = []
  const seal = {
    seal: (plaintext: string) => `sealed:${Buffer.from(plaintext).toString('base64')}`,
    open: (sealed: string) => Buffer.from(sealed.slice('sealed:'.length), 'base64').toString(),
  }
  const adopt = async (snapshot: Snapshot) => {
    adopted.push(snapshot)
  }
  const control = await createControl({ fabric, seal, engine, limits, clock, adopt })
  const accountId = '0123456789abcdef0123456789abcdef'
  const token = 'a-token-for-tests'
  const kvRoutes = new Hono().get('/accounts/:account/storage/kv/namespaces', (c) => ok(c, []))
  const api = createCloudflareApi({
    control,
    kvRoutes,
    token,
    accountId,
    dataPlane: { httpPort: 8080 },
    limits,
    clock,
    log: (_message, error) => bugs.push(error),
  })
  const server = await listen(new Hono().route('/client/v4', api))
  const url = `http://127.0.0.1:${server.port}/client/v4`
  return {
    control,
    fabric,
    url,
    accountId,
    token,
    adopted,
    forgotten: engine.forgotten,
    bugs,
    async call(method, path, init = {}) {
      const headers = { authorization: `Bearer ${token}`, ...(init.headers as Record<string, string>) }
      const response = await fetch(url + path, { ...init, method, headers })
      return { status: response.status, body: (await response.json()) as Envelope }
    },
    close: server.close,
  }
}

async function listen(app: Hono) {
  const server = createServer((request, response) => {
    void answer(app, request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function answer(app: Hono, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = 'GET', url = '/', rawHeaders } = request
  const headers = new Headers()
  for (let index = 0; index < rawHeaders.length; index += 2) headers.append(rawHeaders[index]!, rawHeaders[index + 1]!)
  const body = method === 'GET' || method === 'HEAD' ? null : (Readable.toWeb(request) as ReadableStream<Uint8Array>)
  const answered = await app.fetch(
    new Request(`http://localhost${url}`, { method, headers, body, duplex: 'half' } as RequestInit),
  )
  response.writeHead(answered.status, [...answered.headers].flat())
  if (answered.body === null) response.end()
  else await pipeline(Readable.fromWeb(answered.body as never), response)
}

export interface WranglerRun {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface Project {
  readonly folder: string
  write(path: string, text: string): Promise<void>
  wrangler(args: readonly string[], options?: { stdin?: string; env?: Record<string, string> }): Promise<WranglerRun>
  remove(): Promise<void>
}

const wranglerBin = join(dirname(createRequire(import.meta.url).resolve('wrangler/package.json')), 'bin/wrangler.js')

/** A folder of a person's own with a Worker in it, and wrangler pointed at the platform. */
export async function openProject(platform: TestPlatform, files: Record<string, string>): Promise<Project> {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-wrangler-'))
  const project: Project = {
    folder,
    async write(path, text) {
      await mkdir(dirname(join(folder, path)), { recursive: true })
      await writeFile(join(folder, path), text)
    },
    wrangler: (args, { stdin = '', env = {} } = {}) =>
      new Promise((resolve, reject) => {
        const child = spawn(process.execPath, [wranglerBin, ...args], {
          cwd: join(folder, 'app'),
          env: {
            PATH: process.env.PATH,
            NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
            HOME: join(folder, 'home'),
            CI: 'true',
            NO_COLOR: '1',
            WRANGLER_SEND_METRICS: 'false',
            CLOUDFLARE_API_BASE_URL: platform.url,
            CLOUDFLARE_API_TOKEN: platform.token,
            CLOUDFLARE_ACCOUNT_ID: platform.accountId,
            ...env,
          },
        })
        let stdout = ''
        let stderr = ''
        child.stdout.setEncoding('utf8').on('data', (text: string) => {
          stdout += text
        })
        child.stderr.setEncoding('utf8').on('data', (text: string) => {
          stderr += text
        })
        child.on('error', reject).on('close', (code) => resolve({ code: code ?? -1, stdout, stderr }))
        child.stdin.end(stdin)
      }),
    remove: () => rm(folder, { recursive: true, force: true }),
  }
  await mkdir(join(folder, 'home'), { recursive: true })
  for (const [path, text] of Object.entries(files)) await project.write(`app/${path}`, text)
  return project
}
