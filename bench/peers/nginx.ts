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
function configuration(folder: string, port: number, originPort: number): string {
  // As root nginx would give its worker another user, who may not enter the folder.
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  return `${user} worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log;
events { worker_connections 4096; }
http {
  access_log ${folder}/access.log combined buffer=32k flush=500ms;
  keepalive_requests 100000000; sendfile off;
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

async function start(page: KeptPage): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-nginx-'))
  const origin = await startPageOrigin(page)
  const port = await freePort()
  const file = join(folder, 'nginx.conf')
  writeFileSync(file, configuration(folder, port, origin.port))
  const running = launch('nginx', ['-c', file, '-e', join(folder, 'error.log'), '-g', 'daemon off;'])
  const target: Target = {
    host: '127.0.0.1',
    port,
    authorities,
    path: page.path,
    pid: running.child.pid!,
    async stop() {
      await running.stop()
      origin.close()
      rmSync(folder, { recursive: true, force: true })
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

const version = readVersion()
