/** HTTP/2 over TLS with a certificate on P-256: a page from the cache of nginx, and from that of a node of ours. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { launch, type Peer, type Target } from '../target.ts'
import { authorities, freePort, type KeptPage, type PageOrigin, startPageOrigin } from './kept-page.ts'
import { nginxCache } from './nginx.ts'
import { rimwardCache, startNode } from './rimward.ts'

/** Undefined where nginx is not installed. */
export function nginxH2(page: KeptPage): Peer | undefined {
  const plain = nginxCache(page)
  return plain && { name: plain.name, version: plain.version, start: () => startNginx(page) }
}

export function rimwardH2(page: KeptPage): Peer {
  const { name, version } = rimwardCache(page)
  return { name, version, warmUpSeconds: 5, start: () => startRimward(page) }
}

async function startRimward(page: KeptPage): Promise<Target> {
  const origin = await startPageOrigin(page)
  // A certificate for `*.localhost` from the node's own authority, which is on P-256 too.
  const node = await startNode(['--https', '127.0.0.1:0'])
  await node.addSite('hello', `http://127.0.0.1:${origin.port}`)
  const stop = async () => {
    await node.stop()
    origin.close()
  }
  const { hostname, port } = node.https!
  return whenWarm({ host: hostname, port: Number(port), authorities, path: page.path, pid: node.pid, stop }, origin)
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
  ssl_certificate ${folder}/certificate.pem; ssl_certificate_key ${folder}/key.pem;
  ssl_protocols TLSv1.2 TLSv1.3;
  server {
    listen 127.0.0.1:${port} ssl http2;
    location / { proxy_pass http://127.0.0.1:${originPort}; proxy_cache hits; }
  }
}
`
}

function makeCertificate(folder: string): void {
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const names = ['-subj', `/CN=${authorities[0]}`, '-addext', `subjectAltName=DNS:${authorities[0]}`]
  const files = ['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'certificate.pem')]
  execFileSync('openssl', ['req', '-x509', ...curve, ...files, '-days', '2', ...names], { stdio: 'ignore' })
}

async function startNginx(page: KeptPage): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-nginx-'))
  makeCertificate(folder)
  const origin = await startPageOrigin(page)
  const port = await freePort()
  const file = join(folder, 'nginx.conf')
  writeFileSync(file, configuration(folder, port, origin.port))
  const running = launch('nginx', ['-c', file, '-e', join(folder, 'error.log'), '-g', 'daemon off;'])
  const stop = async () => {
    await running.stop()
    origin.close()
    rmSync(folder, { recursive: true, force: true })
  }
  return whenWarm({ host: '127.0.0.1', port, authorities, path: page.path, pid: running.child.pid!, stop }, origin)
}

/** The target, once its page is served without the origin being asked. */
async function whenWarm(target: Target, origin: PageOrigin): Promise<Target> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const before = origin.asked
    const status = await statusOf(target).catch(() => undefined)
    if (status === 200 && before > 0 && origin.asked === before) return target
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  await target.stop()
  throw new Error(`${target.host}:${target.port}${target.path} is not served from a cache.`)
}

/** Of one request on a connection of its own. */
function statusOf({ host, port, path }: Target): Promise<number> {
  return new Promise((resolve, reject) => {
    const session = connect(`https://${authorities[0]}:${port}`, { host, rejectUnauthorized: false })
    session.on('error', reject)
    const stream = session.request({ ':path': path })
    stream.on('error', reject)
    stream.on('response', (headers) => {
      stream.resume().on('end', () => {
        session.close()
        resolve(Number(headers[':status']))
      })
    })
  })
}
