/** Services as the control plane holds them, and the sites that they are. */

import type { Lookups } from '#/core/delivery-rules.ts'
import { createKeptIndex } from '#/core/kept-index.ts'
import { alter, differences } from '#/core/kept-map.ts'
import type { Bucket, Fabric } from '#/core/ports.ts'
import { siteNameOf } from '#/core/service-site-name.ts'
import type { Program, Site } from '#/core/snapshot.ts'
import { buildProgramServiceSite, buildServiceProgram } from './service-program.ts'
import type { ServiceRecord, TableRecord } from './service-records.ts'

export interface HeldTable {
  readonly record: TableRecord
  /** Number of the change that made it what it is. */
  readonly revision: number
}

export interface HeldService {
  readonly record: ServiceRecord
  /** Number of the change that last touched it or one of its tables. */
  readonly revision: number
  readonly tables: ReadonlyMap<string, HeldTable>
  /** Absent while no version is active. */
  readonly site: Site | undefined
  /** The active version, where versions are programs. */
  readonly program: Program | undefined
}

export type HeldServices = ReadonlyMap<string, HeldService>

/** `undefined` in place of a record removes it; tables of a service that is removed go with it. */
export interface ServiceChange {
  readonly id: string
  readonly record?: ServiceRecord | undefined
  readonly tables?: readonly { readonly id: string; readonly record: TableRecord | undefined }[]
  readonly removed?: true
}

export interface ServiceBuckets {
  readonly services: Bucket
  readonly versions: Bucket
  readonly tables: Bucket
}

export function serviceBuckets(fabric: Pick<Fabric, 'bucket'>): ServiceBuckets {
  return {
    services: fabric.bucket('services'),
    versions: fabric.bucket('service-versions'),
    tables: fabric.bucket('service-tables'),
  }
}

const byName = createKeptIndex(({ record }: HeldService) => [siteNameOf(record.name)])

/** The id of the service whose site, serving or not, has this name. */
export function serviceNamed(services: HeldServices, name: string): string | undefined {
  return byName.find(services, name)?.record.id
}

/** Does the site of a service, serving or not, have this name? */
export function isServiceSite({ services }: { readonly services: HeldServices }, name: string): boolean {
  return serviceNamed(services, name) !== undefined
}

/** Has an active version of a service made a program of this name? */
export function hasProgram(services: HeldServices, name: string): boolean {
  return byName.find(services, name)?.program?.name === name
}

export function buildServiceSite(
  record: ServiceRecord,
  tables: ReadonlyMap<string, HeldTable>,
  suffix: string,
): Site | undefined {
  const { live, program } = record
  if (program !== undefined) return buildProgramServiceSite(siteNameOf(record.name), program, suffix)
  const pools = live?.rules.pools ?? []
  const pool = (pools.find(({ when }) => when === undefined) ?? pools[0])?.pool
  if (live === undefined || pool === undefined) return undefined
  const name = siteNameOf(record.name)
  return {
    name,
    hostnames: live.hostnames.length > 0 ? live.hostnames : [`${name}.${suffix}`],
    routes: [],
    target: { kind: 'origin', url: pool.origins[0]!.url, pool },
    ...(live.cache !== undefined && { cache: live.cache }),
    rules: live.rules,
    lookups: lookupsOf(live, tables),
  }
}

export function buildProgramOf(record: ServiceRecord, tables: ReadonlyMap<string, HeldTable>): Program | undefined {
  const { id, active, program, staged } = record
  if (program === undefined || active === undefined) return undefined
  const placed = { service: id, version: active, name: siteNameOf(record.name) }
  const named = { ...staged?.program.tables, ...program.tables }
  return buildServiceProgram(placed, program, staged, lookupsOf({ tables: named, lists: {} }, tables))
}

type Named = Readonly<Record<'tables' | 'lists', Readonly<Record<string, string>>>>

function lookupsOf(live: Named, tables: ReadonlyMap<string, HeldTable>): Lookups {
  const texts: Record<string, Record<string, string>> = {}
  for (const [name, id] of Object.entries(live.tables)) {
    const record = tables.get(id)?.record
    texts[name] = record?.kind === 'texts' ? Object.fromEntries(record.entries.map((one) => [one.key, one.value])) : {}
  }
  const lists: Record<string, Lookups['lists'][string]> = {}
  for (const [name, id] of Object.entries(live.lists)) {
    const record = tables.get(id)?.record
    lists[name] = record?.kind === 'networks' ? record.entries : []
  }
  return { tables: texts, lists }
}

export function holdService(
  record: ServiceRecord,
  revision: number,
  tables: ReadonlyMap<string, HeldTable>,
  suffix: string,
): HeldService {
  const site = buildServiceSite(record, tables, suffix)
  return { record, revision, tables, site, program: buildProgramOf(record, tables) }
}

/** The services after a change, which has this number. */
export function applyToServices(
  held: HeldServices,
  changes: readonly ServiceChange[],
  suffix: string,
  revision: number,
): HeldServices {
  if (changes.length === 0) return held
  const next = alter(held)
  for (const { id, record: given, tables: changed = [], removed } of changes) {
    const before = next.get(id)
    const record = given ?? before?.record
    if (removed || record === undefined) {
      next.delete(id)
      continue
    }
    const tables = new Map(before?.tables)
    for (const { id: table, record: content } of changed)
      if (content === undefined) tables.delete(table)
      else tables.set(table, { record: content, revision })
    const same = before !== undefined && changed.length === 0 && sameSite(before.record, record)
    if (same) next.set(id, { ...before, record, revision })
    else next.set(id, holdService(record, revision, tables, suffix))
  }
  const services = next.kept()
  byName.carry(held, services)
  return services
}

function sameSite(one: ServiceRecord, other: ServiceRecord): boolean {
  return (
    one.live === other.live &&
    one.program === other.program &&
    one.staged === other.staged &&
    siteNameOf(one.name) === siteNameOf(other.name)
  )
}

/** True when no site and no program differs: the data plane need not hear of it. */
export function sameSites(one: HeldServices, other: HeldServices): boolean {
  return differences(one, other).every(
    ({ before, after }) => before?.site === after?.site && before?.program === after?.program,
  )
}
