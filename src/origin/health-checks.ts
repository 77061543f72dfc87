/**
 * What is known of the origins of all sites: results of their health checks, and counts. One check an origin at a time,
 * a bounded number in all, each at a moment of its own.
 */
import { Readable } from 'node:stream'
import { backendSite } from '#/core/backend-sites.ts'
import { changedPrograms, changedSites } from '#/core/changed-sites.ts'
import { toEdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { HealthCheck, Origin, OriginPool, OriginState } from '#/core/origin.ts'
import type { Egress, EgressRequest } from '#/core/ports.ts'
import type { SiteList } from '#/core/site-list.ts'
import type { ProgramName, Site, Snapshot } from '#/core/snapshot.ts'
import type { Clock, EpochMs } from '#/core/units.ts'
import { addResult, type HealthWindow, isHealthy, startWindow, successesOf } from './health-window.ts'
import type { OriginHealth } from './pool-egress.ts'

export interface HealthChecksOptions {
  readonly egress: Pick<Egress, 'fetch'>
  readonly limits: Limits
  readonly clock: Clock
  /** In [0, 1): spreads the checks. */
  readonly random: () => number
  /** Calls back once after so many milliseconds; what it returns calls it off. Timers that end with the process by default. */
  readonly schedule?: (ms: number, work: () => void) => () => void
}

export interface HealthChecks extends OriginHealth {
  /**
   * Checks the origins of these sites from now on, and the backends of these programs; what did not change keeps its results
   * and counts.
   */
  adopt(sites: SiteList, programs?: Snapshot['programs']): void
  states(site?: string): readonly OriginState[]
  /**
   * Whether an origin is well that a program describes itself: checked, with the program's own rights, from the first
   * question until nobody has asked for `lentCheckMs`. Undefined where it has no health check, or too many are checked.
   */
  lent(program: ProgramName, origin: Origin): boolean | undefined
  /** Checks nothing more; a check in flight is given up. */
  close(): void
}

interface Watched {
  readonly by: EgressRequest['by']
  readonly origin: Origin
  readonly check: HealthCheck | undefined
  /** Equal for equal settings. */
  readonly settings: string
  requests: number
  failures: number
  retries: number
  healthy: boolean
  window: HealthWindow
  since: EpochMs
  last?: { readonly at: EpochMs; readonly ok: boolean; readonly why: string }
  /** Calls off the next check, or gives up the one in flight. */
  stop: () => void
  stopped: boolean
  /** Of a lent one: when somebody asked last. */
  askedAt?: EpochMs
}

const noPrograms: Snapshot['programs'] = new Map()

export function createHealthChecks(options: HealthChecksOptions): HealthChecks {
  const { egress, limits, clock, random, schedule = onTimer } = options
  let before: { readonly sites: SiteList; readonly programs: Snapshot['programs'] } = {
    sites: [],
    programs: noPrograms,
  }
  const sites = new Map<string, Map<string, Watched>>()
  let checks = 0
  /** Sites with origins for whose checks there was no room. */
  const unchecked = new Map<string, Site>()
  const lent = new Map<string, Watched>()
  const waiting: Watched[] = []
  let inFlight = 0

  function plan(one: Watched, ms: number): void {
    one.stop = schedule(ms, () => {
      waiting.push(one)
      startWaiting()
    })
  }

  function startWaiting(): void {
    while (inFlight < limits.healthChecksAtOnce) {
      const one = waiting.shift()
      if (one === undefined) return
      if (!one.stopped) void run(one, one.check!)
    }
  }

  async function run(one: Watched, check: HealthCheck): Promise<void> {
    inFlight++
    const controller = new AbortController()
    const calm = schedule(check.timeoutMs, () => controller.abort())
    one.stop = () => controller.abort()
    const result = await probe(egress, one, check, controller.signal)
    calm()
    inFlight--
    if (!one.stopped) {
      learn(one, check, result)
      // A tenth to either side, so that checks that began together do not stay together.
      if (!isForgotten(one)) plan(one, check.intervalMs * (0.9 + 0.2 * random()))
    }
    startWaiting()
  }

  /** A lent one that nobody asks for any more is checked no more. */
  function isForgotten(one: Watched): boolean {
    if (one.askedAt === undefined || clock() - one.askedAt <= limits.lentCheckMs) return false
    lent.delete(one.settings)
    one.stopped = true
    return true
  }

  function learn(one: Watched, check: HealthCheck, result: { readonly ok: boolean; readonly why: string }): void {
    one.last = { at: clock(), ...result }
    one.window = addResult(one.window, result.ok)
    const healthy = isHealthy(one.window, check)
    if (healthy !== one.healthy) one.since = clock()
    one.healthy = healthy
  }

  function watch(by: EgressRequest['by'], origin: Origin, check: HealthCheck | undefined, settings: string): Watched {
    const window = check === undefined ? [] : startWindow(check)
    const healthy = check === undefined || isHealthy(window, check)
    const counts = { requests: 0, failures: 0, retries: 0 }
    const one = { by, origin, check, settings, ...counts, healthy, window, since: clock(), stop() {}, stopped: false }
    if (check !== undefined) plan(one, random() * Math.min(check.intervalMs, 1_000))
    return one
  }

  function release(one: Watched): void {
    one.stopped = true
    one.stop()
  }

  function leave(name: string): ReadonlyMap<string, Watched> | undefined {
    const ours = sites.get(name)
    for (const { check } of ours?.values() ?? []) if (check !== undefined) checks--
    sites.delete(name)
    return ours
  }

  /** `known`: those of the site as it was before. */
  function enter(site: Site, known: ReadonlyMap<string, Watched> | undefined): void {
    const { name, target, rules } = site
    if (target.kind !== 'origin' || target.pool === undefined) return
    const ours = new Map<string, Watched>()
    sites.set(name, ours)
    for (const { origin, check: wanted } of originsOf(target.pool, rules?.pools)) {
      const hasRoom = checks < limits.healthChecks
      const check = hasRoom ? wanted : undefined
      if (check !== undefined) checks++
      if (wanted !== undefined && !hasRoom) unchecked.set(name, site)
      const settings = JSON.stringify([origin, check])
      const same = known?.get(origin.name)
      ours.set(origin.name, same?.settings === settings ? same : watch({ site: name }, origin, check, settings))
    }
  }

  return {
    adopt(next, programs = noPrograms) {
      const ofSites = changedSites(before.sites, next)
      const ofPrograms = changedPrograms(before.programs, programs)
      before = { sites: next, programs }
      const gone = [...ofSites.gone, ...ofPrograms.gone.flatMap(backendSite)]
      for (const { name } of gone) unchecked.delete(name)
      const again = [...unchecked.values()]
      unchecked.clear()
      const left = new Map([...gone, ...again].map(({ name }) => [name, leave(name)]))
      for (const site of [...again, ...ofSites.come, ...ofPrograms.come.flatMap(backendSite)])
        enter(site, left.get(site.name))
      for (const [name, ours] of left)
        for (const one of ours?.values() ?? []) if (sites.get(name)?.get(one.origin.name) !== one) release(one)
    },
    isHealthy: (site, { name }) => sites.get(site)?.get(name)?.healthy ?? true,
    note(site, { name }, what) {
      const one = sites.get(site)?.get(name)
      if (one === undefined) return
      if (what === 'failure') one.failures++
      else one.requests++
      if (what === 'retry') one.retries++
    },
    lent(program, origin) {
      const check = origin.healthCheck
      if (check === undefined) return undefined
      const settings = lentSettings(program, origin)
      let one = lent.get(settings)
      if (one === undefined) {
        if (lent.size >= limits.lentChecks) return undefined
        one = watch({ program }, origin, check, settings)
        lent.set(settings, one)
      }
      one.askedAt = clock()
      return one.healthy
    },
    states: (site) =>
      site === undefined
        ? [...sites.values()].flatMap((ours) => [...ours.values()].map(stateOf))
        : [...(sites.get(site)?.values() ?? [])].map(stateOf),
    close() {
      for (const ours of [...sites.values(), lent]) for (const one of ours.values()) release(one)
      sites.clear()
      lent.clear()
    },
  }
}

/** Equal for what is checked equally; the sealed key differs each time that it is sealed. */
function lentSettings(program: ProgramName, { clientKey: _sealed, ...origin }: Origin): string {
  return JSON.stringify([program, origin])
}

/** Those of the site's own pool, and of the pools that its rules choose. */
function originsOf(own: OriginPool, chosen: readonly { readonly pool: OriginPool }[] = []) {
  const pools = chosen.length === 0 ? [own] : chosen.map(({ pool }) => pool)
  return pools.flatMap(({ origins, healthCheck }) =>
    origins.map((origin) => ({ origin, check: origin.healthCheck ?? healthCheck })),
  )
}

async function probe(
  egress: Pick<Egress, 'fetch'>,
  { by, origin }: Watched,
  check: HealthCheck,
  signal: AbortSignal,
): Promise<{ readonly ok: boolean; readonly why: string }> {
  try {
    const { status, body } = await egress.fetch(probeRequest(by, origin, check, signal))
    if (body instanceof Readable) body.on('error', () => {}).destroy()
    const ok = status === check.expectedStatus
    return { ok, why: ok ? `status ${status}` : `status ${status}, not ${check.expectedStatus}` }
  } catch (thrown) {
    const error = toEdgeError(thrown)
    return { ok: false, why: signal.aborted ? `no answer within ${check.timeoutMs} ms` : error.message }
  }
}

function probeRequest(by: EgressRequest['by'], origin: Origin, check: HealthCheck, signal: AbortSignal): EgressRequest {
  const headers = Object.entries(check.headers).flat()
  const host = check.host ?? origin.overrideHost
  if (host !== undefined) headers.push('host', host)
  if (check.headers['user-agent'] === undefined) headers.push('user-agent', 'rimward-health-check')
  const url = new URL(origin.url).origin + check.path
  return {
    by,
    method: check.method,
    url,
    headers,
    body: null,
    wantsUpgrade: false,
    signal,
    connection: origin,
  }
}

function stateOf(one: Watched): OriginState {
  const { by, origin, check, healthy, window, since, last, requests, failures, retries } = one
  const { threshold = 0 } = check ?? {}
  const checked = { successes: successesOf(window), window: window.length, threshold, since, ...(last && { last }) }
  const { name, url } = origin
  const site = 'site' in by ? by.site : by.program
  return { site, name, url, healthy, ...(check && { check: checked }), requests, failures, retries }
}

function onTimer(ms: number, work: () => void): () => void {
  const timer = setTimeout(work, ms)
  timer.unref()
  return () => clearTimeout(timer)
}
