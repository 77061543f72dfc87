/** Keys of what stays in its countries: all files elsewhere are searched for them, as they lay there before. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { connect } from 'node:tls'
import { selfSigned } from '#/edge/self-signed.fixture.ts'
import { get, temporaryFolder, until } from './support/node.ts'
import { filesWith, ok, type Platform, startPlatform } from './support/three-countries.ts'

/** The record of a bucket of the shared fabric, as it lies on the disk. */
function recordIn(folder: string, bucket: string, key: string): Record<string, unknown> {
  const database = new DatabaseSync(join(folder, 'fabric.db'), { readOnly: true, timeout: 5000 })
  try {
    const row = database
      .prepare('SELECT value FROM entries WHERE bucket = ? AND CAST(key AS TEXT) = ?')
      .get(bucket, key) as { value: Uint8Array } | undefined
    assert.ok(row !== undefined, `${bucket} has ${key}`)
    return JSON.parse(Buffer.from(row.value).toString())
  } finally {
    database.close()
  }
}

async function startOrigin(t: TestContext): Promise<string> {
  const origin = createServer((_, response) => response.end('from the origin')).listen(0, '127.0.0.1')
  t.after(() => origin.close())
  await once(origin, 'listening')
  return `http://127.0.0.1:${(origin.address() as AddressInfo).port}`
}

/** SHA-256 of the certificate that a PoP shows for a name, and who answered. */
async function askTls(url: string, servername: string): Promise<{ readonly shown: string; readonly text: string }> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), servername, rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const shown = socket.getPeerX509Certificate()!.fingerprint256.replaceAll(':', '').toLowerCase()
  socket.write(`GET / HTTP/1.1\r\nHost: ${servername}\r\nConnection: close\r\n\r\n`)
  return { shown, text: Buffer.concat(await socket.toArray()).toString() }
}

async function addCertificate(platform: Platform, name: string): Promise<string> {
  const { chain, key } = await selfSigned(name)
  await writeFile(join(platform.folder, 'chain.pem'), chain)
  await writeFile(join(platform.folder, 'key.pem'), key)
  const added = await ok(platform, 'cert', 'add', '--chain', 'chain.pem', '--key', 'key.pem', '--json')
  return (JSON.parse(added) as { id: string }).id
}

async function nowhereOutside({ node }: Platform, marker: string): Promise<void> {
  await until(
    async () => (await filesWith(node.data, marker)).every((path) => path.startsWith('pops/fra/')),
    'nothing of it is outside of Germany',
  )
}

test('keys of certificates lie with their sites, and TLS ends there', async (t) => {
  const data = await temporaryFolder(t, 'keys')
  const platform = await startPlatform(t, data, ['--https', '127.0.0.1:0'])
  const { at, tls } = platform
  const fabric = join(data, 'fabric')
  const origin = await startOrigin(t)
  await ok(platform, 'site', 'add', 'shop', '--origin', origin, '--host', 'shop.test')
  const early = await addCertificate(platform, 'shop.test')
  const sealed = String(recordIn(fabric, 'certificates', early).key)
  assert.ok(sealed.length > 100)
  assert.notDeepEqual(await filesWith(data, sealed), [])
  assert.deepEqual((await askTls(tls.iad, 'shop.test')).shown, early)

  await ok(platform, 'residency', 'shop', 'DE')
  await nowhereOutside(platform, sealed)
  const { key, keyBlob } = recordIn(fabric, 'certificates', early)
  assert.deepEqual([key, /@DE$/.test(String(keyBlob))], [undefined, true])
  for (const name of ['iad', 'fra'] as const) {
    const { shown, text } = await askTls(tls[name], 'shop.test')
    assert.deepEqual([shown, /x-served-by: (\w+)/.exec(text)?.[1]], [early, 'fra'])
  }
  // A later one is nowhere else from the start.
  await ok(platform, 'site', 'add', 'free', '--origin', origin, '--host', 'www.shop.test')
  const late = await addCertificate(platform, '*.shop.test')
  assert.ok('key' in recordIn(fabric, 'certificates', late))
  await ok(platform, 'residency', 'site:bank', 'DE')
  await ok(platform, 'site', 'add', 'bank', '--origin', origin, '--host', 'bank.shop.test')
  await until(async () => !('key' in recordIn(fabric, 'certificates', late)), 'the key follows a new host of its names')
  const { shown, text } = await askTls(tls.nrt, 'www.shop.test')
  assert.deepEqual([shown, /x-served-by: (\w+)/.exec(text)?.[1]], [late, 'fra'])
  assert.match(
    await ok(platform, 'audit'),
    /keys, older versions\) +fra \(DE\) +placed.*Nothing lies where it may not/s,
  )

  await ok(platform, 'residency', 'shop', 'anywhere')
  assert.equal((await askTls(tls.iad, 'shop.test')).shown, early)
  assert.ok('key' in recordIn(fabric, 'certificates', early))
  assert.equal((await get(at.iad, 'shop.test', '/')).headers['x-served-by'], 'iad')
})
