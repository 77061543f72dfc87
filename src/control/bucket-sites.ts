/** The sites at which a bucket is public, and nothing of a bucket that is to go. */
import { type BucketSettings, bucketOrigin, domainsSite, publicSite } from '#/core/bucket-settings.ts'
import type { Resource } from '#/core/resources.ts'
import type { Control } from './control.ts'

/** Names that they have. */
export const bucketSites = (id: string): readonly string[] => [publicSite(id), domainsSite(id)]

export type BucketSitesControl = Pick<Control, 'placements' | 'setPlacement' | 'sites' | 'siteAdd' | 'siteRemove'>

/** As these settings say. Throws a `Refusal` (`bad_address`, `address_taken`). */
export async function putBucketSites(
  control: BucketSitesControl,
  { id }: Pick<Resource, 'id'>,
  { isPublic, domains }: Pick<BucketSettings, 'isPublic' | 'domains'>,
): Promise<void> {
  const within = control.placements().find((placed) => placed.kind === 'bucket' && placed.id === id)?.within
  const hosts = domains.filter(({ enabled }) => enabled).map(({ domain }) => domain)
  const wished = [
    { name: publicSite(id), hosts: [], isThere: isPublic },
    { name: domainsSite(id), hosts, isThere: hosts.length > 0 },
  ]
  for (const { name, hosts, isThere } of wished) {
    if (isThere) {
      // Before it answers: what is cached of the bucket stays where the bucket has to.
      if (within !== undefined) await control.setPlacement({ kind: 'site', id: name }, within)
      await control.siteAdd({ name, origin: bucketOrigin(id), hosts })
    } else if (control.sites().some((site) => site.name === name)) {
      await control.siteRemove(name)
      if (within !== undefined) await control.setPlacement({ kind: 'site', id: name }, undefined)
    }
  }
}
