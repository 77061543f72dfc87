/** The state of the platform's configuration, how a change alters it, and the Snapshot that it makes. Pure. */
import { alter } from '#/core/kept-map.ts'
import type { Program, ProgramName, Site, Snapshot } from '#/core/snapshot.ts'
import { carryAddresses } from './addresses.ts'
import { buildOriginSite, buildProgram, buildProgramSite } from './build-snapshot.ts'
import { applyToDomains, type DomainChange, type HeldDomains } from './domain-rules.ts'
import { applyToPlacements, type HeldPlacements, type PlacementChange } from './placements.ts'
import type { ProgramRecord, SiteRecord, VersionRecord } from './records.ts'
import { applyToResources, type HeldResources, type ResourceChange } from './resources.ts'
import { createServedTables } from './served-tables.ts'
import { applyToServices, type HeldServices, type ServiceChange } from './services/held-services.ts'

/** Number of the change that last touched something; 0 for what was there before changes were numbered. */
export type ChangeNumber = number

/** A program as the control plane holds it: its record, and the versions that serve. */
export interface Held {
  readonly record: ProgramRecord
  readonly revision: ChangeNumber
  readonly serving: ReadonlyMap<string, VersionRecord>
  readonly program: Program
  readonly site: Site | undefined
}

export interface HeldSite {
  readonly record: SiteRecord
  readonly revision: ChangeNumber
  readonly site: Site
}

export interface State {
  readonly programs: ReadonlyMap<ProgramName, Held>
  readonly sites: ReadonlyMap<string, HeldSite>
  /** By id. */
  readonly services: HeldServices
  readonly domains: HeldDomains
  readonly placements: HeldPlacements
  readonly resources: HeldResources
}

/** What a decision writes; `undefined` in place of a record removes it. `serving` must hold the rollout's versions. */
export interface Change {
  readonly programs?: readonly {
    readonly name: ProgramName
    readonly record: ProgramRecord | undefined
    readonly serving?: ReadonlyMap<string, VersionRecord>
  }[]
  readonly sites?: readonly { readonly name: string; readonly record: SiteRecord | undefined }[]
  readonly services?: readonly ServiceChange[]
  readonly domains?: readonly DomainChange[]
  readonly placements?: readonly PlacementChange[]
  readonly resources?: readonly ResourceChange[]
}

/** `hostnameSuffix` is the domain below which programs have names, e.g. `localhost`. */
export interface Fold {
  hold(record: ProgramRecord, revision: ChangeNumber, serving: ReadonlyMap<string, VersionRecord>): Held
  holdSite(record: SiteRecord, revision: ChangeNumber): HeldSite
  apply(state: State, change: Change, revision: ChangeNumber): State
  /** What did not change is the same object as in the Snapshot before. */
  build(revision: ChangeNumber, state: State): Snapshot
}

export function createFold(hostnameSuffix: string): Fold {
  const served = createServedTables()

  const hold: Fold['hold'] = (record, revision, serving) => ({
    record,
    revision,
    serving,
    program: buildProgram(record, serving),
    site: buildProgramSite(record, hostnameSuffix),
  })
  const holdSite: Fold['holdSite'] = (record, revision) => ({
    record,
    revision,
    site: buildOriginSite(record, hostnameSuffix),
  })

  function applyToPrograms(held: State['programs'], changes: NonNullable<Change['programs']>, revision: number) {
    if (changes.length === 0) return held
    const next = alter(held)
    for (const { name, record, serving } of changes)
      if (record === undefined) next.delete(name)
      else next.set(name, hold(record, revision, serving ?? next.get(name)?.serving ?? new Map()))
    return next.kept()
  }

  function applyToSites(held: State['sites'], changes: NonNullable<Change['sites']>, revision: number) {
    if (changes.length === 0) return held
    const next = alter(held)
    for (const { name, record } of changes)
      if (record === undefined) next.delete(name)
      else next.set(name, holdSite(record, revision))
    return next.kept()
  }

  return {
    hold,
    holdSite,
    apply(state, change, revision) {
      const programs = applyToPrograms(state.programs, change.programs ?? [], revision)
      const sites = applyToSites(state.sites, change.sites ?? [], revision)
      const services = applyToServices(state.services, change.services ?? [], hostnameSuffix, revision)
      const domains = applyToDomains(state.domains, change.domains ?? [], revision)
      const placements = applyToPlacements(state.placements, change.placements ?? [], revision)
      const resources = applyToResources(state.resources, change.resources ?? [], revision)
      const next = { programs, sites, services, domains, placements, resources }
      carryAddresses(state, next)
      return next
    },
    build: (revision, state) => ({ revision, ...served(state) }),
  }
}
