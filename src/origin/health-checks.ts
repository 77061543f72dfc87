/**
 * What is known of the origins of all sites: results of their health checks, and counts. One check an origin at a time,
 * a bounded number in all, each at a moment of its own.
 */
import { Readable } from 'node:stream'
import { toEdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { HealthCheck, Origin, OriginPool, OriginState } from '#/core/origin.ts'
import type { Egress, EgressRequest } from '#/core/ports.ts'
import type { Site } from '#/core/snapshot.ts'
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
  /** Checks the origins of these sites from now on; what did not change keeps its results and counts. */
  adopt(sites: readonly Site[]): void
  states(site?: string): readonly OriginState[]
  /** Checks nothing more; a check in flight is given up. */
  close(): void
}

interface Watched {
  readonly site: string
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
}

export function createHealthChecks(options: HealthChecksOptions): HealthChecks {
  const { egress, limits, clock, random, schedule = onTimer } = options
  let sites = new Map<string, Map<string, Watched>>()
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
      plan(one, check.intervalMs * (0.9 + 0.2 * random()))
    }
    startWaiting()
  }

  function learn(one: Watched, check: HealthCheck, result: { readonly ok: boolean; readonly why: string }): void {
    one.last = { at: clock(), ...result }
    one.window = addResult(one.window, result.ok)
    const healthy = isHealthy(one.window, check)
    if (healthy !== one.healthy) one.since = clock()
    one.healthy = healthy
  }

  function watch(site: string, origin: Origin, check: HealthCheck | undefined, settings: string): Watched {
    const window = check === undefined ? [] : startWindow(check)
    const healthy = check === undefined || isHealthy(window, check)
    const counts = { requests: 0, failures: 0, retries: 0 }
    const one = { site, origin, check, settings, ...counts, healthy, window, since: clock(), stop() {}, stopped: false }
    if (check !== undefined) plan(one, random() * Math.min(check.intervalMs, 1_000))
    return one
  }

  function release(one: Watched): void {
    one.stopped = true
    one.stop()
  }

  return {
    adopt(next) {
      let checks = 0
      const before = sites
      sites = new Map()
      for (const { name, target, rules } of next) {
        if (target.kind !== 'origin' || target.pool === undefined) continue
        const ours = new Map<string, Watched>()
        sites.set(name, ours)
        for (const { origin, check: wanted } of originsOf(target.pool, rules?.pools)) {
          if (wanted !== undefined) checks++
          const check = checks > limits.healthChecks ? undefined : wanted
          const settings = JSON.stringify([origin, check])
          const known = before.get(name)?.get(origin.name)
          ours.set(origin.name, known?.settings === settings ? known : watch(name, origin, check, settings))
        }
      }
      for (const [name, ours] of before)
        for (const one of ours.values()) if (sites.get(name)?.get(one.origin.name) !== one) release(one)
    },
    isHealthy: (site, { name }) => sites.get(site)?.get(name)?.healthy ?? true,
    note(site, { name }, what) {
      const one = sites.get(site)?.get(name)
      if (one === undefined) return
      if (what === 'failure') one.failures++
      else one.requests++
      if (what === 'retry') one.retries++
    },
    states: (site) =>
      site === undefined
        ? [...sites.values()].flatMap((ours) => [...ours.values()].map(stateOf))
        : [...(sites.get(site)?.values() ?? [])].map(stateOf),
    close() {
      for (const ours of sites.values()) for (const one of ours.values()) release(one)
      sites = new Map()
    },
  }
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
  { site, origin }: Watched,
  check: HealthCheck,
  signal: AbortSignal,
): Promise<{ readonly ok: boolean; readonly why: string }> {
  try {
    const { status, body } = await egress.fetch(probeRequest(site, origin, check, signal))
    if (body instanceof Readable) body.on('error', () => {}).destroy()
    const ok = status === check.expectedStatus
    return { ok, why: ok ? `status ${status}` : `status ${status}, not ${check.expectedStatus}` }
  } catch (thrown) {
    const error = toEdgeError(thrown)
    return { ok: false, why: signal.aborted ? `no answer within ${check.timeoutMs} ms` : error.message }
  }
}

function probeRequest(site: string, origin: Origin, check: HealthCheck, signal: AbortSignal): EgressRequest {
  const headers = Object.entries(check.headers).flat()
  const host = check.host ?? origin.overrideHost
  if (host !== undefined) headers.push('host', host)
  if (check.headers['user-agent'] === undefined) headers.push('user-agent', 'rimward-health-check')
  const url = new URL(origin.url).origin + check.path
  return {
    by: { site },
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
  const { site, origin, check, healthy, window, since, last, requests, failures, retries } = one
  const { threshold = 0 } = check ?? {}
  const checked = { successes: successesOf(window), window: window.length, threshold, since, ...(last && { last }) }
  const { name, url } = origin
  return { site, name, url, healthy, ...(check && { check: checked }), requests, failures, retries }
}

function onTimer(ms: number, work: () => void): () => void {
  const timer = setTimeout(work, ms)
  timer.unref()
  return () => clearTimeout(timer)
}
