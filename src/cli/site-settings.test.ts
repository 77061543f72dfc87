import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { readErrorPages, readSettings, settingsOf } from './site-settings.ts'

test('flags become the form of the API', () => {
  assert.deepEqual(settingsOf({}, {}), {})
  assert.deepEqual(settingsOf({ origin: ['http://a'], host: ['Shop.example'], choice: 'hash' }, {}), {
    origin: 'http://a',
    hosts: ['shop.example'],
    choice: 'hash',
  })
  assert.deepEqual(settingsOf({ origin: ['http://a', 'http://b'], healthCheck: '/up' }, {}), {
    origins: ['http://a', 'http://b'],
    healthCheck: { path: '/up' },
  })
  assert.deepEqual(settingsOf({ defaultTtl: '60' }, { cache: { storeSetCookie: true } }), {
    cache: { storeSetCookie: true, defaultTtl: 60 },
  })
  assert.deepEqual(settingsOf({ defaultTtl: 'x', storeSetCookie: true }, {}), {
    cache: { defaultTtl: 'x', storeSetCookie: true },
  })
})

test('flags change single values of what is done to answers', () => {
  const answers = { earlyHints: 'off', hsts: { maxAge: 5, includeSubDomains: true } }
  assert.deepEqual(settingsOf({ httpsRedirect: true, hsts: '60', compression: 'off' }, { answers }), {
    answers: {
      earlyHints: 'off',
      httpsRedirect: true,
      hsts: { maxAge: 60, includeSubDomains: true },
      compression: 'off',
    },
  })
  assert.deepEqual(settingsOf({ hsts: 'long', httpsRedirect: false }, {}), {
    answers: { hsts: { maxAge: 'long' }, httpsRedirect: false },
  })
})

test('error pages are files of known types', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-site-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'a.html'), '<h1>')
  assert.deepEqual(await readErrorPages({ errorPage: [`5xx=${join(folder, 'a.html')}`, '404='] }), {
    errorPages: { '5xx': { type: 'text/html; charset=utf-8', body: '<h1>' }, '404': null },
  })
  assert.deepEqual(await readErrorPages({}), {})
  await assert.rejects(readErrorPages({ errorPage: ['5xx'] }), /takes STATUS=FILE/)
  await assert.rejects(readErrorPages({ errorPage: ['5xx=a.png'] }), /neither .html, .json nor .txt/)
  await assert.rejects(readErrorPages({ errorPage: ['5xx=none.html'] }), /none.html cannot be read: ENOENT/)
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
