/**
 * Certificates with their sealed keys in the fabric, found by server name at every point of presence. The key of one for
 * sites that stay in countries lies in a blob there, which the record names.
 */
import { withinOfBlob } from '#/core/blob-names.ts'

import type { Certificate } from '#/core/certificates.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Within } from '#/core/pops.ts'
import type { Entry, Fabric, Revision, Seal } from '#/core/ports.ts'
import { describeWithin, sameWithin } from '#/core/residency.ts'
import type { BlobHash, Sealed } from '#/core/snapshot.ts'
import type { Clock, EpochMs } from '#/core/units.ts'
import { followBucket } from './follow-bucket.ts'
import type { CertificateFacts } from './read-certificate.ts'

/** What lists show; the key never leaves the store but to serve. */
export interface CertificateRecord extends CertificateFacts {
  readonly id: string
  readonly source: 'upload' | 'acme'
  readonly storedAt: EpochMs
  /** Countries that its key stays in; absent: it lies everywhere, sealed. */
  readonly within?: Within
}

interface Stored extends Omit<CertificateRecord, 'within'> {
  readonly chain: string
  /** One of the two. */
  readonly key?: Sealed
  readonly keyBlob?: BlobHash
}

export interface CertificateStore {
  /**
   * Replaces what has the same id. Throws `bad_request` when the store is full or the key could be nowhere, `not_here`
   * where this process may not write it where it belongs.
   */
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
  /** Countries that the key for a server name stays in. */
  withinOf(serverName: string): Within | undefined
  /**
   * Moves keys to where their names' sites are, as far as this process may: returns how many moved, and of the others
   * why they did not.
   */
  settle(): Promise<{ readonly moved: number; readonly left: readonly string[] }>
  /** Keys that lie in blobs. */
  blobsInUse(): Iterable<BlobHash>
  close(): void
}

export interface StoreOptions {
  readonly fabric: Fabric
  readonly seal: Seal
  readonly limits: Limits
  readonly clock: Clock
  /** Countries that the sites at these names have in common; absent: all may be anywhere. */
  readonly withinOfNames?: (names: readonly string[]) => Within | undefined
}

export async function openCertificateStore(options: StoreOptions): Promise<CertificateStore> {
  const { fabric, seal, limits, clock, withinOfNames = () => undefined } = options
  const bucket = fabric.bucket('certificates')
  const records = new Map<string, CertificateRecord>()
  const keyBlobs = new Map<string, BlobHash>()
  const byName = new Map<string, Set<string>>()
  const opened = new Map<string, Certificate>()

  function forget(id: string): void {
    for (const name of records.get(id)?.names ?? []) {
      const ids = byName.get(name)
      ids?.delete(id)
      if (ids?.size === 0) byName.delete(name)
    }
    records.delete(id)
    keyBlobs.delete(id)
    opened.delete(id)
  }

  function learn(id: string, value: Uint8Array | undefined): void {
    forget(id)
    if (value === undefined) return
    const stored = parse(value)
    const record = withoutKey(stored)
    records.set(id, record)
    if (stored.keyBlob !== undefined) keyBlobs.set(id, stored.keyBlob)
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
    const stored = parse(entry.value)
    const certificate = { chain: stored.chain, key: await openKey(stored) }
    // Replaced or removed while it was being read: what was read may be used once, but is not remembered.
    if (records.get(id)?.fingerprint === fingerprint && stored.fingerprint === fingerprint) {
      opened.set(id, certificate)
      if (opened.size > limits.certificateCache) opened.delete(opened.keys().next().value!)
    }
    return certificate
  }

  async function openKey({ id, key, keyBlob }: Stored): Promise<string> {
    if (keyBlob === undefined) return seal.open(key!)
    const bytes = await fabric.blobs.get(keyBlob)
    if (bytes === undefined) throw new EdgeError('internal', `The key of certificate ${id} is missing.`)
    return Buffer.from(bytes).toString('utf8')
  }

  /** The key where it belongs, as a record names it. */
  async function putKey(key: string, within: Within | undefined): Promise<Pick<Stored, 'key' | 'keyBlob'>> {
    if (within === undefined) return { key: seal.seal(key) }
    return { keyBlob: (await fabric.blobs.put(Buffer.from(key), { within })).hash }
  }

  /** Who may not is outside; nothing names it any more, so the sweep of a node inside removes it. */
  async function dropKey(keyBlob: BlobHash | undefined): Promise<void> {
    if (keyBlob !== undefined) await fabric.blobs.delete(keyBlob).catch(() => {})
  }

  async function write(stored: Stored, expect?: Revision): Promise<boolean> {
    const value = Buffer.from(JSON.stringify(stored))
    const written = await bucket.put(stored.id, value, expect === undefined ? {} : { expect })
    if (written !== undefined) learn(stored.id, value)
    return written !== undefined
  }

  async function moveKey(entry: Entry, within: Within | undefined): Promise<boolean> {
    const before = parse(entry.value)
    const { key: _key, keyBlob, ...rest } = before
    const placed = await putKey(await openKey(before), within)
    if (!(await write({ ...rest, ...placed }, entry.revision))) {
      await dropKey(placed.keyBlob)
      return false
    }
    await dropKey(keyBlob)
    return true
  }

  function choose(serverName: string): CertificateRecord | undefined {
    for (const name of namesThatCover(serverName)) {
      const found = [...(byName.get(name) ?? [])].map((id) => records.get(id)!)
      const chosen = chooseCertificate(found, clock())
      if (chosen !== undefined) return chosen
    }
    return undefined
  }

  let settling: ReturnType<CertificateStore['settle']> = Promise.resolve({ moved: 0, left: [] })
  async function settleAll() {
    let moved = 0
    const left: string[] = []
    for (const { id, names, within } of [...records.values()]) {
      const wanted = withinOfNames(names)
      if (sameWithin(within, wanted)) continue
      const entry = wanted?.length === 0 ? undefined : await bucket.get(id)
      try {
        if (wanted?.length === 0) left.push(nowhere(names))
        else if (entry !== undefined && (await moveKey(entry, wanted))) moved += 1
      } catch (error) {
        if (!(error instanceof EdgeError)) throw error
        left.push(`The key for ${names.join(', ')} cannot move to ${describeWithin(wanted)}: ${error.message}`)
      }
    }
    return { moved, left }
  }

  const stop = await followBucket(bucket, '', learn)
  return {
    async save(id, source, facts, { chain, key }) {
      if (!records.has(id) && records.size >= limits.certificates)
        throw new EdgeError('bad_request', `There are ${limits.certificates} certificates already; remove one first.`)
      const within = withinOfNames(facts.names)
      if (within?.length === 0) throw new EdgeError('bad_request', nowhere(facts.names))
      const before = keyBlobs.get(id)
      const stored: Stored = { ...facts, id, source, storedAt: clock(), chain, ...(await putKey(key, within)) }
      await write(stored)
      if (before !== stored.keyBlob) await dropKey(before)
      return withoutKey(stored)
    },
    get: (id) => records.get(id),
    list: () => [...records.values()].sort((one, other) => (one.names[0]! < other.names[0]! ? -1 : 1)),
    async remove(id) {
      const keyBlob = keyBlobs.get(id)
      const removed = await bucket.delete(id)
      forget(id)
      await dropKey(keyBlob)
      return removed
    },
    async find(serverName) {
      const chosen = choose(serverName)
      return chosen && open(chosen)
    },
    withinOf: (serverName) => choose(serverName)?.within,
    settle() {
      settling = settling.then(settleAll, settleAll)
      return settling
    },
    blobsInUse: () => keyBlobs.values(),
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

function withoutKey({ chain: _chain, key: _key, keyBlob, ...record }: Stored): CertificateRecord {
  const within = keyBlob === undefined ? undefined : withinOfBlob(keyBlob)
  return within === undefined ? record : { ...record, within }
}

function parse(value: Uint8Array): Stored {
  return JSON.parse(Buffer.from(value).toString()) as Stored
}

function nowhere(names: readonly string[]): string {
  return `Sites at ${names.join(', ')} have no country in common where they stay: give them certificates of their own.`
}
