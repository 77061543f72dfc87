/** Client certificates, ciphers and directors of backends, set by the real CLI and the API, seen at real TLS origins. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer as createPlain } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { selfSigned } from '#/edge/self-signed.fixture.ts'
import { fastly } from '../support/fastly.ts'
import { type RunningNode, startNode } from '../support/node.ts'

const host = 'tls.example.test'

async function listening(t: TestContext, server: Server & { closeAllConnections(): void }): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

async function api(node: RunningNode, method: string, path: string, fields?: Record<string, string>) {
  const answer = await node.api(path, { method, ...(fields && { body: new URLSearchParams(fields) }) })
  return { status: answer.status, body: JSON.parse(await answer.text()) }
}

/** Every file below a folder that holds this text. */
function filesWith(folder: string, text: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => {
    const path = join(folder, name)
    return statSync(path).isFile() && readFileSync(path).includes(text)
  })
}

test('a backend that asks for a client certificate', { timeout: 60_000 }, async (t) => {
  const node = await startNode(t)
  const [server, client, other] = [
    await selfSigned('origin.test'),
    await selfSigned('edge.test'),
    await selfSigned('x.test'),
  ]
  const origin = createServer(
    {
      cert: server.chain,
      key: server.key,
      ca: [client.chain],
      requestCert: true,
      rejectUnauthorized: false,
      maxVersion: 'TLSv1.2',
    },
    (request, response) => {
      const socket = request.socket as TLSSocket
      response.writeHead(200, { 'cache-control': 'no-store' })
      response.end(
        `${socket.getPeerCertificate().subject?.CN ?? 'nobody'} ${socket.authorized} ${socket.getCipher().name}`,
      )
    },
  )
  const port = await listening(t, origin)
  const made = await fastly(node, ['service', 'create', '--name', 'tls'])
  const id = /Created service (\S+)/.exec(made.output)![1]!
  const on = ['--service-id', id, '--version', '1']
  await fastly(node, ['service', 'domain', 'create', ...on, '--name', host])
  await fastly(node, [
    ...['service', 'backend', 'create', ...on, '--name', 'origin', '--address', '127.0.0.1', '--port', String(port)],
    ...[`--ssl-ca-cert=${server.chain}`, '--ssl-cert-hostname', 'origin.test', '--ssl-sni-hostname', 'origin.test'],
    ...[
      `--ssl-client-cert=${client.chain}`,
      `--ssl-client-key=${client.key}`,
      '--ssl-ciphers',
      'ECDHE-ECDSA-AES256-GCM-SHA384',
    ],
  ])
  const at = `/service/${id}/version/1/backend/origin`
  await fastly(node, ['service', 'backend', 'update', ...on, '--name', 'origin', '--use-ssl'])

  const secret = client.key.split('\n')[1]!
  const shown = await api(node, 'GET', at)
  assert.equal(shown.body.ssl_client_key, '(sealed)')
  assert.equal(shown.body.ssl_client_cert, client.chain)
  assert.equal(JSON.stringify(shown.body).includes(secret), false)
  await node.stop('SIGTERM')
  assert.deepEqual(filesWith(node.data, secret), [], 'no file holds the key in clear, the draft neither')

  const again = await startNode(t, { data: node.data })
  await fastly(again, ['service', 'version', 'activate', ...on])
  assert.equal((await again.get(host, '/')).text, 'edge.test true ECDHE-ECDSA-AES256-GCM-SHA384')

  const bad: [Record<string, string>, RegExp][] = [
    [{ ssl_client_key: 'no key' }, /not one in PEM/],
    [{ ssl_ciphers: 'NO-SUCH-CIPHER' }, /ciphers: must be a list of cipher suites/],
    [{ ssl_client_cert: 'no certificate' }, /certificate/],
    [{ shield: 'iad-va-us' }, /no point of presence 'iad-va-us' to be a shield; there are local/],
  ]
  const draft = `/service/${id}/version/2`
  assert.equal((await api(again, 'PUT', `/service/${id}/version/1/clone`)).status, 200)
  for (const [fields, says] of bad) {
    const { status, body } = await api(again, 'PUT', `${draft}/backend/origin`, fields)
    assert.equal(status, 400, JSON.stringify(fields))
    assert.match(body.detail, says)
  }
  const misfits: [Record<string, string>, RegExp][] = [
    [{ ssl_client_key: other.key }, /does not belong to the ssl_client_cert/],
    [{ ssl_client_key: '' }, /ssl_client_cert needs ssl_client_key/],
    [{ ssl_client_key: client.key, ssl_client_cert: '' }, /ssl_client_key needs ssl_client_cert/],
  ]
  for (const [fields, says] of misfits) {
    assert.equal((await api(again, 'PUT', `${draft}/backend/origin`, fields)).status, 200)
    const { status, body } = await api(again, 'PUT', `${draft}/activate`)
    assert.equal(status, 400, JSON.stringify(fields))
    assert.match(body.detail, says)
  }
})

test('directors choose among their backends', { timeout: 60_000 }, async (t) => {
  const node = await startNode(t)
  const ports: number[] = []
  for (const name of ['a', 'b', 'c'])
    ports.push(
      await listening(
        t,
        createPlain((_, response) => response.writeHead(200, { 'cache-control': 'no-store' }).end(name)),
      ),
    )
  const { id } = (await api(node, 'POST', '/service', { name: 'directed', type: 'vcl' })).body
  const at = `/service/${id}/version/1`
  const ok = async (method: string, path: string, fields?: Record<string, string>) => {
    const { status, body } = await api(node, method, path, fields)
    assert.equal(status, 200, `${method} ${path}: ${JSON.stringify(body)}`)
    return body
  }
  for (const [index, name] of ['a', 'b', 'c'].entries())
    await ok('POST', `${at}/backend`, { name, address: '127.0.0.1', port: String(ports[index]), weight: '100' })
  assert.deepEqual((await ok('POST', `${at}/director`, { name: 'pair', type: '3' })).backends, [])
  for (const name of ['b', 'c']) await ok('POST', `${at}/director/pair/backend/${name}`)
  assert.equal((await ok('GET', `${at}/director/pair/backend/b`)).director, 'pair')
  assert.equal((await api(node, 'POST', `${at}/director/pair/backend/b`)).status, 409)
  assert.equal((await api(node, 'POST', `${at}/director/pair/backend/x`)).status, 404)
  await ok('PUT', `${at}/backend/c`, { name: 'see' })
  await ok('PUT', `${at}/director/pair`, { name: 'two' })
  assert.deepEqual((await ok('GET', `${at}/director/two`)).backends, ['b', 'see'])
  await ok('PUT', `${at}/activate`)

  const from = async (path: string) => (await node.get('directed.localhost', path)).text
  const seen = new Map<string, string>()
  for (let page = 0; page < 30; page++) seen.set(`/${page}`, await from(`/${page}`))
  assert.deepEqual([...new Set(seen.values())].sort(), ['b', 'c'])
  for (const [path, text] of seen) assert.equal(await from(path), text, 'a hash: the same URL at the same backend')

  await ok('PUT', `${at}/clone`)
  const next = `/service/${id}/version/2`
  await ok('DELETE', `${next}/backend/b`)
  assert.deepEqual((await ok('GET', `${next}/director/two`)).backends, ['see'])
  await ok('DELETE', `${next}/director/two/backend/see`)
  assert.match((await api(node, 'PUT', `${next}/activate`)).body.detail, /Director 'two': it has no backends/)
  await ok('DELETE', `${next}/director/two`)
  await ok('PUT', `${next}/activate`)
  assert.equal(await from('/1'), 'a')
})
