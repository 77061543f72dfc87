/** What our own authorities have in common: keys on P-256, serial numbers, and the library that writes certificates. */
// `@peculiar/x509` finds its parts with decorators, whose metadata must be there before it is loaded.
import 'reflect-metadata'
import { randomBytes, webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'

export * from '@peculiar/x509'

/** Of every key that we make for a certificate. */
export const certificateAlgorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/** Positive and unguessable (RFC 5280 §4.1.2.2). */
export function serialNumber(): string {
  const bytes = randomBytes(16)
  bytes[0] = (bytes[0]! & 0x7f) | 0x40
  return bytes.toString('hex')
}

/** PEM (PKCS #8). */
export async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`
}

/** For signing. */
export function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey('pkcs8', x509.PemConverter.decodeFirst(pem), certificateAlgorithm, false, ['sign'])
}

export interface AuthorityWish {
  /** Distinguished name, e.g. `CN=…, O=Rimward`. */
  readonly name: string
  readonly notBefore: Date
  readonly notAfter: Date
}

/** An authority's self-signed certificate and its key, both PEM; it signs leaves only. */
export async function createAuthority(wish: AuthorityWish): Promise<{ certificate: string; key: string }> {
  const keys = await webcrypto.subtle.generateKey(certificateAlgorithm, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    ...wish,
    keys,
    signingAlgorithm: certificateAlgorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { certificate: certificate.toString('pem'), key: await exportKey(keys.privateKey) }
}

export interface LeafWish {
  readonly authority: x509.X509Certificate
  readonly signingKey: webcrypto.CryptoKey
  readonly publicKey: webcrypto.CryptoKey | x509.PublicKey
  /** The common name holds 64 characters at most (RFC 5280, ub-common-name); the rest is cut. */
  readonly commonName: string
  readonly names: x509.JsonGeneralNames
  readonly usages: readonly x509.ExtendedKeyUsage[]
  readonly notBefore: Date
  readonly notAfter: Date
}

/** A certificate of an authority for a key that signs handshakes. */
export async function createLeaf(wish: LeafWish): Promise<x509.X509Certificate> {
  const { authority, publicKey } = wish
  return x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: [{ CN: [wish.commonName.slice(0, 64)] }],
    issuer: authority.subject,
    notBefore: wish.notBefore,
    notAfter: wish.notAfter,
    publicKey,
    signingKey: wish.signingKey,
    signingAlgorithm: certificateAlgorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([...wish.usages]),
      new x509.SubjectAlternativeNameExtension(wish.names),
      await x509.AuthorityKeyIdentifierExtension.create(authority.publicKey),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  })
}
