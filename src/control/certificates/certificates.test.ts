/** Uploads that are right and wrong, look-up by server name, and the local authority, seen by real TLS clients. */
import assert from 'node:assert/strict'
import { generateKeyPairSync, webcrypto } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { connect, createSecureContext, createServer } from 'node:tls'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import * as x509 from '#/core/x509.ts'
import { type CertificateBook, createCertificates } from './certificates.ts'
import { createMemoryFabric, turningSeal } from './memory-fabric.fixture.ts'

const day = 86_400_000
const signing = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

async function open(t: TestContext, more: { limits?: Partial<Limits>; now?: number; sites?: string[] } = {}) {
  let now = more.now ?? Date.now()
  const clock = () => now
  const fabric = createMemoryFabric(clock)
  const folder = mkdtempSync(join(tmpdir(), 'rimward-certificates-'))
  const start = () =>
    createCertificates({
      fabric,
      seal: turningSeal,
      folder,
      limits: { ...defaultLimits, ...more.limits },
      clock,
      log: { info() {}, warn() {} },
      sitesHostnames: () => more.sites ?? [],
    })
  const book = await start()
  t.after(async () => {
    await book.close()
    rmSync(folder, { recursive: true })
  })
  return { book, start, folder, fabric, wait: (ms: number) => (now += ms) }
}

interface Made {
  readonly chain: string
  readonly key: string
}

async function make(names: string[], from: number, to: number, extra: x509.Extension[] = []): Promise<Made> {
  const keys = await webcrypto.subtle.generateKey(signing, true, ['sign', 'verify'])
  const dns = names.map((value) => ({ type: 'dns', value }) as const)
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=whatever.example',
    notBefore: new Date(from),
    notAfter: new Date(to),
    keys,
    signingAlgorithm: signing,
    extensions: [...(dns.length > 0 ? [new x509.SubjectAlternativeNameExtension(dns)] : []), ...extra],
  })
  const key = x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY')
  return { chain: certificate.toString('pem'), key }
}

test('a look-up goes from the exact name to the wildcard of one label to the local authority to nothing', async (t) => {
  const now = Date.now()
  const { book } = await open(t, { sites: ['app.localhost', '*.sites.example', 'www.example.com'] })
  const exact = await make(['www.example.com'], now - day, now + day)
  const wild = await make(['*.example.com', 'Example.COM'], now - day, now + 9 * day)
  await book.upload(exact)
  await book.upload(wild)
  const cases: [string, string][] = [
    ['www.example.com', exact.chain],
    ['WWW.example.com.', exact.chain],
    ['shop.example.com', wild.chain],
    ['example.com', wild.chain],
    ['a.shop.example.com', 'none'],
    ['app.localhost', 'local'],
    ['a.b.sites.example', 'local'],
    ['sites.example', 'none'],
    ['localhost', 'local'],
    ['', 'local'],
    ['other.localhost', 'none'],
    ['com', 'none'],
    ['../../etc/passwd', 'none'],
    ['a b', 'none'],
    ['*.example.com', 'none'],
    [`${'a.'.repeat(130)}example.com`, 'none'],
  ]
  for (const [name, expected] of cases) {
    const found = await book.forName(name)
    const local =
      found?.chain.startsWith('-----BEGIN') && new x509.X509Certificate(found.chain).issuer.includes('Rimward')
    assert.equal(found === undefined ? 'none' : local ? 'local' : found.chain, expected, name)
  }
  assert.equal(await book.forName('www.example.com'), await book.forName('www.example.com'))
})

test('an expired certificate gives way, the one that lasts longest is chosen, a removed one is gone everywhere', async (t) => {
  const now = Date.now()
  const { book, start, wait } = await open(t, { sites: ['www.example.com'] })
  const short = await make(['www.example.com'], now - day, now + day)
  const long = await make(['www.example.com'], now - day, now + 5 * day)
  const { id } = await book.upload(long)
  await book.upload(short)
  await book.upload(short)
  const other = await start()
  t.after(() => other.close())
  assert.equal(other.list().length, 2)
  assert.equal((await other.forName('www.example.com'))!.chain, long.chain)
  assert.equal(await book.remove(id), true)
  assert.equal(await book.remove(id), false)
  assert.equal((await other.forName('www.example.com'))!.chain, short.chain)
  wait(2 * day)
  assert.match(new x509.X509Certificate((await other.forName('www.example.com'))!.chain).issuer, /Rimward/)
})

test('what cannot serve is refused with what is wrong', async (t) => {
  const now = Date.now()
  const { book } = await open(t, { limits: { certificates: 1, certificateNames: 2 } })
  const good = await make(['a.example'], now - day, now + day)
  const other = await make(['b.example'], now - day, now + day)
  const expired = await make(['a.example'], now - 2 * day, now - day)
  const early = await make(['a.example'], now + day, now + 2 * day)
  const nameless = await make([], now - day, now + day)
  const many = await make(['a.example', 'b.example', 'c.example'], now - day, now + day)
  const locked = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' },
  }).privateKey
  const cases: [Made, RegExp][] = [
    [{ ...good, chain: 'nonsense' }, /no certificate in PEM/],
    [{ ...good, chain: good.chain.replace(/M[A-Z]/, '!!') }, /Certificate 1 of the chain does not parse/],
    [{ ...good, key: 'nonsense' }, /private key does not parse/],
    [{ ...good, key: locked }, /passphrase/],
    [{ ...good, key: other.key }, /does not belong/],
    [{ ...good, chain: `${good.chain}\n${other.chain}` }, /Certificate 2 of the chain did not issue certificate 1/],
    [expired, /expired on 20/],
    [early, /not valid before 20/],
    [nameless, /names no host/],
    [many, /at most 2 names/],
    [{ ...good, chain: good.chain + ' '.repeat(70_000) }, /longer than/],
  ]
  for (const [given, message] of cases) await assert.rejects(book.upload(given), { code: 'bad_request', message })
  assert.equal(book.list().length, 0)
  await book.upload(good)
  await assert.rejects(book.upload(other), { code: 'bad_request', message: /1 certificates already/ })
})

test('keys lie sealed, the authority is made once and its file can be read by everybody', async (t) => {
  const now = Date.now()
  const { book, start, folder, fabric } = await open(t)
  const record = await book.upload(await make(['a.example'], now - day, now + day))
  assert.ok(!JSON.stringify(record).includes('PRIVATE'))
  assert.deepEqual(Object.keys(record).sort(), [
    'fingerprint',
    'id',
    'issuer',
    'names',
    'notAfter',
    'notBefore',
    'source',
    'storedAt',
  ])
  for (const name of ['certificates', 'local-authority'])
    for (const { value } of await fabric.bucket(name).list({ limit: 10 }))
      assert.doesNotMatch(Buffer.from(value).toString(), /PRIVATE KEY/)
  const file = join(folder, 'ca.pem')
  assert.equal(statSync(file).mode & 0o777, 0o644)
  const pem = readFileSync(file, 'utf8')
  assert.doesNotMatch(pem, /PRIVATE/)
  const again = await Promise.all([start(), start()])
  assert.equal(readFileSync(file, 'utf8'), pem)
  const status = await book.status()
  assert.equal(status.localAuthority.file, file)
  assert.equal(status.certificates, 1)
  for (const one of again) await one.close()
})

test('several points of presence that start at once share one authority', async (t) => {
  const { start } = await open(t)
  const books = await Promise.all([start(), start(), start()])
  const prints = new Set(await Promise.all(books.map(async (book) => (await book.status()).localAuthority.fingerprint)))
  assert.equal(prints.size, 1)
  for (const book of books) await book.close()
})

test('a local certificate is kept until two thirds of its life are over, and only so many are kept', async (t) => {
  const { book, wait } = await open(t, { sites: ['*.a.example'], limits: { certificateCache: 2 } })
  const first = await book.forName('x.a.example')
  wait(59 * day)
  assert.equal(await book.forName('x.a.example'), first)
  wait(2 * day)
  const second = await book.forName('x.a.example')
  assert.notEqual(second, first)
  await book.forName('y.a.example')
  assert.equal(await book.forName('x.a.example'), second)
  await book.forName('z.a.example')
  await book.forName('q.a.example')
  assert.notEqual(await book.forName('x.a.example'), second)
})

async function serve(t: TestContext, book: CertificateBook) {
  const server = createServer({
    SNICallback: (name, done) => {
      book
        .forName(name)
        .then(
          (found) =>
            found ? done(null, createSecureContext({ cert: found.chain, key: found.key })) : done(new Error('unknown')),
          done,
        )
    },
  })
  const fallback = (await book.forName(''))!
  server.addContext('127.0.0.1', { cert: fallback.chain, key: fallback.key })
  server.setSecureContext({ cert: fallback.chain, key: fallback.key })
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return (server.address() as AddressInfo).port
}

function handshake(port: number, ca: string, name: string): Promise<string> {
  return new Promise((resolve) => {
    const options = name === '' ? {} : { servername: name }
    const socket = connect({ port, host: '127.0.0.1', ca, ...options }, () => {
      resolve(socket.getProtocol()!)
      socket.destroy()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
  })
}

test('who trusts ca.pem trusts every site, by name and by address; unknown names get no handshake', async (t) => {
  const { book, folder } = await open(t, {
    sites: ['app.localhost', '*.a.example', `${'a'.repeat(60)}.${'b'.repeat(60)}.example`],
  })
  const ca = readFileSync(join(folder, 'ca.pem'), 'utf8')
  const port = await serve(t, book)
  for (const name of ['app.localhost', 'localhost', 'x.y.a.example', `${'a'.repeat(60)}.${'b'.repeat(60)}.example`, ''])
    assert.equal(await handshake(port, ca, name), 'TLSv1.3', name)
  assert.notEqual(await handshake(port, ca, 'unknown.example'), 'TLSv1.3')
})
