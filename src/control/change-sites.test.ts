/** Sites: what a wish becomes in the Snapshot and in the record. */
import assert from 'node:assert/strict'
import { webcrypto } from 'node:crypto'
import { test } from 'node:test'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import type { OriginPool } from '#/core/origin.ts'
import { cachePolicySchema } from './cache-policy.ts'
import { type Control, createControl } from './control.ts'
import { createMemoryFabric } from './memory-fabric.fixture.ts'
import { healthCheck, type OriginWish } from './site-form.ts'

test('a cache policy is checked by name', () => {
  const good = {
    defaultTtl: 60,
    ttlByStatus: [{ from: 404, to: 404, ttl: 5 }],
    storeSetCookie: true,
    key: { query: { kind: 'only', names: ['a'] }, sortQuery: true, headers: ['X-Plan'] },
    bypassPaths: ['/admin/*'],
  }
  const read = cachePolicySchema.parse(good)
  assert.deepEqual(read, { ...good, key: { ...good.key, headers: ['x-plan'] } })
  const bad: [object, RegExp][] = [
    [{ ttl: 1 }, /"ttl"/],
    [{ defaultTtl: -1 }, /defaultTtl/],
    [{ ttlByStatus: [{ from: 500, to: 404, ttl: 1 }] }, /from/],
    [{ key: { headers: ['a b'] } }, /token/],
    [{ bypassPaths: ['admin'] }, /start with/],
  ]
  for (const [policy, why] of bad) {
    const result = cachePolicySchema.safeParse(policy)
    assert.match(JSON.stringify(result.error?.issues), new RegExp(why.source.replaceAll('"', '\\\\?"')))
  }
})

const sealed = (text: string) => `#${Buffer.from(text).toString('base64')}`

async function open(limits: Partial<Limits> = {}) {
  const fabric = createMemoryFabric(() => 1)
  const start = () =>
    createControl({
      fabric,
      seal: { seal: sealed, open: (text) => Buffer.from(text.slice(1), 'base64').toString() },
      engine: {
        prove: () => Promise.reject(new Error('nothing is deployed here')),
        forget: async () => {},
      },
      limits: { ...defaultLimits, ...limits },
      clock: () => 1,
      adopt: async () => {},
    })
  return { control: await start(), start }
}

const poolIn = ({ snapshot }: Control, name: string): OriginPool => {
  const target = snapshot.sites.find((site) => site.name === name)?.target
  assert.ok(target?.kind === 'origin' && target.pool !== undefined)
  return target.pool
}
const site = { name: 'shop', origin: 'http://a.test/', hosts: [] }
const wish = (url: string, more: Partial<OriginWish> = {}): OriginWish => ({ url, weight: 100, ...more })

async function clientCertificate() {
  x509.cryptoProvider.set(webcrypto as Crypto)
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const made = await x509.X509CertificateGenerator.createSelfSigned({ name: 'CN=c', keys, signingAlgorithm: algorithm })
  const key = x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY')
  return { clientCertificate: made.toString('pem'), clientKey: key }
}

test('origins are named, and a change leaves alone what it does not name', async () => {
  const { control, start } = await open()
  await control.siteAdd({
    ...site,
    origins: [wish('http://a.test'), wish('http://b.test/base', { name: 'second', weight: 5 })],
    choice: 'hash',
    quorum: 50,
    healthCheck: healthCheck.parse({ path: '/up' }),
    errorPages: { '5xx': { type: 'text/html', body: 'sorry' } },
    cache: { defaultTtl: 5 },
  })
  const pool = poolIn(control, 'shop')
  assert.deepEqual(pool.origins, [
    { name: 'a.test', url: 'http://a.test/', weight: 100 },
    { name: 'second', url: 'http://b.test/base', weight: 5 },
  ])
  assert.deepEqual([pool.choice, pool.quorum, pool.healthCheck?.path], ['hash', 50, '/up'])
  await control.siteChange('shop', { quorum: null, choice: 'fallback', hosts: ['Shop.test'] })
  const changed = poolIn(control, 'shop')
  assert.deepEqual([changed.choice, changed.quorum, changed.healthCheck?.path], ['fallback', undefined, '/up'])
  assert.deepEqual(changed.origins, pool.origins)
  const [record] = control.sites()
  assert.deepEqual([record!.hosts, record!.cache, record!.createdAt], [['shop.test'], { defaultTtl: 5 }, 1])
  assert.deepEqual([...(await start()).snapshot.sites], [...control.snapshot.sites])
  await control.siteChange('shop', { cache: null, errorPages: null, healthCheck: null })
  assert.deepEqual(
    Object.keys([...control.snapshot.sites][0]!).sort(),
    ['hostnames', 'name', 'routes', 'target'],
    'null takes away',
  )
})

test('keys are sealed, kept while their certificate stays, and never shown', async () => {
  const { control } = await open()
  const client = await clientCertificate()
  await control.siteAdd({ ...site, origins: [wish('https://a.test', { name: 'a', ...client })] })
  assert.equal(poolIn(control, 'shop').origins[0]!.clientKey, sealed(client.clientKey))
  const { clientKey: _key, ...withoutKey } = client
  await control.siteChange('shop', { origins: [wish('https://b.test', { name: 'a', ...withoutKey })] })
  assert.equal(poolIn(control, 'shop').origins[0]!.clientKey, sealed(client.clientKey))
  const other = await clientCertificate()
  const bad: [OriginWish[], RegExp][] = [
    [[wish('https://a.test', { ...withoutKey })], /no clientKey/],
    [[wish('https://a.test', { clientKey: client.clientKey })], /no clientCertificate/],
    [[wish('https://a.test', { ...client, clientKey: other.clientKey })], /does not belong/],
    [[wish('https://a.test', { ...client, clientKey: 'nonsense' })], /not a private key/],
    [[wish('http://a.test', { ...client })], /'clientCertificate', which is for https/],
    [[wish('http://a.test', { minTlsVersion: '1.2' })], /https:\/\/ only/],
    [[wish('https://a.test', { minTlsVersion: '1.3', maxTlsVersion: '1.2' })], /above its max/],
    [[wish('http://a.test/1'), wish('http://a.test/2')], /Two origins are called 'a\.test'/],
  ]
  for (const [origins, why] of bad)
    await assert.rejects(control.siteChange('shop', { origins }), { code: 'bad_address', message: why })
})

test('what does not fit is refused by name', async () => {
  const { control } = await open({ healthChecks: 2 })
  const check = healthCheck.parse({})
  await assert.rejects(control.siteAdd({ ...site, choice: 'fallback', quorum: 50 }), { code: 'bad_address' })
  await assert.rejects(control.siteChange('nobody', {}), { code: 'no_site' })
  await control.siteAdd({ ...site, name: 'one', healthCheck: check })
  await control.siteAdd({ ...site, name: 'two', origins: [wish('http://a.test', { healthCheck: check })] })
  await control.siteChange('two', { choice: 'hash' })
  await assert.rejects(control.siteAdd({ ...site, name: 'three', healthCheck: check }), { code: 'too_many' })
})

test('what is done to answers is kept, changed and taken away', async () => {
  const { control, start } = await open()
  const answers = { hsts: { maxAge: 60 }, redirects: [{ from: '/a', to: '/b', status: 301 as const }] }
  await control.siteAdd({ ...site, answers })
  const found = ({ snapshot }: Control) => snapshot.sites.find(({ name }) => name === 'shop')?.answers
  await control.siteChange('shop', { hosts: ['shop.test'] })
  assert.deepEqual(found(control), answers)
  assert.deepEqual(found(await start()), answers)
  await assert.rejects(control.siteChange('shop', { answers: { hsts: { maxAge: -1 } } }), /hsts\.maxAge is -1/)
  await control.siteChange('shop', { answers: { compression: 'off' } })
  assert.deepEqual(found(control), { compression: 'off' })
  await control.siteChange('shop', { answers: null })
  assert.equal(found(control), undefined)
})
