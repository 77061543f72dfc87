/** Certificates with their sealed keys in the fabric, found by server name at every point of presence. */

import type { Certificate } from '#/core/certificates.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Fabric, Seal } from '#/core/ports.ts'
import type { Sealed } from '#/core/snapshot.ts'
import type { Clock, EpochMs } from '#/core/units.ts'
import { followBucket } from './follow-bucket.ts'
import type { CertificateFacts } from './read-certificate.ts'

/** What lists show; the key never leaves the store but to serve. */
export interface CertificateRecord extends CertificateFacts {
  readonly id: string
  readonly source: 'upload' | 'acme'
  readonly storedAt: EpochMs
}

interface Stored extends CertificateRecord {
  readonly chain: string
  readonly key: Sealed
}

export interface CertificateStore {
  /** Replaces what has the same id. Throws `bad_request` when the store is full. */
  save(
    id: string,
    source: CertificateRecord['source'],
    facts: CertificateFacts,
    certificate: Certificate,
  ): Promise<CertificateRecord>
  get(id: string): CertificateRecord | undefined
  list(): readonly CertificateRecord[]
  remove(id: string): Promise<boolean>
  /** The same object for the same certificate, while it is remembered. */
  find(serverName: string): Promise<Certificate | undefined>
  close(): void
}

export interface StoreOptions {
  readonly fabric: Fabric
  readonly seal: Seal
  readonly limits: Limits
  readonly clock: Clock
}

export async function openCertificateStore({ fabric, seal, limits, clock }: StoreOptions): Promise<CertificateStore> {
  const bucket = fabric.bucket('certificates')
  const records = new Map<string, CertificateRecord>()
  const byName = new Map<string, Set<string>>()
  const opened = new Map<string, Certificate>()

  function forget(id: string): void {
    for (const name of records.get(id)?.names ?? []) {
      const ids = byName.get(name)
      ids?.delete(id)
      if (ids?.size === 0) byName.delete(name)
    }
    records.delete(id)
    opened.delete(id)
  }

  function learn(id: string, value: Uint8Array | undefined): void {
    forget(id)
    if (value === undefined) return
    const record = withoutKey(JSON.parse(Buffer.from(value).toString()) as Stored)
    records.set(id, record)
    for (const name of record.names) byName.set(name, (byName.get(name) ?? new Set()).add(id))
  }

  async function open({ id, fingerprint }: CertificateRecord): Promise<Certificate | undefined> {
    const known = opened.get(id)
    if (known !== undefined) {
      opened.delete(id)
      opened.set(id, known)
      return known
    }
    const entry = await bucket.get(id)
    if (entry === undefined) return undefined
    const stored = JSON.parse(Buffer.from(entry.value).toString()) as Stored
    const certificate = { chain: stored.chain, key: seal.open(stored.key) }
    // Replaced or removed while it was being read: what was read may be used once, but is not remembered.
    if (records.get(id)?.fingerprint === fingerprint && stored.fingerprint === fingerprint) {
      opened.set(id, certificate)
      if (opened.size > limits.certificateCache) opened.delete(opened.keys().next().value!)
    }
    return certificate
  }

  const stop = await followBucket(bucket, '', learn)
  return {
    async save(id, source, facts, { chain, key }) {
      if (!records.has(id) && records.size >= limits.certificates)
        throw new EdgeError('bad_request', `There are ${limits.certificates} certificates already; remove one first.`)
      const stored: Stored = { ...facts, id, source, storedAt: clock(), chain, key: seal.seal(key) }
      const value = Buffer.from(JSON.stringify(stored))
      await bucket.put(id, value)
      learn(id, value)
      return withoutKey(stored)
    },
    get: (id) => records.get(id),
    list: () => [...records.values()].sort((one, other) => (one.names[0]! < other.names[0]! ? -1 : 1)),
    async remove(id) {
      const removed = await bucket.delete(id)
      forget(id)
      return removed
    },
    async find(serverName) {
      for (const name of namesThatCover(serverName)) {
        const candidates = [...(byName.get(name) ?? [])].map((id) => records.get(id)!)
        const chosen = chooseCertificate(candidates, clock())
        if (chosen !== undefined) return open(chosen)
      }
      return undefined
    },
    close: stop,
  }
}

/** Names in a certificate that are good for a server name: itself, then the wildcard of its first label (RFC 9525 §6.3). */
export function namesThatCover(serverName: string): readonly string[] {
  const dot = serverName.indexOf('.')
  return dot <= 0 ? [serverName] : [serverName, `*${serverName.slice(dot)}`]
}

/** Of those valid now: an uploaded one before one from ACME, then the one that lasts longest. */
export function chooseCertificate(
  candidates: readonly CertificateRecord[],
  now: EpochMs,
): CertificateRecord | undefined {
  return candidates
    .filter(({ notBefore, notAfter }) => notBefore <= now && now < notAfter)
    .sort((one, other) =>
      one.source === other.source ? other.notAfter - one.notAfter : one.source === 'upload' ? -1 : 1,
    )[0]
}

function withoutKey({ chain: _chain, key: _key, ...record }: Stored): CertificateRecord {
  return record
}
