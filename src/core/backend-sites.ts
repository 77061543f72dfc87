/** The backends of Compute programs as health checks know origins: one site a program, which lets nobody in. */
import type { Program, Site } from './snapshot.ts'

export function backendSites(programs: ReadonlyMap<string, Program>): readonly Site[] {
  const sites: Site[] = []
  for (const { name, rollout } of programs.values()) {
    const origins = rollout[0]?.deployment.compute?.backends
    if (origins === undefined || origins.length === 0) continue
    const target = { kind: 'origin', url: origins[0]!.url, pool: { origins, choice: 'fallback' } } as const
    sites.push({ name, hostnames: [], routes: [], target })
  }
  return sites
}
