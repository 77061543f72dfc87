/** A real PostgreSQL server for one test file, as Debian installs it; it refuses to run as root, so root lends it a user. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const installed = '/usr/lib/postgresql'

/** Folder of its programs, or undefined where it is not installed. */
export function postgresPrograms(): string | undefined {
  if (!existsSync(installed)) return undefined
  const newest = readdirSync(installed).sort((one, other) => Number(other) - Number(one))[0]
  return newest === undefined ? undefined : join(installed, newest, 'bin')
}

export interface RunningPostgres {
  readonly port: number
  /** PEM of its own certificate. */
  readonly certificate: string
  stop(): Promise<void>
}

export interface PostgresOptions {
  readonly password: string
  /** PEM: it speaks TLS with these. */
  readonly tls?: { readonly certificate: string; readonly key: string }
}

export async function startPostgres({ password, tls }: PostgresOptions): Promise<RunningPostgres> {
  const programs = postgresPrograms()
  if (programs === undefined) throw new Error('PostgreSQL is not installed.')
  const folder = mkdtempSync(join(tmpdir(), 'rimward-postgres-'))
  const user = lentUser()
  const as = user === undefined ? {} : user
  const own = (path: string) => user !== undefined && chownSync(path, user.uid, user.gid)
  own(folder)
  const passwordFile = join(folder, 'password')
  writeFileSync(passwordFile, password)
  own(passwordFile)
  const data = join(folder, 'data')
  const quiet = { ...as, stdio: 'ignore', cwd: folder } as const
  const set = ['--username=app', `--pwfile=${passwordFile}`, '--auth=scram-sha-256', '--no-sync', '-E', 'UTF8']
  execFileSync(join(programs, 'initdb'), ['-D', data, ...set], quiet)
  const files = Object.entries({ 'server.crt': tls?.certificate, 'server.key': tls?.key })
  for (const [name, text] of files) {
    if (text === undefined) continue
    writeFileSync(join(data, name), text)
    chmodSync(join(data, name), 0o600)
    own(join(data, name))
  }
  const port = await freePort()
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: folder,
    fsync: 'off',
    ssl: tls ? 'on' : 'off',
  }
  const given = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const server = spawn(join(programs, 'postgres'), ['-D', data, ...given], { ...as, cwd: folder, stdio: 'pipe' })
  let said = ''
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>()
  server.stderr.on('data', (chunk: Buffer) => {
    said += chunk
    if (said.includes('ready to accept connections')) resolve()
  })
  server.once('exit', () => reject(new Error(`PostgreSQL ended: ${said}`)))
  await ready
  return {
    port,
    certificate: tls?.certificate ?? '',
    async stop() {
      server.kill('SIGINT')
      await once(server, 'exit')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function lentUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (kind: string) => Number(execFileSync('id', [kind, 'postgres']).toString())
  return { uid: id('-u'), gid: id('-g') }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as { port: number }
  await new Promise((resolve) => probe.close(resolve))
  return port
}
