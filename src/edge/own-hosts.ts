/** Hosts of this platform as the egress must know them, when programs ask for them. */
import type { OriginPool } from '#/core/origin.ts'
import { pickDeployment } from '#/core/pick-deployment.ts'
import type { Deployment, Program, Snapshot } from '#/core/snapshot.ts'
import { findSite, originBehind } from './find-site.ts'

/** What the egress must know of a host: is it ours, and is there an origin behind it? */
export function ownSite(snapshot: Snapshot, host: string, path: string): { site: string; origin?: string } | undefined {
  const site = findSite(snapshot, { host, path, scheme: 'http' })
  if (site === undefined) return undefined
  const behind = originBehind(snapshot, site, host)
  return behind?.target.kind === 'origin' ? { site: behind.name, origin: behind.target.url } : { site: site.name }
}

/** The program that answers a host of ours, for a backend that names it. */
export function ownProgram(
  snapshot: Snapshot,
  host: string,
  path: string,
): { readonly program: Program; readonly deployment: Deployment } | undefined {
  const target = findSite(snapshot, { host, path, scheme: 'http' })?.target
  return target?.kind === 'program' ? chosenProgram(snapshot, target.program) : undefined
}

/** The program of this name, with one of its deployments by their percentages; undefined where there is nothing to run. */
export function chosenProgram(
  snapshot: Snapshot,
  name: string,
): { readonly program: Program; readonly deployment: Deployment } | undefined {
  const program = snapshot.programs.get(name)
  const deployment = program && pickDeployment(program, [], Math.random())?.deployment
  const runs = deployment?.code !== undefined || deployment?.compute !== undefined
  return runs ? { program: program!, deployment: deployment! } : undefined
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
