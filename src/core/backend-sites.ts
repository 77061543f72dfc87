/** The backends of Compute programs as health checks know origins: one site a program, which lets nobody in. */
import type { Program, Site } from './snapshot.ts'

/** None where the program has no backends. */
export function backendSite({ name, rollout }: Program): readonly Site[] {
  const origins = rollout[0]?.deployment.compute?.backends
  if (origins === undefined || origins.length === 0) return []
  const target = { kind: 'origin', url: origins[0]!.url, pool: { origins, choice: 'fallback' } } as const
  return [{ name, hostnames: [], routes: [], target }]
}
