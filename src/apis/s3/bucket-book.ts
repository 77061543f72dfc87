/** Buckets by name for the S3 API: those without a jurisdiction, and those of one where the endpoint says so. */
import { randomUUID } from 'node:crypto'
import { type BucketSitesControl, putBucketSites } from '#/control/bucket-sites.ts'
import type { Control } from '#/control/control.ts'
import { Refusal } from '#/control/refusal.ts'
import { bucketAt } from '#/core/bucket-calls.ts'
import { bucketSettingsOf, changedSettings } from '#/core/bucket-settings.ts'
import { isTroubled } from '#/core/buckets.ts'
import type { HomedStores } from '#/core/homed-stores.ts'
import { countryGroups } from '#/core/residency.ts'
import type { Resource } from '#/core/resources.ts'
import type { BucketBook } from './call.ts'
import type { S3Jurisdiction } from './request.ts'
import { invalid, ofTrouble, S3Error } from './trouble.ts'

export interface BucketBookParts {
  readonly control: Pick<Control, 'resources' | 'createResource' | 'changeResource' | 'removeResource'> &
    BucketSitesControl
  readonly homed: Pick<HomedStores, 'call'>
}

const hints = ['wnam', 'enam', 'weur', 'eeur', 'apac', 'oc']

/** Of one jurisdiction; absent: of none. */
export function createBucketBook({ control, homed }: BucketBookParts, jurisdiction?: S3Jurisdiction): BucketBook {
  const behind = jurisdiction === undefined ? '' : `@${jurisdiction}`
  const within = jurisdiction && countryGroups.get(jurisdiction)
  const own = (resource: Resource) => (resource.name.split('@')[1] ?? '') === (jurisdiction ?? '')
  const found = (name: string) => control.resources('bucket').find((one) => one.name === `${name}${behind}` && own(one))
  return {
    all: () =>
      control
        .resources('bucket')
        .filter(own)
        .map(({ name, createdAt }) => ({ name: name.split('@')[0]!, createdAt }))
        .toSorted((one, other) => (one.name < other.name ? -1 : 1)),
    find(name) {
      const resource = found(name)
      if (resource === undefined) return undefined
      const { storageClass, cors } = bucketSettingsOf(resource)
      return {
        ...{ bucket: bucketAt(homed, resource.id), storageClass, cors },
        async setCors(rules) {
          await control.changeResource(resource, (now) => ({ settings: changedSettings(now, { cors: rules }) }))
        },
      }
    },
    async create(name, place) {
      if (!/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(name))
        throw new S3Error(400, 'InvalidBucketName', 'The specified bucket name is not valid.')
      const hint = place?.toLowerCase()
      if (hint !== undefined && hint !== 'auto' && !hints.includes(hint)) throw invalid('LocationConstraint')
      const id = randomUUID()
      const wish = { kind: 'bucket', name: `${name}${behind}`, id, settings: { storageClass: 'Standard' } } as const
      // Before it exists, so that nothing of it ever lies elsewhere.
      if (within !== undefined) await control.setPlacement({ kind: 'bucket', id }, within)
      try {
        await control.createResource({ ...wish, ...(hint !== undefined && hint !== 'auto' && { hint }) })
      } catch (error) {
        if (within !== undefined) await control.setPlacement({ kind: 'bucket', id }, undefined)
        if (!(error instanceof Refusal)) throw error
        if (error.code !== 'name_taken') throw new S3Error(400, 'TooManyBuckets', error.message)
        throw new S3Error(
          409,
          'BucketAlreadyOwnedByYou',
          'The bucket you tried to create already exists, and you own it.',
        )
      }
    },
    async remove(name) {
      const resource = found(name)
      if (resource === undefined) throw ofTrouble('no_bucket')
      const bucket = bucketAt(homed, resource.id)
      const closed = await bucket.close({ open: false })
      if (isTroubled(closed)) throw ofTrouble(closed.trouble)
      await putBucketSites(control, resource, { isPublic: false, domains: [] })
      await control.removeResource(resource).catch(async (error: unknown) => {
        await bucket.close({ open: true })
        throw error
      })
      if (control.placements().some(({ kind, id }) => kind === 'bucket' && id === resource.id))
        await control.setPlacement({ kind: 'bucket', id: resource.id }, undefined)
    },
  }
}
