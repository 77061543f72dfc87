/** TCP from Workers: `connect()`, and a real PostgreSQL through Hyperdrive, both under the platform's rules for the way out. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer as createSecureServer, type Server as SecureServer } from 'node:https'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { selfSigned } from '#/edge/self-signed.fixture.ts'
import { type RunningNode, rimward, root, startNode, temporaryFolder, wrangler } from './support/node.ts'
import { postgresPrograms, type RunningPostgres, startPostgres } from './support/postgres.ts'

const worker = `
import { connect } from 'cloudflare:sockets'
import { Client } from 'pg'
const asked = {
  async echo(url) {
    const socket = connect(url.searchParams.get('to'))
    const writer = socket.writable.getWriter()
    await writer.write(new TextEncoder().encode('hello'))
    await writer.close()
    return new Response(await new Response(socket.readable).text())
  },
  async shown(url, env) {
    return env.PARTNER.fetch(url.searchParams.get('to'))
  },
  async query(url, env) {
    const client = new Client({ connectionString: env[url.searchParams.get('database')].connectionString })
    await client.connect()
    try {
      const { rows } = await client.query(url.searchParams.get('sql'))
      return Response.json(rows)
    } finally {
      await client.end()
    }
  },
}
export default {
  async fetch(request, env) {
    const url = new URL(request.url)
    try {
      return await asked[url.pathname.slice(1)](url, env)
    } catch (error) {
      return new Response(String(error), { status: 500 })
    }
  },
}`

const password = 'pass word/&'
let node: RunningNode
let folder: string
let echo: Server
let partner: SecureServer
let postgres: RunningPostgres
before(async () => {
  if (postgresPrograms() === undefined) return
  const { chain: certificate, key } = await selfSigned('localhost')
  folder = await temporaryFolder(undefined, 'sockets')
  const trusted = await selfSigned('localhost')
  writeFileSync(join(folder, 'ca.pem'), certificate)
  writeFileSync(join(folder, 'trusted.pem'), trusted.chain)
  ;[node, postgres] = await Promise.all([
    startNode(undefined, { env: { NODE_EXTRA_CA_CERTS: join(folder, 'trusted.pem') } }),
    startPostgres({ password, tls: { certificate, key } }),
  ])
  // Answers once all was said: both directions close by themselves.
  echo = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    let said = ''
    socket.on('data', (chunk) => {
      said += chunk
    })
    socket.on('end', () => socket.end(`${said} and back`))
  }).listen(0, '127.0.0.1')
  await once(echo, 'listening')
  const client = await selfSigned('client')
  partner = createSecureServer(
    { cert: trusted.chain, key: trusted.key, ca: [client.chain], requestCert: true },
    (request, response) => response.end((request.socket as TLSSocket).getPeerCertificate().subject?.CN),
  ).listen(0, '127.0.0.1')
  await once(partner, 'listening')
  mkdirSync(join(folder, 'app'))
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  writeFileSync(join(folder, 'app/index.js'), worker)
  for (const [name, text] of Object.entries({ 'client.pem': client.chain, 'client-key.pem': client.key }))
    writeFileSync(join(folder, name), text)
  const pair = ['--cert', 'client.pem', '--key', 'client-key.pem', '--name', 'partner']
  const shown = await wrangler(node, folder, ['mtls-certificate', 'upload', ...pair])
  const certificate_id = /ID: (\S+)/.exec(shown.output)![1]!
  const uploaded = await wrangler(node, folder, [
    'cert',
    'upload',
    'certificate-authority',
    '--ca-cert',
    'ca.pem',
    '--name',
    'ca',
  ])
  const ca = /ID: (\S+)/.exec(uploaded.output)![1]!
  const made = async (name: string, ...more: string[]) => {
    const url = `postgres://app:${encodeURIComponent(password)}@localhost:${postgres.port}/postgres`
    const ran = await wrangler(node, folder, ['hyperdrive', 'create', name, '--connection-string', url, ...more])
    return /config: (\S+)/.exec(ran.output)![1]!
  }
  const checked = ['--sslmode', 'verify-full', '--ca-certificate-id', ca]
  const config = {
    name: 'sockets',
    main: 'index.js',
    compatibility_date: '2026-11-01',
    compatibility_flags: ['nodejs_compat'],
    mtls_certificates: [{ binding: 'PARTNER', certificate_id }],
    hyperdrive: [
      { binding: 'PLAIN', id: await made('plain') },
      { binding: 'CHECKED', id: await made('checked', ...checked) },
      { binding: 'DOUBTED', id: await made('doubted', '--sslmode', 'verify-full') },
    ],
  }
  writeFileSync(join(folder, 'app/wrangler.json'), JSON.stringify(config))
  await wrangler(node, join(folder, 'app'), ['deploy'])
})
after(async () => {
  echo?.close()
  partner?.close()
  await Promise.all([postgres?.stop(), node?.stop('SIGKILL')])
})

const skip = postgresPrograms() === undefined && 'PostgreSQL is not installed'
const ask = async (path: string, query: Record<string, string>) => {
  const { status, text } = await node.get('sockets.localhost', `/${path}?${new URLSearchParams(query)}`)
  return `${status} ${text}`
}
const query = (database: string, sql: string) => ask('query', { database, sql })
const partnerAddress = () => `localhost:${(partner.address() as { port: number }).port}`
const echoAddress = () => `127.0.0.1:${(echo.address() as { port: number }).port}`

test('what is not public is refused until the operator allows it', { skip }, async () => {
  assert.match(await ask('echo', { to: echoAddress() }), /^500 Error: .*cannot connect/)
  assert.match(await query('PLAIN', 'SELECT 1'), /^500 /)
  for (const rule of [echoAddress(), `127.0.0.1:${postgres.port}`, partnerAddress()]) {
    const allowed = await rimward(node, folder, ['allow', 'sockets', rule])
    assert.equal(allowed.code, 0, allowed.output)
  }
})

test('connect() speaks TCP, and either side may be done first', { skip }, async () => {
  assert.equal(await ask('echo', { to: echoAddress() }), '200 hello and back')
})

test('a Worker asks a real PostgreSQL', { skip }, async () => {
  const made = await query('PLAIN', 'CREATE TABLE t (id int, name text)')
  assert.equal(made, '200 []')
  await query('PLAIN', "INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, 3) n")
  assert.equal(await query('PLAIN', 'SELECT name FROM t WHERE id = 2'), '200 [{"name":"row 2"}]')
  assert.match(await query('PLAIN', 'SELECT nothing'), /^500 error: column "nothing" does not exist/)
})

test('TLS to the database is checked where the mode says so', { skip }, async () => {
  const isSecured = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()'
  assert.equal(await query('CHECKED', isSecured), '200 [{"ssl":true}]')
  // The server is asked for TLS first, and has it.
  assert.equal(await query('PLAIN', isSecured), '200 [{"ssl":true}]')
  assert.match(await query('DOUBTED', isSecured), /^500 /)
})

test('a config is listed without its password, changed and removed', { skip }, async () => {
  const listed = await wrangler(node, folder, ['hyperdrive', 'list'])
  assert.match(listed.output, /plain/)
  assert.doesNotMatch(listed.output, /pass word/)
})

test('fetch() of a binding shows the client certificate of the account', { skip }, async () => {
  assert.equal(await ask('shown', { to: `https://${partnerAddress()}/` }), '200 client')
})
