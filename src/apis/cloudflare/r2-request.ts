/** What all calls about R2 have in common: the bucket in the path, its jurisdiction, and troubles in R2's words. */
import type { Context } from 'hono'
import type { Control } from '#/control/control.ts'
import { bucketTroubles, isTroubled, type StorageClass, storageClasses, type Troubled } from '#/core/buckets.ts'
import type { HomedStores } from '#/core/homed-stores.ts'
import type { Limits } from '#/core/limits.ts'
import type { Resource } from '#/core/resources.ts'
import type { Clock } from '#/core/units.ts'
import { VendorError } from './envelope.ts'
import { doorError } from './errors.ts'
import { type Jurisdiction, jurisdictions, resourceNameOf } from './r2-names.ts'

export interface R2RoutesParts {
  readonly control: Pick<
    Control,
    | 'resources'
    | 'createResource'
    | 'changeResource'
    | 'removeResource'
    | 'placements'
    | 'setPlacement'
    | 'sites'
    | 'siteAdd'
    | 'siteRemove'
    | 'hostnameSuffix'
  >
  readonly homed: Pick<HomedStores, 'call'>
  readonly limits: Limits
  readonly clock: Clock
}

export const r2Path = '/accounts/:account/r2/buckets'

/** Without its jurisdiction. */
export const nameOf = (resource: string): string => resource.split('@')[0]!

export function jurisdictionOf(c: Context): Jurisdiction | undefined {
  const asked = c.req.header('cf-r2-jurisdiction')?.toLowerCase()
  if (asked === undefined || asked === 'default') return undefined
  const known = jurisdictions.find((one) => one === asked)
  if (known !== undefined) return known
  throw doorError('unsupported', `Jurisdiction '${asked.slice(0, 40)}' is not supported by Rimward.`)
}

/** The bucket in the path; throws 10006. */
export function requireBucket(c: Context, { control }: Pick<R2RoutesParts, 'control'>): Resource {
  const name = resourceNameOf(c.req.param('bucket') ?? '', jurisdictionOf(c))
  const found = control.resources('bucket').find((one) => one.name === name)
  if (found === undefined) throw toVendor({ trouble: 'no_bucket' })
  return found
}

/** A bucket's trouble with Cloudflare's status, number and sentence. */
export function toVendor({ trouble, detail }: Troubled): VendorError {
  const [status, number, , sentence] = bucketTroubles[trouble]
  return new VendorError(status, number, detail ?? sentence)
}

/** What was asked for; throws where it is a trouble. */
export function untroubled<Answer extends object>(answer: Answer | Troubled): Answer {
  if (isTroubled(answer)) throw toVendor(answer)
  return answer
}

/** Of objects that are put without one. */
export function storageClassOf({ settings }: Resource): StorageClass {
  return storageClasses.find((one) => one === settings.storageClass) ?? 'Standard'
}
