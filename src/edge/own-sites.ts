/** Hosts of this platform as programs find them when they fetch. */
import type { OriginPool } from '#/core/origin.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import { findSite, originBehind } from './find-site.ts'

/** What the egress must know of a host: is it ours, and is there an origin behind it? */
export function ownSite(snapshot: Snapshot, host: string, path: string): { site: string; origin?: string } | undefined {
  const site = findSite(snapshot, { host, path, scheme: 'http' })
  if (site === undefined) return undefined
  const behind = originBehind(snapshot, site, host)
  return behind?.target.kind === 'origin' ? { site: behind.name, origin: behind.target.url } : { site: site.name }
}

/** The origins behind a host of ours, for a program that fetches it. */
export function ownPool(
  snapshot: Snapshot,
  host: string,
  path: string,
): { site: string; pool: OriginPool } | undefined {
  const site = findSite(snapshot, { host, path, scheme: 'http' })
  const behind = site && originBehind(snapshot, site, host)
  if (behind?.target.kind !== 'origin' || behind.target.pool === undefined) return undefined
  return { site: behind.name, pool: behind.target.pool }
}
