/** From records to what the data plane sees. Pure. */
import type { Program, Site } from '#/core/snapshot.ts'
import { poolOfRecord } from './change-sites.ts'
import { type ProgramRecord, type SiteRecord, toDeployment, type VersionRecord } from './records.ts'

/** `versions` must hold those of the first rollout. */
export function buildProgram(record: ProgramRecord, versions: ReadonlyMap<string, VersionRecord>): Program {
  const parts = record.rollouts[0]?.parts ?? []
  return {
    name: record.name,
    objects: record.objects,
    rollout: parts.map((part) => ({
      deployment: toDeployment(versions.get(part.version)!),
      percent: part.percent,
    })),
    ...(record.crons !== undefined && record.crons.length > 0 && { crons: record.crons.map(({ cron }) => cron) }),
    ...(record.tailConsumers !== undefined &&
      record.tailConsumers.length > 0 && { tailConsumers: record.tailConsumers }),
  }
}

/** `suffix` is the domain below which every program has its own name, e.g. `localhost`. */
export function buildProgramSite(record: ProgramRecord, suffix: string): Site | undefined {
  const hostnames = [...(record.local ? [`${record.name}.${suffix}`] : []), ...record.hostnames]
  if (hostnames.length === 0 && record.routes.length === 0) return undefined
  return {
    name: record.name,
    hostnames,
    routes: record.routes,
    target: { kind: 'program', program: record.name },
    ...(record.errorPages !== undefined && { errorPages: record.errorPages }),
    ...(record.answers !== undefined && { answers: record.answers }),
  }
}

export function buildOriginSite(record: SiteRecord, suffix: string): Site {
  return {
    name: record.name,
    hostnames: [`${record.name}.${suffix}`, ...record.hosts],
    routes: [],
    target: { kind: 'origin', url: record.origin, pool: poolOfRecord(record) },
    ...(record.cache !== undefined && { cache: record.cache }),
    ...(record.errorPages !== undefined && { errorPages: record.errorPages }),
    ...(record.answers !== undefined && { answers: record.answers }),
    ...(record.shield !== undefined && { shield: record.shield }),
  }
}
