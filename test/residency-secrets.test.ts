/** Certificates for fetch() and database servers of Hyperdrive that stay in their countries: all files elsewhere are searched. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { selfSigned } from '#/edge/self-signed.fixture.ts'
import { get, temporaryFolder, until, wrangler } from './support/node.ts'
import { filesWith, ok, type Platform, recordIn, startPlatform } from './support/three-countries.ts'

const worker = `export default {
  async fetch(request, env) {
    const shown = await env.PARTNER.fetch(new URL(request.url).searchParams.get('to'))
    return new Response([request.cf.colo, await shown.text(), env.DB.user].join(' '))
  },
}`
const user = 'marker-of-a-user-51c0'

/** Says whose certificate it was shown. */
async function startPartner(t: TestContext) {
  const [own, client] = [await selfSigned('localhost'), await selfSigned('client')]
  const partner = createServer(
    { cert: own.chain, key: own.key, ca: [client.chain], requestCert: true },
    (request, response) => response.end((request.socket as TLSSocket).getPeerCertificate().subject?.CN),
  ).listen(0, '127.0.0.1')
  t.after(() => partner.close())
  await once(partner, 'listening')
  return { address: `localhost:${(partner.address() as AddressInfo).port}`, trusted: own.chain, client }
}

function hasRecord(data: string, key: string): boolean {
  try {
    recordIn(join(data, 'fabric'), 'resources', key)
    return true
  } catch {
    return false
  }
}

async function elsewhere({ node }: Platform, markers: readonly string[]): Promise<string[]> {
  const found = await Promise.all(markers.map((marker) => filesWith(node.data, marker)))
  return found.flat().filter((path) => !path.startsWith('pops/fra/'))
}

test('certificates for fetch() and passwords of databases lie where they stay, and with no other node', async (t) => {
  const data = await temporaryFolder(t, 'secrets')
  const { address, trusted, client } = await startPartner(t)
  await writeFile(join(data, 'trusted.pem'), trusted)
  const platform = await startPlatform(t, data, [], { NODE_EXTRA_CA_CERTS: join(data, 'trusted.pem') })
  const { at, node, folder } = platform
  const account = `/client/v4/accounts/${node.accountId}`
  const make = async (path: string, body: object) => {
    const made = await node.api(`${account}/${path}`, { method: 'POST', body: JSON.stringify(body) })
    const { result } = (await made.json()) as { result: { id: string } }
    return result.id
  }
  const pair = { certificates: client.chain, private_key: client.key, ca: false }
  const certificate = await make('mtls_certificates', { name: 'partner', ...pair })
  const origin = { scheme: 'postgres', host: 'db.test', port: 5432, database: 'd', user, password: 'the password' }
  const server = await make('hyperdrive/configs', { name: 'main', origin, mtls: { sslmode: 'disable' } })
  // Records are written after the API has answered.
  await until(async () => hasRecord(data, `server/${server}`), 'the last one is written')
  const settings = (key: string) => recordIn(join(data, 'fabric'), 'resources', key).settings as Record<string, string>
  const markers = [settings(`certificate/${certificate}`).key!, settings(`server/${server}`).password!, user]
  for (const marker of markers)
    await until(async () => (await filesWith(join(data, 'pops', 'iad'), marker)).length > 0, 'it is in the US, too')

  await writeFile(join(folder, 'index.js'), worker)
  const bindings = {
    mtls_certificates: [{ binding: 'PARTNER', certificate_id: certificate }],
    hyperdrive: [{ binding: 'DB', id: server }],
  }
  const config = { name: 'vault', main: 'index.js', compatibility_date: '2026-11-01', ...bindings }
  await writeFile(join(folder, 'wrangler.json'), JSON.stringify(config))
  await wrangler(node, folder, ['deploy'])
  await ok(platform, 'allow', 'vault', address)
  const ask = async () => (await get(at.iad, 'vault.localhost', `/?to=https://${address}/`)).text
  assert.equal(await ask(), `IAD client ${user}`)
  const refused = await platform.run('residency', 'certificate:partner', 'DE')
  assert.match(refused.output, /binding 'PARTNER' is to the store .*residency program:vault DE/)

  await ok(platform, 'residency', 'program:vault', 'DE')
  await ok(platform, 'residency', 'certificate:partner', 'DE')
  await ok(platform, 'residency', 'hyperdrive:main', 'DE')
  await until(async () => (await elsewhere(platform, markers)).length === 0, 'nothing of it is outside of Germany')
  assert.equal(await ask(), `FRA client ${user}`)
  const audit = await ok(platform, 'audit')
  for (const id of [certificate, server]) assert.match(audit, new RegExp(`store ${id} +fra \\(DE\\) +served/served.db`))
  assert.match(audit, /Nothing lies where it may not/)
  const patched = await node.api(`${account}/hyperdrive/configs/${server}`, {
    method: 'PATCH',
    body: JSON.stringify({ origin: { database: `other-${user}` } }),
  })
  assert.equal(patched.status, 200, await patched.text())
  assert.deepEqual(await elsewhere(platform, [user]), [])
  assert.equal(await node.stop(), 0)

  const again = await startPlatform(t, data, [], { NODE_EXTRA_CA_CERTS: join(data, 'trusted.pem') })
  assert.equal((await get(again.at.nrt, 'vault.localhost', `/?to=https://${address}/`)).text, `FRA client ${user}`)
  assert.deepEqual(await elsewhere(again, markers), [])
})
