/** Fronts that answer 1 KB with validators from what they hold: ours on either reader, nginx from its cache. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { launch, type Peer, type Target } from '../target.ts'

const processFile = fileURLToPath(new URL('front-process.ts', import.meta.url))
const authorities = ['hello.localhost']
const path = '/page.html'

function rimward(parser: 'fast' | 'node'): () => Promise<Target> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), 'bench-front-'))
    const args = [processFile, '--parser', parser, '--log', join(folder, 'log.jsonl')]
    const running = launch(process.execPath, ['--disable-warning=ExperimentalWarning', ...args])
    const [line] = await running.until(/^\{.*\}$/m)
    const { http } = JSON.parse(line) as { http: { port: number } }
    return {
      host: '127.0.0.1',
      port: http.port,
      authorities,
      path,
      pid: running.child.pid!,
      async stop() {
        await running.stop()
        rmSync(folder, { recursive: true, force: true })
      },
    }
  }
}

const fields = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'public, max-age=3600',
  etag: '"5f3c-1a2b3c"',
  'last-modified': 'Mon, 02 Nov 2026 10:00:00 GMT',
  vary: 'Accept-Encoding',
}

function configuration(folder: string, port: number, originPort: number): string {
  // As root nginx would give its worker another user, who may not enter the folder.
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  return `${user} worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log;
events { worker_connections 4096; }
http {
  access_log ${folder}/access.log combined buffer=32k flush=500ms;
  keepalive_requests 100000000;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  proxy_cache_path ${folder}/cache keys_zone=hits:10m;
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://127.0.0.1:${originPort}; proxy_cache hits; }
  }
}
`
}

async function nginx(): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-nginx-'))
  const origin = createServer((_request, response) => response.writeHead(200, fields).end('x'.repeat(1024)))
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
  const originPort = (origin.address() as AddressInfo).port
  // nginx takes no port 0: one that was free a moment ago.
  const probe = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => probe.once('listening', resolve))
  const { port } = probe.address() as AddressInfo
  await new Promise((resolve) => probe.close(resolve))
  const file = join(folder, 'nginx.conf')
  writeFileSync(file, configuration(folder, port, originPort))
  const running = launch('nginx', ['-c', file, '-e', join(folder, 'error.log'), '-g', 'daemon off;'])
  const url = `http://127.0.0.1:${port}${path}`
  for (let attempt = 0; attempt < 100; attempt++) {
    const answer = await fetch(url).catch(() => undefined)
    if (answer?.ok) break
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return {
    host: '127.0.0.1',
    port,
    authorities,
    path,
    pid: running.child.pid!,
    async stop() {
      await running.stop()
      origin.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** `1.22.1`, or undefined where nginx is not installed. */
function nginxVersion(): string | undefined {
  try {
    return /nginx\/(\S+)/.exec(execFileSync('sh', ['-c', 'nginx -v 2>&1'], { encoding: 'utf8' }))?.[1]
  } catch {
    return undefined
  }
}

const version = process.versions.node
export const frontFast: Peer = { name: 'rimward, front', version, start: rimward('fast') }
export const frontNode: Peer = { name: 'rimward, front on node:http alone', version, start: rimward('node') }
const installed = nginxVersion()
export const nginxCache: Peer | undefined =
  installed === undefined ? undefined : { name: 'nginx, proxy_cache', version: installed, start: nginx }
