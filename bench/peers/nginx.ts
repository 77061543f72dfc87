/** nginx with its own cache in front of an origin: one worker, the access log to a file. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { launch, type Peer } from '../target.ts'
import { type RunningCache, startKeptCache, versionOf } from './kept-cache.ts'
import { freePort, type KeptPage } from './kept-page.ts'

/** Undefined where nginx is not installed. */
export function nginxCache(page: KeptPage): Peer | undefined {
  return version === undefined
    ? undefined
    : {
        name: 'nginx, proxy_cache',
        version,
        start: () => startKeptCache(page, (origin) => launchNginx(origin, { together: false })),
      }
}

/** Whatever it does, nothing of it lies outside the folder. */
function configuration(folder: string, rest: string): string {
  // As root nginx would give its worker another user, who may not enter the folder.
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  return `${user} worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log;
events { worker_connections 4096; }
http {
  access_log ${folder}/access.log combined buffer=32k flush=500ms;
  keepalive_requests 100000000;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  ${rest}
}
`
}

/** Without `sendfile` bodies pass through the process, as they do in every peer and over TLS. */
function cacheConfiguration(folder: string, port: number, originPort: number, { together }: NginxOptions): string {
  const lock = together ? 'proxy_cache_lock on;' : ''
  const kept = 'proxy_http_version 1.1; proxy_set_header Connection "";'
  return `sendfile off;
  proxy_cache_path ${folder}/cache keys_zone=hits:10m;
  upstream origin { server 127.0.0.1:${originPort}; keepalive 64; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://origin; ${kept} proxy_cache hits; ${lock} }
  }`
}

export interface NginxOptions {
  /** Clients who want the same wait for the one that fetches it (`proxy_cache_lock`). */
  readonly together: boolean
}

/** In front of an origin on this machine; its connections to it are kept. */
export function launchNginx(originPort: number, options: NginxOptions): Promise<RunningCache> {
  return start((folder, port) => cacheConfiguration(folder, port, originPort, options))
}

/** Sends the files of a folder, as Debian's configuration has it: with `sendfile`. */
export function launchNginxFiles(root: string): Promise<RunningCache> {
  return start((_, port) => `sendfile on; tcp_nopush on; server { listen 127.0.0.1:${port}; root ${root}; }`)
}

async function start(write: (folder: string, port: number) => string): Promise<RunningCache> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-nginx-'))
  const port = await freePort()
  const file = join(folder, 'nginx.conf')
  writeFileSync(file, configuration(folder, write(folder, port)))
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

/** Undefined where it is not installed. */
export const version = versionOf('nginx -v', /nginx\/(\S+)/)
