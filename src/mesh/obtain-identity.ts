/** A certificate for this node: the one in its folder, or a new one that the node signs itself, holding the platform's key. */
import { createPublicKey } from 'node:crypto'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Place } from '#/core/pops.ts'
import type { Fabric, Seal } from '#/core/ports.ts'
import type { Clock, EpochMs } from '#/core/units.ts'
import { openMeshAuthority, readMeshAuthority } from './authority.ts'
import { type Identity, obtainKey, readIdentity, writeIdentity } from './identity.ts'
import { isPlace } from './node-name.ts'

export interface IdentityOptions {
  readonly folder: string
  readonly place: Place
  readonly fabric: Pick<Fabric, 'bucket'>
  readonly seal: Seal
  readonly limits: Pick<Limits, 'nodeCertificateSeconds'>
  readonly clock: Clock
  readonly log: (message: string, facts?: object) => void
}

/** Rejects where the folder is another node's, or one of another platform. */
export async function obtainIdentity(options: IdentityOptions): Promise<Identity> {
  const { folder, place, clock, log } = options
  if (!isPlace(place)) throw new EdgeError('bad_request', `${describe(place)} is no name of a node, PoP and country.`)
  const found = await readIdentity(folder)
  if (found === undefined) return signIdentity(options)
  checkPlace(found.place, place, folder)
  await checkPlatform(found, options)
  if (!isDue(found, clock()) && found.place.country === place.country) return found
  return signIdentity(options).catch((error: unknown) => {
    log('the certificate of this node could not be renewed', { error: String(error), notAfter: found.notAfter })
    return found
  })
}

/** Whoever holds the seal may: the platform gave it its key when it joined. */
export async function signIdentity(options: IdentityOptions): Promise<Identity> {
  const { folder, place } = options
  const authority = await openMeshAuthority(options)
  const key = await obtainKey(folder)
  const certificate = await authority.issue(place, createPublicKey(key))
  return writeIdentity(folder, { key, certificate, authority: authority.certificate })
}

/** After half of its life, so that days without the fabric do no harm. */
export function isDue({ notBefore, notAfter }: Pick<Identity, 'notBefore' | 'notAfter'>, now: EpochMs): boolean {
  return now > (notBefore + notAfter) / 2
}

/** What a country may hold was sent here because of the certificate; so a folder does not move to another one. */
function checkPlace(found: Place, wanted: Place, folder: string): void {
  const same = found.node === wanted.node && found.pop === wanted.pop
  if (same && (found.country === wanted.country || found.country === 'XX')) return
  throw new EdgeError(
    'folder_in_use',
    `${folder} belongs to ${describe(found)}, not to ${describe(wanted)}. Give another data folder.`,
  )
}

async function checkPlatform(found: Identity, { fabric, folder }: IdentityOptions): Promise<void> {
  const platform = await readMeshAuthority(fabric).catch(() => found.authority)
  if (platform === found.authority) return
  const why = platform === undefined ? 'a platform that is not there' : 'another platform'
  throw new EdgeError(
    'folder_in_use',
    `${folder} belongs to a node of ${why}. Give another data folder, or another --join.`,
  )
}

function describe({ node, pop, country }: Place): string {
  return `the node ${node} (${pop}:${country})`
}
