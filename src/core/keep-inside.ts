/** What a node outside of something's countries does with it: nothing. Engines and the way out refuse it by name. */
import { EdgeError } from './errors.ts'
import { isHere } from './holdings.ts'
import { type Made, mapped } from './kept-map.ts'
import type { CountryCode, Within } from './pops.ts'
import { allows } from './pops.ts'
import type { Egress, Engine } from './ports.ts'
import { describeWithin } from './residency.ts'
import { passing } from './site-list.ts'
import type { Snapshot } from './snapshot.ts'

function notHere(what: string, within: Within | undefined, country: CountryCode): EdgeError {
  return new EdgeError('not_here', `${what} stays in ${describeWithin(within)}; this node is in ${country}.`)
}

/** By country: what of lists and tables may be there, so that a change costs what it changes. */
const kept = new Map<CountryCode, { readonly sites: Made; readonly programs: Made }>()

/** What of a Snapshot is made ready in a country: sites and programs that may be there. The same one where all may. */
export function onlyHere(snapshot: Snapshot, country: CountryCode): Snapshot {
  const made = kept.get(country) ?? { sites: new WeakMap(), programs: new WeakMap() }
  kept.set(country, made)
  const here = ({ within }: { readonly within?: Within }) => allows(within, country)
  const sites = passing(snapshot.sites, here, made.sites)
  const programs = mapped(snapshot.programs, (program) => (here(program) ? program : undefined), made.programs)
  const isWhole = sites === snapshot.sites && programs.size === snapshot.programs.size
  return isWhole ? snapshot : { ...snapshot, sites, programs }
}

/** `run` rejects with `not_here`, whatever asked for it; nothing is warmed or started for programs that may not run here. */
export function keepEngineInside(engine: Engine, country: CountryCode): Engine {
  return {
    prove: (program, deployment) => engine.prove(program, deployment),
    adopt: (snapshot) => engine.adopt(onlyHere(snapshot, country)),
    run(program, deployment, request) {
      if (allows(program.within, country)) return engine.run(program, deployment, request)
      return Promise.reject(notHere(`The program ${program.name}`, program.within, country))
    },
    deliver(program, deployment, event) {
      if (allows(program.within, country)) return engine.deliver(program, deployment, event)
      return Promise.reject(notHere(`The program ${program.name}`, program.within, country))
    },
    warm(program, deployment) {
      if (allows(program.within, country)) engine.warm(program, deployment)
    },
    forget: (objects) => engine.forget(objects),
    close: () => engine.close(),
  }
}

/**
 * Behind the cache: what is never fetched here is never stored here. Rejects with `not_here` for sites and programs that
 * may not be in this country.
 */
export function keepEgressInside(next: Egress, snapshot: () => Snapshot, country: CountryCode): Egress {
  return {
    fetch(request) {
      const owner = 'site' in request.by ? request.by.site : request.by.program
      if (isHere(snapshot(), owner, country)) return next.fetch(request)
      return Promise.reject(new EdgeError('not_here', `${owner} is not in the countries where it may fetch.`))
    },
    close: () => next.close(),
  }
}
