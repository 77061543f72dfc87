/** Certificates of a process: their keys lie where the sites at their names are, and move with them. */
import {
  type CertificateBook,
  type CertificatesOptions,
  createCertificates,
} from '#/control/certificates/certificates.ts'
import type { Control } from '#/control/control.ts'
import type { Closer } from '#/core/closer.ts'
import { withinOfNames } from '#/core/host-places.ts'
import { allows } from '#/core/pops.ts'
import type { Pop } from './pop.ts'

interface Parts extends Omit<CertificatesOptions, 'log'> {
  readonly control: Pick<Control, 'snapshot' | 'onSnapshot' | 'noteErased'>
  readonly pops: readonly Pop[]
  /** What settings of where things may be ask for. */
  readonly placed: { moveKeys: () => Promise<number> }
}

export async function openCertificates(parts: Parts, closer: Closer): Promise<CertificateBook> {
  const { control, pops, placed } = parts
  const [first] = pops as [Pop]
  const { logger } = first.log
  const certificates = await createCertificates({
    ...parts,
    log: logger,
    sitesHostnames: () => first.served.sites.flatMap((site) => site.hostnames),
    withinOfNames: (names) => withinOfNames(control.snapshot, names),
    mayHold: (within) => pops.some(({ place }) => allows(within, place.country)),
  })
  closer.add(() => certificates.close())

  async function settle(): Promise<number> {
    const { moved, left } = await certificates.settle()
    for (const reason of left) logger.warn({ reason }, 'the key of a certificate is not where it belongs')
    return moved
  }
  /** Hosts come and go without a setting. */
  async function follow(): Promise<void> {
    if ((await settle()) > 0) await control.noteErased()
  }
  const failed = (error: unknown) => logger.error({ err: error }, 'keys of certificates were not moved')
  placed.moveKeys = settle
  let following: Promise<void> | undefined
  let isStale = false
  function followSoon(): void {
    isStale = true
    following ??= (async () => {
      while (isStale) {
        isStale = false
        await follow().catch(failed)
      }
      following = undefined
    })()
  }
  closer.add(control.onSnapshot(followSoon))
  closer.add(async () => following)
  followSoon()
  return certificates
}
