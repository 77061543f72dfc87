/** An authority for NATS servers and the certificates of its servers, each made once and again when it grows old. */
import { randomBytes, webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import type { EpochMs } from '#/core/units.ts'
import * as x509 from '#/core/x509.ts'

export interface KeptFile {
  read(name: string): Promise<string | undefined>
  /** `secret`: for the owner alone. */
  write(name: string, text: string, options?: { readonly secret?: boolean }): Promise<void>
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const day = 24 * 3600 * 1000
const authorityLife = 3650 * day
const serverLife = 730 * day

/** Writes `ca.crt`, `ca.key`, and `HOST.crt`, `HOST.key` for each host; what is there and still young stays. */
export async function makeCertificates(files: KeptFile, hosts: readonly string[], now: EpochMs): Promise<void> {
  const authority = await readOrMakeAuthority(files, now)
  for (const host of new Set(hosts)) {
    const found = await files.read(`${host}.crt`)
    if (found !== undefined && isYoung(found, authority.certificate, now)) continue
    const { certificate, key } = await sign(authority, host, now)
    await files.write(`${host}.key`, key, { secret: true })
    await files.write(`${host}.crt`, certificate)
  }
}

interface Authority {
  readonly certificate: x509.X509Certificate
  readonly key: webcrypto.CryptoKey
}

async function readOrMakeAuthority(files: KeptFile, now: EpochMs): Promise<Authority> {
  const [certificate, key] = [await files.read('ca.crt'), await files.read('ca.key')]
  if (certificate !== undefined && key !== undefined)
    return { certificate: new x509.X509Certificate(certificate), key: await importKey(key) }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomBytes(15).toString('hex'),
    name: `CN=Rimward NATS authority ${randomBytes(3).toString('hex')}, O=Rimward`,
    notBefore: new Date(now - day),
    notAfter: new Date(now + authorityLife),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  await files.write('ca.key', await exportKey(keys.privateKey), { secret: true })
  await files.write('ca.crt', `${made.toString('pem')}\n`)
  return { certificate: made, key: keys.privateKey }
}

async function sign(authority: Authority, host: string, now: EpochMs) {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const made = await x509.X509CertificateGenerator.create({
    serialNumber: randomBytes(15).toString('hex'),
    subject: [{ CN: [host.slice(0, 64)] }],
    issuer: authority.certificate.subject,
    notBefore: new Date(now - day),
    notAfter: new Date(Math.min(now + serverLife, authority.certificate.notAfter.getTime())),
    publicKey: keys.publicKey,
    signingKey: authority.key,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      // Servers are each other's clients.
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      new x509.SubjectAlternativeNameExtension([{ type: isIP(host) === 0 ? 'dns' : 'ip', value: host }]),
      await x509.AuthorityKeyIdentifierExtension.create(authority.certificate.publicKey),
    ],
  })
  return { certificate: `${made.toString('pem')}\n`, key: await exportKey(keys.privateKey) }
}

function isYoung(pem: string, authority: x509.X509Certificate, now: EpochMs): boolean {
  const certificate = new x509.X509Certificate(pem)
  return certificate.issuer === authority.subject && certificate.notAfter.getTime() - now > serverLife / 3
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`
}

function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey('pkcs8', x509.PemConverter.decodeFirst(pem), algorithm, true, ['sign'])
}
