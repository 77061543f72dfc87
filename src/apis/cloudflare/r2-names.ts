/** Names of buckets: a jurisdiction has names of its own, so the resource is called `NAME@JURISDICTION` there. */
import { VendorError } from './envelope.ts'

export const jurisdictions = ['eu', 'fedramp'] as const
export type Jurisdiction = (typeof jurisdictions)[number]

/** Of the resource. */
export function resourceNameOf(bucket: string, jurisdiction: string | undefined): string {
  return jurisdiction === undefined || jurisdiction === 'default' ? bucket : `${bucket}@${jurisdiction}`
}

/** As bindings write it. */
export function bucketNameOf(resource: string): { readonly bucket_name: string; readonly jurisdiction?: string } {
  const [bucket, jurisdiction] = resource.split('@') as [string, string?]
  return { bucket_name: bucket, ...(jurisdiction !== undefined && { jurisdiction }) }
}

/** «R2 > Buckets > Create buckets»: 3 to 63 lower-case letters, digits and hyphens, no hyphen at an end. */
export const isBucketName = (name: string) => /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(name)

export function noBucketToBind(name: string): VendorError {
  return new VendorError(
    400,
    10085,
    `R2 bucket '${name.slice(0, 64)}' not found. Please use a different name and try again.`,
  )
}
