import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { readSettings, settingsOf } from './site-settings.ts'

test('flags become the form of the API', () => {
  assert.deepEqual(settingsOf({}, undefined), {})
  assert.deepEqual(settingsOf({ origin: ['http://a'], host: ['Shop.example'], choice: 'hash' }, undefined), {
    origin: 'http://a',
    hosts: ['shop.example'],
    choice: 'hash',
  })
  assert.deepEqual(settingsOf({ origin: ['http://a', 'http://b'], healthCheck: '/up' }, undefined), {
    origins: ['http://a', 'http://b'],
    healthCheck: { path: '/up' },
  })
  assert.deepEqual(settingsOf({ defaultTtl: '60' }, { storeSetCookie: true }), {
    cache: { storeSetCookie: true, defaultTtl: 60 },
  })
  assert.deepEqual(settingsOf({ defaultTtl: 'x', storeSetCookie: true }, undefined), {
    cache: { defaultTtl: 'x', storeSetCookie: true },
  })
})

test('a document that cannot be used is named', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-site-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const write = async (text: string) => {
    await writeFile(join(folder, 'site.json'), text)
    return readSettings({ file: join(folder, 'site.json') })
  }
  assert.deepEqual(await write('{"choice":"hash"}'), { choice: 'hash' })
  await assert.rejects(write('{'), /is not JSON/)
  await assert.rejects(write('[]'), /JSON object/)
  await assert.rejects(readSettings({ file: join(folder, 'none') }), /cannot be read: ENOENT/)
})
