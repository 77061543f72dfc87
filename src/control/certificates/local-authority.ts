/**
 * An authority of this platform's own, made on first start, so that every site has TLS before anybody thought of
 * certificates. People may trust `ca.pem`; its key lies sealed in the fabric, so that all points of presence share it.
 */
import { randomBytes, webcrypto } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Certificate } from '#/core/certificates.ts'
import type { Limits } from '#/core/limits.ts'
import type { Fabric, Seal } from '#/core/ports.ts'
import type { Sealed } from '#/core/snapshot.ts'
import type { Clock, EpochMs } from '#/core/units.ts'
import * as x509 from '#/core/x509.ts'

export interface LocalAuthority {
  /** PEM of the authority's certificate, also in the file `ca.pem`. */
  readonly certificate: string
  readonly notAfter: EpochMs
  readonly file: string
  /** A certificate for one host name; the same object until two thirds of its life are over. */
  issue(host: string): Promise<Certificate>
}

export interface AuthorityOptions {
  readonly fabric: Fabric
  readonly seal: Seal
  readonly folder: string
  readonly limits: Pick<Limits, 'certificateCache'>
  readonly clock: Clock
}

interface StoredAuthority {
  readonly certificate: string
  readonly key: Sealed
  readonly notAfter: EpochMs
}

const day = 24 * 3600 * 1000
/** Clocks of clients may be behind. */
const skew = day
const authorityLife = 3650 * day
const leafLife = 90 * day

export async function openLocalAuthority(options: AuthorityOptions): Promise<LocalAuthority> {
  const { fabric, seal, folder, limits, clock } = options
  const stored = await readOrMakeAuthority(fabric, seal, clock())
  const file = join(folder, 'ca.pem')
  await writeCertificateFile(folder, file, stored.certificate)
  const authority = new x509.X509Certificate(stored.certificate)
  const signingKey = await x509.importKey(seal.open(stored.key))
  // One key for all leaves of this process: a handshake for a new name costs a signature, not a key.
  const leafKeys = await webcrypto.subtle.generateKey(x509.certificateAlgorithm, true, ['sign', 'verify'])
  const leafKey = await x509.exportKey(leafKeys.privateKey)
  const issued = new Map<string, { readonly certificate: Promise<Certificate>; readonly renewAt: EpochMs }>()

  async function sign(host: string, now: EpochMs): Promise<Certificate> {
    const leaf = await x509.createLeaf({
      authority,
      signingKey,
      publicKey: leafKeys.publicKey,
      commonName: host,
      names: alternativeNames(host),
      usages: [x509.ExtendedKeyUsage.serverAuth],
      notBefore: new Date(now - skew),
      notAfter: new Date(Math.min(now + leafLife, stored.notAfter)),
    })
    return { chain: `${leaf.toString('pem')}\n${stored.certificate}\n`, key: leafKey }
  }

  return {
    certificate: stored.certificate,
    notAfter: stored.notAfter,
    file,
    issue(host) {
      const now = clock()
      const known = issued.get(host)
      issued.delete(host)
      const one =
        known !== undefined && now < known.renewAt
          ? known
          : { certificate: sign(host, now), renewAt: now + (leafLife * 2) / 3 }
      issued.set(host, one)
      one.certificate.catch(() => issued.delete(host))
      if (issued.size > limits.certificateCache) issued.delete(issued.keys().next().value!)
      return one.certificate
    },
  }
}

/** Several points of presence may start at once: the first to write wins, the others take what it wrote. */
async function readOrMakeAuthority(fabric: Fabric, seal: Seal, now: EpochMs): Promise<StoredAuthority> {
  const bucket = fabric.bucket('local-authority')
  const entry = await bucket.get('authority')
  const found = entry && (JSON.parse(Buffer.from(entry.value).toString()) as StoredAuthority)
  if (found !== undefined && now + 365 * day < found.notAfter) return found
  const made = await makeAuthority(seal, now)
  const value = Buffer.from(JSON.stringify(made))
  const written = await bucket.put('authority', value, { expect: entry?.revision ?? 0 })
  return written === undefined ? readOrMakeAuthority(fabric, seal, now) : made
}

async function makeAuthority(seal: Seal, now: EpochMs): Promise<StoredAuthority> {
  const notAfter = now + authorityLife
  const { certificate, key } = await x509.createAuthority({
    // A name of its own, so that two platforms' authorities can be told apart in a trust store.
    name: `CN=Rimward local authority ${randomBytes(3).toString('hex')}, O=Rimward`,
    notBefore: new Date(now - skew),
    notAfter: new Date(notAfter),
  })
  return { certificate, key: seal.seal(key), notAfter }
}

function alternativeNames(host: string): x509.JsonGeneralNames {
  const name = { type: 'dns', value: host } as const
  // Clients that connect to an address send no SNI and are given the certificate of localhost.
  if (host !== 'localhost') return [name]
  return [name, { type: 'ip', value: '127.0.0.1' }, { type: 'ip', value: '::1' }]
}

async function writeCertificateFile(folder: string, file: string, pem: string): Promise<void> {
  const text = `${pem}\n`
  if ((await readFile(file, 'utf8').catch(() => undefined)) === text) return
  await mkdir(folder, { recursive: true })
  const temporary = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`
  await writeFile(temporary, text, { mode: 0o644 })
  await rename(temporary, file)
}
