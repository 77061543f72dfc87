/**
 * What answers a request on a site: the program, its files, an origin or a redirect.
 */
import { EdgeError } from '#/core/errors.ts'
import type { HeaderList } from '#/core/exchange.ts'
import { pickDeployment } from '#/core/pick-deployment.ts'
import type { AssetsDeployment, Deployment, Program, Site, Snapshot, Target } from '#/core/snapshot.ts'

/** Decides whether `run_worker_first` sends a path to the program before its files; handed over by the assets' room. */
export type ProgramFirst = (assets: AssetsDeployment, path: string) => boolean

export type Picked =
  | { readonly kind: 'program'; readonly program: Program; readonly deployment: Deployment }
  /** Files first; `otherwise` says what happens when none matches. */
  | {
      readonly kind: 'assets'
      readonly program: Program
      readonly deployment: Deployment
      readonly assets: AssetsDeployment
      readonly otherwise: 'program' | 'not-found'
    }
  | Exclude<Target, { readonly kind: 'program' }>

/** Throws `no_such_site` when the site's program has nothing that serves. `random` is in [0, 1). */
export function pickTarget(
  site: Site,
  snapshot: Snapshot,
  request: { readonly path: string; readonly headers: HeaderList },
  options: { readonly random: number; readonly programFirst: ProgramFirst },
): Picked {
  if (site.target.kind !== 'program') return site.target
  const program = snapshot.programs.get(site.target.program)
  const picked = program && pickDeployment(program, request.headers, options.random)
  if (program === undefined || picked === undefined)
    throw new EdgeError('no_such_site', 'Nothing is deployed on this site yet.')
  const { deployment } = picked
  const { assets, code } = deployment
  if (assets === undefined) return { kind: 'program', program, deployment }
  if (code === undefined) return { kind: 'assets', program, deployment, assets, otherwise: 'not-found' }
  if (options.programFirst(assets, request.path)) return { kind: 'program', program, deployment }
  return { kind: 'assets', program, deployment, assets, otherwise: 'program' }
}
