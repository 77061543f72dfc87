/**
 * The authority that signs nodes' certificates: made once a platform, its key sealed in the fabric, so that every node that
 * holds the platform's key may let others in.
 */
import { createHash, type KeyObject, randomBytes, sign, webcrypto } from 'node:crypto'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Place } from '#/core/pops.ts'
import type { Fabric, Seal } from '#/core/ports.ts'
import type { Sealed } from '#/core/snapshot.ts'
import type { Clock, EpochMs } from '#/core/units.ts'
import * as x509 from '#/core/x509.ts'
import { uriOf } from './node-name.ts'

export interface MeshAuthority {
  /** PEM. */
  readonly certificate: string
  /** Signs for whoever calls: who may be told that it is `place` is decided before. `publicKey`: P-256. PEM. */
  issue(place: Place, publicKey: KeyObject): Promise<string>
  /** ECDSA with SHA-256, for what newcomers must be sure comes from this platform. */
  sign(bytes: Uint8Array): Buffer
}

export interface MeshAuthorityOptions {
  readonly fabric: Pick<Fabric, 'bucket'>
  readonly seal: Seal
  readonly clock: Clock
  readonly limits: Pick<Limits, 'nodeCertificateSeconds'>
}

interface StoredAuthority {
  readonly certificate: string
  readonly key: Sealed
}

const hour = 3_600_000
/** Clocks of nodes may be an hour off. */
const early = 2 * hour
const authorityLife = 3650 * 24 * hour
const bucketName = 'mesh-authority'
const entryKey = 'authority'

/** Makes the authority where there is none: of several that try, one wins, and the others take what it wrote. */
export async function openMeshAuthority(options: MeshAuthorityOptions): Promise<MeshAuthority> {
  const { fabric, seal, clock } = options
  const stored = (await readStored(fabric)) ?? (await makeStored(fabric, seal, clock()))
  return useAuthority(stored, options)
}

/** PEM of the authority's certificate; `undefined` on a platform that nobody founded yet. */
export async function readMeshAuthority(fabric: Pick<Fabric, 'bucket'>): Promise<string | undefined> {
  return (await readStored(fabric))?.certificate
}

async function readStored(fabric: Pick<Fabric, 'bucket'>): Promise<StoredAuthority | undefined> {
  const entry = await fabric.bucket(bucketName).get(entryKey)
  return entry && (JSON.parse(Buffer.from(entry.value).toString()) as StoredAuthority)
}

async function makeStored(fabric: Pick<Fabric, 'bucket'>, seal: Seal, now: EpochMs): Promise<StoredAuthority> {
  const { certificate, key } = await x509.createAuthority({
    name: `CN=Rimward nodes ${randomBytes(3).toString('hex')}, O=Rimward`,
    notBefore: new Date(now - 24 * hour),
    notAfter: new Date(now + authorityLife),
  })
  const made: StoredAuthority = { certificate, key: seal.seal(key) }
  const value = Buffer.from(JSON.stringify(made))
  const written = await fabric.bucket(bucketName).put(entryKey, value, { expect: 0 })
  if (written !== undefined) return made
  const theirs = await readStored(fabric)
  if (theirs === undefined)
    throw new EdgeError('internal', 'The authority of this platform was removed as it was made.')
  return theirs
}

async function useAuthority(stored: StoredAuthority, options: MeshAuthorityOptions): Promise<MeshAuthority> {
  const { seal, clock, limits } = options
  const authority = new x509.X509Certificate(stored.certificate)
  const pem = seal.open(stored.key)
  const signingKey = await x509.importKey(pem)
  return {
    certificate: stored.certificate,
    async issue(place, publicKey) {
      const now = clock()
      const leaf = await x509.createLeaf({
        authority,
        signingKey,
        publicKey: await webcrypto.subtle.importKey(
          'spki',
          publicKey.export({ type: 'spki', format: 'der' }),
          x509.certificateAlgorithm,
          true,
          ['verify'],
        ),
        commonName: place.node,
        names: [{ type: 'url', value: uriOf(place) }],
        usages: [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth],
        notBefore: new Date(now - early),
        notAfter: new Date(now + limits.nodeCertificateSeconds * 1000),
      })
      return leaf.toString('pem')
    },
    sign: (bytes) => sign('sha256', bytes, pem),
  }
}

/** SHA-256 of a public key (SubjectPublicKeyInfo), in hex: names a node's key over all its certificates. */
export function fingerprintOf(key: KeyObject): string {
  return createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex')
}
