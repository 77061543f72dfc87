/** Reads a certificate chain and its key, and says in one sentence what is wrong with them. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import type { Certificate } from '#/core/certificates.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { EpochMs } from '#/core/units.ts'
import * as x509 from '#/core/x509.ts'

export interface CertificateFacts {
  /** Lower case; `*.example.com` for wildcards. Addresses are left out: SNI never carries one. */
  readonly names: readonly string[]
  readonly issuer: string
  readonly notBefore: EpochMs
  readonly notAfter: EpochMs
  /** SHA-256 of the leaf, hex. */
  readonly fingerprint: string
}

/** Throws `bad_request`. `now` decides about expiry. */
export function readCertificate(given: Certificate, now: EpochMs, limits: Limits): CertificateFacts {
  if (given.chain.length + given.key.length > limits.certificateBytes)
    throw wrong(`Chain and key are longer than ${limits.certificateBytes} bytes.`)
  const chain = readChain(given.chain)
  const leaf = chain[0]!
  checkKey(leaf, readKey(given.key))
  const notBefore = leaf.validFromDate.getTime()
  const notAfter = leaf.validToDate.getTime()
  if (now >= notAfter) throw wrong(`The certificate expired on ${leaf.validToDate.toISOString()}.`)
  if (now < notBefore) throw wrong(`The certificate is not valid before ${leaf.validFromDate.toISOString()}.`)
  const names = readNames(leaf, limits)
  try {
    createSecureContext({ cert: given.chain, key: given.key })
  } catch (error) {
    throw wrong(`TLS does not accept this certificate and key: ${(error as Error).message}`)
  }
  const fingerprint = leaf.fingerprint256.replaceAll(':', '').toLowerCase()
  return { names, issuer: leaf.issuer.replaceAll('\n', ', '), notBefore, notAfter, fingerprint }
}

/** The names of a chain's leaf. Throws `bad_request`. */
export function namesInChain(chain: string, limits: Limits): readonly string[] {
  return readNames(readChain(chain)[0]!, limits)
}

function readChain(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) throw wrong('The chain holds no certificate in PEM form (-----BEGIN CERTIFICATE-----).')
  const chain = blocks.map((block, index) => {
    try {
      return new X509Certificate(block)
    } catch (error) {
      throw wrong(`Certificate ${index + 1} of the chain does not parse: ${(error as Error).message}`)
    }
  })
  chain.forEach((certificate, index) => {
    const issuer = chain[index + 1]
    if (issuer !== undefined && !(certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)))
      throw wrong(`Certificate ${index + 2} of the chain did not issue certificate ${index + 1}; the leaf comes first.`)
  })
  return chain
}

function readKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch (error) {
    if (/ENCRYPTED/.test(pem)) throw wrong('The private key is encrypted; store it without a passphrase to upload it.')
    throw wrong(`The private key does not parse: ${(error as Error).message}`)
  }
}

function checkKey(leaf: X509Certificate, key: KeyObject): void {
  if (!leaf.checkPrivateKey(key)) throw wrong('The private key does not belong to the first certificate of the chain.')
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  if (type === 'rsa' && (details?.modulusLength ?? 0) < 2048) throw wrong('An RSA key needs at least 2048 bits.')
  if (type !== 'rsa' && type !== 'ec' && type !== 'ed25519')
    throw wrong(`Keys of type ${type} are not supported: RSA, EC or Ed25519.`)
}

const hostName = /^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/

/** Names of the subject alternative name; the common name has not counted since RFC 9525 (§2). */
function readNames(leaf: X509Certificate, limits: Limits): readonly string[] {
  const extension = new x509.X509Certificate(leaf.raw).getExtension(x509.SubjectAlternativeNameExtension)
  const dns = extension?.names.items.filter(({ type }) => type === 'dns').map(({ value }) => value.toLowerCase()) ?? []
  const names = [...new Set(dns)].filter((name) => name.length <= 253 && hostName.test(name))
  if (names.length === 0) throw wrong('The certificate names no host (subjectAltName with DNS names).')
  if (names.length > limits.certificateNames) throw wrong(`A certificate has at most ${limits.certificateNames} names.`)
  return names
}

function wrong(why: string): EdgeError {
  return new EdgeError('bad_request', why)
}
