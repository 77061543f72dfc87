/** nginx with its own cache in front of an origin: one worker, the access log to a file. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { launch, type Peer, type Target } from '../target.ts'
import { authorities, freePort, type KeptPage, startPageOrigin, untilWarm } from './kept-page.ts'

/** Undefined where nginx is not installed. */
export function nginxCache(page: KeptPage): Peer | undefined {
  return version === undefined ? undefined : { name: 'nginx, proxy_cache', version, start: () => start(page) }
}

/** Without `sendfile` bodies pass through the process, as they do in every peer and over TLS. */
function configuration(folder: string, port: number, originPort: number, { together }: NginxOptions): string {
  // As root nginx would give its worker another user, who may not enter the folder.
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  const lock = together ? 'proxy_cache_lock on;' : ''
  const kept = 'proxy_http_version 1.1; proxy_set_header Connection "";'
  return `${user} worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log;
events { worker_connections 4096; }
http {
  access_log ${folder}/access.log combined buffer=32k flush=500ms;
  keepalive_requests 100000000; sendfile off;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  proxy_cache_path ${folder}/cache keys_zone=hits:10m;
  upstream origin { server 127.0.0.1:${originPort}; keepalive 64; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://origin; ${kept} proxy_cache hits; ${lock} }
  }
}
`
}

export interface NginxOptions {
  /** Clients who want the same wait for the one that fetches it (`proxy_cache_lock`). */
  readonly together: boolean
}

export interface RunningCache {
  readonly port: number
  readonly pid: number
  stop(): Promise<void>
}

/** In front of an origin on this machine; its connections to it are kept. */
export async function launchNginx(originPort: number, options: NginxOptions): Promise<RunningCache> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-nginx-'))
  const port = await freePort()
  const file = join(folder, 'nginx.conf')
  writeFileSync(file, configuration(folder, port, originPort, options))
  const running = launch('nginx', ['-c', file, '-e', join(folder, 'error.log'), '-g', 'daemon off;'])
  return {
    port,
    pid: running.child.pid!,
    async stop() {
      await running.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function start(page: KeptPage): Promise<Target> {
  const origin = await startPageOrigin(page)
  const { port, pid, stop } = await launchNginx(origin.port, { together: false })
  const target: Target = {
    host: '127.0.0.1',
    port,
    authorities,
    path: page.path,
    pid,
    async stop() {
      await stop()
      origin.close()
    },
  }
  await untilWarm(target, origin)
  return target
}

function readVersion(): string | undefined {
  try {
    return /nginx\/(\S+)/.exec(execFileSync('sh', ['-c', 'nginx -v 2>&1'], { encoding: 'utf8' }))?.[1]
  } catch {
    return undefined
  }
}

/** Undefined where it is not installed. */
export const version = readVersion()
