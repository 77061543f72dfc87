/** Story: certificates come from an ACME authority, are renewed, and never stand in the way of serving. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { AcmeSettings } from '#/control/certificates/acme-settings.ts'
import { type CertificateBook, createCertificates } from '#/control/certificates/certificates.ts'
import { createMemoryFabric, turningSeal } from '#/control/certificates/memory-fabric.fixture.ts'
import { defaultLimits } from '#/core/limits.ts'
import { X509Certificate } from '#/core/x509.ts'
import { type AcmeServerOptions, startAcmeServer } from './acme-server.ts'

const day = 86_400_000
const start = Date.UTC(2030, 0, 1)

async function open(t: TestContext, more: Partial<AcmeServerOptions> = {}) {
  let now = start
  const clock = () => now
  const fabric = createMemoryFabric(clock)
  const folder = mkdtempSync(join(tmpdir(), 'rimward-acme-'))
  const pops: CertificateBook[] = []
  for (let pop = 0; pop < 2; pop++)
    pops.push(
      await createCertificates({
        fabric,
        seal: turningSeal,
        folder,
        limits: defaultLimits,
        clock,
        log: { info() {}, warn() {} },
        sitesHostnames: () => ['www.example.com', 'shop.example.com'],
        acmePolling: { attempts: 10, firstPauseMs: 5, longestPauseMs: 20 },
      }),
    )
  // The data plane, as far as challenges go: the second point of presence answers what the first one opened.
  const front = createServer(async (incoming, outgoing) => {
    const token = incoming.url!.replace('/.well-known/acme-challenge/', '')
    const answer = await pops[1]!.challenge(incoming.headers.host!, token)
    outgoing.writeHead(answer === undefined ? 404 : 200).end(answer ?? 'no challenge')
  })
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve))
  const authority = await startAcmeServer({
    clock,
    certificateLifeMs: 90 * day,
    challengePort: () => (front.address() as AddressInfo).port,
    ...more,
  })
  t.after(async () => {
    for (const pop of pops) await pop.close()
    front.close()
    authority.close()
    rmSync(folder, { recursive: true })
  })
  const settings: AcmeSettings = {
    directoryUrl: authority.directoryUrl,
    email: 'ops@example.com',
    hostnames: ['www.example.com'],
    termsAgreed: true,
  }
  const wait = (ms: number) => {
    now += ms
  }
  return { authority, settings, fabric, wait, pops: pops as [CertificateBook, CertificateBook], front }
}

async function issuerOf(book: CertificateBook, name: string): Promise<string> {
  return new X509Certificate((await book.forName(name))!.chain).issuer
}

test('ordered, served by every point of presence, renewed at two thirds of its life', async (t) => {
  const { authority, settings, wait, pops, fabric } = await open(t, { badNonceEvery: 3 })
  assert.match(await issuerOf(pops[0], 'www.example.com'), /Rimward local authority/)
  await pops[0].configureAcme({ ...settings, hostnames: ['WWW.example.com.', 'shop.example.com', 'www.example.com'] })
  await pops[0].renewDue()
  for (const pop of pops)
    for (const name of ['www.example.com', 'shop.example.com'])
      assert.equal(await issuerOf(pop, name), 'CN=Test authority')
  assert.equal(authority.events.filter((event) => event === 'account').length, 1)
  const first = (await pops[0].status()).acme!.hostnames
  assert.deepEqual(
    first.map(({ state }) => state),
    ['valid', 'valid'],
  )
  assert.equal(pops[0].list().length, 2)

  const before = authority.events.length
  wait(56 * day)
  await pops[1].renewDue()
  assert.equal(authority.events.length, before)
  wait(4 * day)
  await Promise.all(pops.map((pop) => pop.renewDue()))
  const renewed = authority.events.slice(before).filter((event) => event.startsWith('certificate'))
  assert.deepEqual(renewed.sort(), ['certificate shop.example.com', 'certificate www.example.com'])
  assert.ok((await pops[1].status()).acme!.hostnames.every(({ notAfter }) => notAfter === start + 150 * day))
  assert.equal(pops[0].list().length, 2)

  // Nothing that opens a door lies open, and no challenge stays.
  for (const name of ['acme', 'certificates', 'local-authority'])
    for (const { value } of await fabric.bucket(name).list({ limit: 100 })) {
      assert.doesNotMatch(Buffer.from(value).toString(), /PRIVATE KEY/)
    }
  assert.equal((await fabric.bucket('acme-challenges').list({ limit: 100 })).length, 0)
})

test('failures are seen in the status, tried again later and later, and what serves goes on serving', async (t) => {
  const { authority, settings, wait, pops } = await open(t)
  authority.refuseOrders = 'too many orders for this name'
  await pops[0].configureAcme(settings)
  await pops[0].renewDue()
  const failed = (await pops[1].status()).acme!.hostnames[0]!
  assert.equal(failed.state, 'failing')
  assert.match(failed.failure!.reason, /too many orders/)
  assert.ok(failed.nextAttemptAt >= start + 5 * 60_000 && failed.nextAttemptAt <= start + 6.25 * 60_000 + 1)
  assert.match(await issuerOf(pops[0], 'www.example.com'), /Rimward local authority/)
  await pops[0].renewDue()
  assert.equal((await pops[0].status()).acme!.hostnames[0]!.failure!.attempts, 1)
  wait(7 * 60_000)
  await pops[0].renewDue()
  assert.equal((await pops[0].status()).acme!.hostnames[0]!.failure!.attempts, 2)

  authority.refuseOrders = undefined
  wait(13 * 60_000)
  await pops[0].renewDue()
  assert.equal((await pops[0].status()).acme!.hostnames[0]!.state, 'valid')

  // A renewal that fails leaves the certificate in use.
  authority.refuseOrders = 'closed for repair'
  wait(61 * day)
  await pops[0].renewDue()
  assert.equal((await pops[0].status()).acme!.hostnames[0]!.state, 'failing')
  assert.equal(await issuerOf(pops[0], 'www.example.com'), 'CN=Test authority')
  // Past its end it is not served any more: the local authority steps in.
  wait(30 * day)
  assert.match(await issuerOf(pops[0], 'www.example.com'), /Rimward local authority/)
})

test('a challenge that is not answered fails its name and no other', async (t) => {
  const { authority, settings, pops, front } = await open(t)
  front.prependListener('request', (incoming) => {
    if (incoming.headers.host === 'shop.example.com') incoming.url = '/.well-known/acme-challenge/other'
  })
  await pops[0].configureAcme({ ...settings, hostnames: ['shop.example.com', 'www.example.com'] })
  await pops[0].renewDue()
  const [shop, www] = (await pops[0].status()).acme!.hostnames
  assert.equal(shop!.state, 'failing')
  assert.match(shop!.failure!.reason, /no challenge/)
  assert.equal(www!.state, 'valid')
  assert.ok(authority.events.includes('invalid shop.example.com'))
})

test('an authority that wants to know its customers', async (t) => {
  const externalAccount = { keyId: 'customer-1', hmacKey: Buffer.from('a'.repeat(32)).toString('base64url') }
  const { settings, pops, fabric } = await open(t, { externalAccount })
  await pops[0].configureAcme(settings)
  await pops[0].renewDue()
  assert.match((await pops[0].status()).acme!.hostnames[0]!.failure!.reason, /external account/i)
  await pops[0].configureAcme({ ...settings, externalAccount })
  await pops[0].renewDue()
  assert.equal((await pops[0].status()).acme!.hostnames[0]!.state, 'valid')
  const stored = Buffer.from((await fabric.bucket('acme').get('settings'))!.value).toString()
  assert.ok(!stored.includes(externalAccount.hmacKey))
})

test('no authority there: serving goes on', async (t) => {
  const { authority, settings, pops } = await open(t)
  authority.close()
  await pops[0].configureAcme(settings)
  assert.match(await issuerOf(pops[0], 'www.example.com'), /Rimward local authority/)
  await pops[0].renewDue()
  assert.match(
    (await pops[0].status()).acme!.hostnames[0]!.failure!.reason,
    /authority at 127\.0\.0\.1:\d+ does not answer/,
  )
  assert.equal(await pops[0].disableAcme(), true)
  assert.equal((await pops[0].status()).acme, undefined)
})

test('settings that cannot work are refused by name', async (t) => {
  const { settings, pops } = await open(t)
  const wrong: [Partial<AcmeSettings>, RegExp][] = [
    [{ directoryUrl: 'nonsense' }, /ACME directory/],
    [{ directoryUrl: 'http://acme.example/directory' }, /https/],
    [{ termsAgreed: false }, /terms/],
    [{ email: 'nobody' }, /e-mail/],
    [{ hostnames: ['*.example.com'] }, /\*\.example\.com: wildcards/],
    [{ hostnames: ['192.0.2.1'] }, /addresses/],
    [{ hostnames: ['app.localhost'] }, /no public authority/],
    [{ hostnames: ['intranet'] }, /no public authority/],
    [{ hostnames: Array.from({ length: 1001 }, (_, i) => `h${i}.example.com`) }, /1000/],
    [{ externalAccount: { keyId: 'a', hmacKey: 'ä' } }, /base64url/],
  ]
  for (const [change, message] of wrong)
    await assert.rejects(pops[0].configureAcme({ ...settings, ...change }), { code: 'bad_request', message })
  assert.equal((await pops[0].status()).acme, undefined)
})
