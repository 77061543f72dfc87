/**
 * Keys of certificates, origins, rules and dictionaries that stay in their countries: all files elsewhere are searched for
 * them, as they lay there before.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { connect } from 'node:tls'
import { selfSigned } from '#/edge/self-signed.fixture.ts'
import { get, temporaryFolder, until } from './support/node.ts'
import { filesWith, ok, type Platform, recordIn, startPlatform } from './support/three-countries.ts'

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

async function call({ node }: Platform, method: string, path: string, body?: object): Promise<Record<string, string>> {
  const answer = await node.api(path, {
    method,
    ...(body && { body: body instanceof URLSearchParams ? body : JSON.stringify(body) }),
  })
  const text = await answer.text()
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`)
  return text === '' ? {} : JSON.parse(text)
}

const form = (fields: Record<string, string>) => new URLSearchParams(fields)

/** A service with a dictionary, an address list, a header from each, and a draft beside the active version. */
async function makeService(platform: Platform, origin: string) {
  const { id = '' } = await call(platform, 'POST', '/service', form({ name: 'edge' }))
  const version = `/service/${id}/version/1`
  const { hostname: address, port } = new URL(origin)
  await call(platform, 'POST', `${version}/domain`, form({ name: 'edge.test' }))
  await call(platform, 'POST', `${version}/backend`, form({ name: 'o', address, port }))
  const { id: words = '' } = await call(platform, 'POST', `${version}/dictionary`, form({ name: 'words' }))
  const header = { type: 'response', action: 'set', ignore_if_set: '0', priority: '10' }
  const rules = [
    { ...header, name: 'word', dst: 'http.X-Word', src: 'table.lookup(words, "one")' },
    { ...header, name: 'text', dst: 'http.X-Text', src: `"${marks.rule}"` },
  ]
  for (const rule of rules) await call(platform, 'POST', `${version}/header`, form(rule))
  await setWord(platform, id, words, marks.item)
  await call(platform, 'PUT', `${version}/activate`)
  const { number } = await call(platform, 'PUT', `${version}/clone`)
  const draft = { ...header, name: 'draft', dst: 'http.X-Draft', src: `"${marks.draft}"` }
  await call(platform, 'POST', `/service/${id}/version/${number}/header`, form(draft))
  return { id, words }
}

const setWord = (platform: Platform, service: string, words: string, value: string) =>
  call(platform, 'PUT', `/service/${service}/dictionary/${words}/item/one`, form({ item_value: value }))

const marks = {
  item: 'marker-of-an-item-40af',
  rule: 'marker-of-a-rule-8bd2',
  draft: 'marker-of-a-draft-0c36',
  page: 'marker-of-a-page-d97e',
}

test('rules, dictionaries and origins lie with their service or site', async (t) => {
  const data = await temporaryFolder(t, 'rules')
  const platform = await startPlatform(t, data)
  const origin = await startOrigin(t)
  const { id, words } = await makeService(platform, origin)
  await ok(platform, 'site', 'add', 'shop', '--origin', `${origin}/${marks.page}`)
  const markers = Object.values(marks)
  for (const marker of markers) assert.notDeepEqual(await filesWith(join(data, 'fabric'), marker), [], marker)
  const answers = async (served: Platform, colo: string, word: string) => {
    for (const name of ['iad', 'fra'] as const) {
      const { headers, text } = await get(served.at[name], 'edge.test', '/')
      assert.deepEqual([headers['x-word'], headers['x-text'], text], [word, marks.rule, 'from the origin'])
      assert.deepEqual([headers['x-served-by'], (await get(served.at[name], 'shop.localhost', '/')).text], [colo, text])
    }
  }

  await ok(platform, 'residency', 'service:edge', 'DE')
  await ok(platform, 'residency', 'site:shop', 'DE')
  for (const marker of markers) await nowhereOutside(platform, marker)
  await answers(platform, 'fra', marks.item)
  const changed = 'marker-of-a-later-item-e6b3'
  await setWord(platform, id, words, changed)
  await answers(platform, 'fra', changed)
  for (const marker of [changed, ...markers]) await nowhereOutside(platform, marker)
  const items = await call(platform, 'GET', `/service/${id}/dictionary/${words}/items`)
  assert.match(JSON.stringify(items), new RegExp(changed))
  const shown = await call(platform, 'GET', `/service/${id}/version/2/header`)
  assert.match(JSON.stringify(shown), new RegExp(marks.draft))
  const report = await ok(platform, 'audit')
  assert.match(report, /fra \(DE\) +placed\/fabric\.db#service-versions@DE/)
  assert.match(report, /Nothing lies where it may not/)
  assert.equal(await platform.node.stop(), 0)

  const again = await startPlatform(t, data)
  await answers(again, 'fra', changed)
  for (const marker of [changed, ...markers]) await nowhereOutside(again, marker)
  await ok(again, 'residency', 'service:edge', 'JP')
  await ok(again, 'residency', 'site:shop', 'JP')
  for (const marker of [changed, ...markers]) assert.deepEqual(await filesWith(join(data, 'pops', 'fra'), marker), [])
  await answers(again, 'nrt', changed)
  await ok(again, 'residency', 'service:edge', 'anywhere')
  assert.equal((await get(again.at.iad, 'edge.test', '/')).headers['x-served-by'], 'iad')
  assert.notDeepEqual(await filesWith(join(data, 'fabric'), changed), [])
})
