/** Config stores, access lists and secret stores that stay in their countries: all files elsewhere are searched. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryFolder, until } from './support/node.ts'
import { filesWith, ok, type Platform, startPlatform } from './support/three-countries.ts'

const [item, network, secret] = ['marker-of-an-item-6a1f', '203.0.113.77/32', 'marker-of-a-secret-b2e4']

async function call({ node }: Platform, method: string, path: string, body?: object): Promise<unknown> {
  const answer = await node.api(path, {
    method,
    ...(body && { body: body instanceof URLSearchParams ? body : JSON.stringify(body) }),
  })
  const text = await answer.text()
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`)
  return text === '' ? undefined : JSON.parse(text)
}

/** A store of each kind with one item; returns their paths. */
async function fill(platform: Platform) {
  const make = async (path: string, wish: object) => {
    const { id } = (await call(platform, 'POST', path, wish)) as { id: string }
    return `${path}/${id}`
  }
  const config = await make('/resources/stores/config', new URLSearchParams({ name: 'settings' }))
  await call(platform, 'POST', `${config}/item`, new URLSearchParams({ item_key: 'greeting', item_value: item }))
  const list = await make('/resources/acls', { name: 'visitors' })
  await call(platform, 'PATCH', `${list}/entries`, { entries: [{ op: 'create', prefix: network, action: 'BLOCK' }] })
  const keys = await make('/resources/stores/secret', { name: 'keys' })
  const sealed = { name: 'token', secret: Buffer.from(secret).toString('base64') }
  await call(platform, 'POST', `${keys}/secrets`, sealed)
  return { config, list, keys }
}

/** The end of the secret's ciphertext as it stands in the fabric. */
async function ciphertext({ node }: Platform): Promise<string> {
  for (const name of ['fabric.db-wal', 'fabric.db']) {
    const bytes = await readFile(join(node.data, 'fabric', name), 'latin1')
    const found = /sealed\\":\\"v1\.[^"\\]+([^"\\]{24})\\"/.exec(bytes)?.[1]
    if (found !== undefined) return found
  }
  throw new Error('there is no secret in the fabric')
}

const inside = (name: string) => (path: string) => path.startsWith(`pops/${name}/`)

test('items, networks and secrets go to their countries, stay there, and are erased elsewhere', async (t) => {
  const data = await temporaryFolder(t, 'residency-stores')
  const platform = await startPlatform(t, data)
  const paths = await fill(platform)
  const markers = [item, network, await ciphertext(platform)]
  for (const marker of markers) assert.notDeepEqual(await filesWith(join(data, 'fabric'), marker), [], marker)

  const stayIn = async (at: Platform, countries: string) => {
    for (const name of ['config:settings', 'acl:visitors', 'secret:keys']) await ok(at, 'residency', name, countries)
  }
  const onlyAt = async (name: string) => {
    for (const marker of markers) {
      const at = async () => filesWith(data, marker)
      await until(async () => (await at()).length > 0 && (await at()).every(inside(name)), `${marker} only at ${name}`)
    }
  }
  await stayIn(platform, 'DE')
  for (const marker of markers) {
    const found = await filesWith(data, marker)
    assert.ok(found.length > 0 && found.every(inside('fra')), `${marker} in ${found.join()}`)
  }
  assert.match(await ok(platform, 'audit'), /store \w+ +fra \(DE\) +placed\/fabric\.db#item-stores@DE .*Nothing lies/s)

  // Written after it was placed, wherever the API is.
  const later = 'marker-of-a-later-item-7c30'
  await call(platform, 'PUT', `${paths.config}/item/later`, new URLSearchParams({ item_value: later }))
  assert.ok((await filesWith(data, later)).every(inside('fra')))
  assert.match(JSON.stringify(await call(platform, 'GET', `${paths.config}/items`)), /item-6a1f.*item-7c30/)

  await stayIn(platform, 'JP')
  await onlyAt('nrt')
  assert.deepEqual(
    (await filesWith(data, later)).filter((path) => !inside('nrt')(path)),
    [],
  )
  assert.equal(await platform.node.stop(), 0)

  const again = await startPlatform(t, data)
  await onlyAt('nrt')
  assert.match(JSON.stringify(await call(again, 'GET', `${paths.config}/items`)), /item-6a1f.*item-7c30/)
  assert.match(JSON.stringify(await call(again, 'GET', `${paths.list}/entries`)), /203\.0\.113\.77\/32/)
  assert.match(JSON.stringify(await call(again, 'GET', `${paths.keys}/secrets`)), /"token"/)
  await stayIn(again, 'anywhere')
  for (const marker of markers) assert.notDeepEqual(await filesWith(join(data, 'fabric'), marker), [], marker)
  assert.match(await ok(again, 'audit'), /Nothing lies where it may not/)
})
