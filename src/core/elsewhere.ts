/** What a node knows of what stays in countries where it is not: that it is there, not what it is. */
import { type Made, mapped } from './kept-map.ts'
import type { OriginPool } from './origin.ts'
import type { CountryCode } from './pops.ts'
import { allows } from './pops.ts'
import type { Resource } from './resources.ts'
import { mapSites } from './site-list.ts'
import type { Program, Site, Snapshot } from './snapshot.ts'

/** In place of an origin that is known elsewhere only (RFC 6761 §6.4: leads nowhere). */
export const elsewhere = 'https://elsewhere.invalid/'

export const elsewherePool: OriginPool = {
  origins: [{ name: 'elsewhere', url: elsewhere, weight: 100 }],
  choice: 'weighted-random',
}

const made = new WeakMap<object, object>()
/** Of what is made for nodes of a country: this process has nodes in few. */
const tables = new Map<CountryCode, { readonly sites: Made; readonly programs: Made; readonly resources: Made }>()
const snapshots = new WeakMap<Snapshot, Map<CountryCode, Snapshot>>()

/**
 * The Snapshot without the rules, origins, tables, pages and settings with secrets of what may not be in a country; the same one where there is nothing,
 * and the same objects in it as long as those that they are made of are the same.
 */
export function withoutElsewhere(snapshot: Snapshot, country: CountryCode): Snapshot {
  if (snapshot.placements === undefined) return snapshot
  const known = snapshots.get(snapshot) ?? new Map<CountryCode, Snapshot>()
  snapshots.set(snapshot, known)
  const stripped = known.get(country) ?? strip(snapshot, country)
  known.set(country, stripped)
  return stripped
}

function strip(snapshot: Snapshot, country: CountryCode): Snapshot {
  const branches = tables.get(country) ?? { sites: new WeakMap(), programs: new WeakMap(), resources: new WeakMap() }
  tables.set(country, branches)
  const bareAway = <Part extends Site | Program | Resource>(make: (part: Part) => Part) => {
    return (part: Part) => (allows(part.within, country) ? part : once(part, make))
  }
  const sites = mapSites(snapshot.sites, bareAway(bareSite), branches.sites)
  const programs = mapped(snapshot.programs, bareAway(bareProgram), branches.programs)
  const resources = snapshot.resources && mapped(snapshot.resources, bareAway(bareResource), branches.resources)
  if (sites === snapshot.sites && programs === snapshot.programs && resources === snapshot.resources) return snapshot
  return { ...snapshot, sites, programs, ...(resources && { resources }) }
}

function once<Part extends object>(part: Part, make: (part: Part) => Part): Part {
  const known = made.get(part) ?? make(part)
  made.set(part, known)
  return known as Part
}

function bareSite({ name, hostnames, routes, target, within, shield }: Site): Site {
  return {
    ...{ name, hostnames, routes },
    target: target.kind === 'origin' ? { kind: 'origin', url: elsewhere, pool: elsewherePool } : target,
    ...(within !== undefined && { within }),
    ...(shield !== undefined && { shield }),
  }
}

const bareResource = (resource: Resource): Resource => ({ ...resource, settings: {} })

function bareProgram({ lookups: _lookups, rollout, ...program }: Program): Program {
  return {
    ...program,
    rollout: rollout.map(({ deployment, percent }) => {
      const { compute } = deployment
      if (compute === undefined) return { deployment, percent }
      return { deployment: { ...deployment, compute: { ...compute, backends: [], logs: [] } }, percent }
    }),
  }
}
