/** Buckets by name for the S3 API: those without a jurisdiction, and those of one where the endpoint says so. */
import { randomUUID } from 'node:crypto'
import type { Control } from '#/control/control.ts'
import { Refusal } from '#/control/refusal.ts'
import { bucketAt } from '#/core/bucket-calls.ts'
import { isTroubled, storageClasses } from '#/core/buckets.ts'
import type { HomedStores } from '#/core/homed-stores.ts'
import type { BucketBook } from './call.ts'
import { invalid, ofTrouble, S3Error } from './trouble.ts'

export interface BucketBookParts {
  readonly control: Pick<Control, 'resources' | 'createResource' | 'removeResource'>
  readonly homed: Pick<HomedStores, 'call'>
}

const hints = ['wnam', 'enam', 'weur', 'eeur', 'apac', 'oc']

export function createBucketBook({ control, homed }: BucketBookParts): BucketBook {
  const found = (name: string) => control.resources('bucket').find((one) => one.name === name && !name.includes('@'))
  return {
    all: () =>
      control
        .resources('bucket')
        .filter(({ name }) => !name.includes('@'))
        .toSorted((one, other) => (one.name < other.name ? -1 : 1)),
    find(name) {
      const resource = found(name)
      if (resource === undefined) return undefined
      const storageClass = storageClasses.find((one) => one === resource.settings.storageClass) ?? 'Standard'
      return { bucket: bucketAt(homed, resource.id), storageClass }
    },
    async create(name, place) {
      if (!/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(name))
        throw new S3Error(400, 'InvalidBucketName', 'The specified bucket name is not valid.')
      const hint = place?.toLowerCase()
      if (hint !== undefined && hint !== 'auto' && !hints.includes(hint)) throw invalid('LocationConstraint')
      const wish = { kind: 'bucket', name, id: randomUUID(), settings: { storageClass: 'Standard' } } as const
      try {
        await control.createResource({ ...wish, ...(hint !== undefined && hint !== 'auto' && { hint }) })
      } catch (error) {
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
      await control.removeResource(resource).catch(async (error: unknown) => {
        await bucket.close({ open: true })
        throw error
      })
    },
  }
}
