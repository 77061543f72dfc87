/** Certificates of this platform: uploaded, from ACME, or from the local authority, in that order. */
import { X509Certificate } from 'node:crypto'
import type { Certificate, Certificates } from '#/core/certificates.ts'
import type { Limits } from '#/core/limits.ts'
import type { Within } from '#/core/pops.ts'
import type { Fabric, Seal } from '#/core/ports.ts'
import type { BlobHash } from '#/core/snapshot.ts'
import type { Clock, EpochMs } from '#/core/units.ts'
import { type AcmeLog, type AcmeStatus, createAcme } from './acme.ts'
import { defaultPolling, type Polling } from './acme-plan.ts'
import type { AcmeSettings } from './acme-settings.ts'
import { type CertificateRecord, type CertificateStore, openCertificateStore } from './certificate-store.ts'
import { openLocalAuthority } from './local-authority.ts'
import { namesInChain, readCertificate } from './read-certificate.ts'

export interface CertificatesStatus {
  readonly certificates: number
  /** The authority that people may trust, and the file its certificate is in. */
  readonly localAuthority: { readonly file: string; readonly notAfter: EpochMs; readonly fingerprint: string }
  /** Absent while ACME is not configured. */
  readonly acme?: AcmeStatus
}

export interface CertificateBook extends Certificates {
  /** Checked before it is stored: throws `bad_request`. The same certificate again changes nothing. */
  upload(certificate: Certificate): Promise<CertificateRecord>
  /** Countries that the key of a chain (PEM) would stay in; undefined also for what is no chain. */
  withinOfChain(chain: string): Within | undefined
  /** Moves keys to where the sites at their names are; once the Snapshot says so. */
  settle: CertificateStore['settle']
  /** Of keys that stay in countries. */
  blobsInUse(): Iterable<BlobHash>
  list(): readonly CertificateRecord[]
  remove(id: string): Promise<boolean>
  status(): Promise<CertificatesStatus>
  /** Orders begin at once, in the background; `status` tells how they go. Throws `bad_request`. */
  configureAcme(settings: AcmeSettings): Promise<void>
  disableAcme(): Promise<boolean>
  /** Orders and renews what is due by the clock; called each minute by itself. Never rejects. */
  renewDue(): Promise<void>
  close(): Promise<void>
}

export interface CertificatesOptions {
  readonly fabric: Fabric
  readonly seal: Seal
  /** Gets the file `ca.pem`. */
  readonly folder: string
  readonly limits: Limits
  readonly clock: Clock
  readonly log: AcmeLog
  /** Host names of the sites, also `*.example.com`: for these, and for localhost, the local authority signs. */
  readonly sitesHostnames?: () => Iterable<string>
  /** Countries that the sites at these names have in common; absent: all may be anywhere. */
  readonly withinOfNames?: (names: readonly string[]) => Within | undefined
  /** Is a node of this process in one of these countries? Orders for sites elsewhere are left to processes there. */
  readonly mayHold?: (within: Within) => boolean
  readonly acmePolling?: Polling
}

const renewalEveryMs = 60_000

export async function createCertificates(options: CertificatesOptions): Promise<CertificateBook> {
  const { fabric, seal, folder, limits, clock, log, withinOfNames = () => undefined, mayHold = () => true } = options
  const store = await openCertificateStore({ fabric, seal, limits, clock, withinOfNames })
  const authority = await openLocalAuthority({ fabric, seal, folder, limits, clock })
  const acme = createAcme({
    ...{ fabric, seal, store, limits, clock, log },
    mayOrder(hostname) {
      const within = withinOfNames([hostname])
      return within === undefined || mayHold(within)
    },
    polling: options.acmePolling ?? defaultPolling,
  })
  const timer = setInterval(() => void acme.renewDue(), renewalEveryMs)
  timer.unref()

  return {
    async forName(serverName) {
      // No SNI (RFC 6066 §3): the client connected to an address.
      const name = serverName === '' ? 'localhost' : serverName.toLowerCase().replace(/\.$/, '')
      if (!isHostName(name)) return undefined
      const stored = await store.find(name)
      if (stored !== undefined) return stored
      return isServed(name, options.sitesHostnames?.() ?? []) ? authority.issue(name) : undefined
    },
    withinOf: store.withinOf,
    withinOfChain(chain) {
      try {
        return withinOfNames(namesInChain(chain, limits))
      } catch {
        return undefined
      }
    },
    settle: store.settle,
    blobsInUse: store.blobsInUse,
    challenge: acme.challenge,
    async upload(certificate) {
      const facts = readCertificate(certificate, clock(), limits)
      return store.get(facts.fingerprint) ?? store.save(facts.fingerprint, 'upload', facts, certificate)
    },
    list: store.list,
    remove: store.remove,
    async status() {
      const status = await acme.status()
      const { file, notAfter, certificate } = authority
      const fingerprint = new X509Certificate(certificate).fingerprint256
      return {
        certificates: store.list().length,
        localAuthority: { file, notAfter, fingerprint },
        ...(status === undefined ? {} : { acme: status }),
      }
    },
    async configureAcme(settings) {
      await acme.configure(settings)
      void acme.renewDue()
    },
    disableAcme: acme.disable,
    renewDue: acme.renewDue,
    async close() {
      clearInterval(timer)
      store.close()
    },
  }
}

function isHostName(name: string): boolean {
  return name.length <= 253 && /^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/.test(name)
}

function isServed(name: string, hostnames: Iterable<string>): boolean {
  if (name === 'localhost') return true
  for (const served of hostnames)
    if (served === name || (served.startsWith('*.') && name.endsWith(served.slice(1)))) return true
  return false
}
