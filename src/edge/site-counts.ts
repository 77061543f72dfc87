/**
 * Counts of each site by second, minute, hour and day. An exchange counts in its second alone; seconds that are over are
 * added to the longer periods, so that counting costs a request one look-up and some additions.
 */
import type { Limits } from '#/core/limits.ts'
import {
  type SiteStats,
  type StatsCounter,
  type StatsPeriod,
  type StatsRow,
  statsCounters,
  statsPeriods,
} from '#/core/site-stats.ts'
import type { Clock } from '#/core/units.ts'
import { fromStore } from './cache-headers.ts'

export interface CountedExchange {
  readonly site: string | undefined
  readonly status: number
  readonly failed: boolean
  readonly bytesIn: number
  readonly bytesOut: number
  readonly httpVersion: string
  /** E.g. `TLSv1.3`. */
  readonly tlsVersion: string | undefined
  /** How the cache took part; undefined where it was not asked. */
  readonly cache: string | undefined
}

export interface SiteCounts extends SiteStats {
  count(exchange: CountedExchange): void
}

export interface SiteCountsOptions {
  readonly limits: Pick<Limits, 'statsSites' | 'statsSeconds' | 'statsMinutes' | 'statsHours' | 'statsDays'>
  readonly clock: Clock
}

type Counts = Float64Array

interface Site {
  second: number
  counts: Counts
  readonly periods: Record<StatsPeriod, Map<number, Counts>>
}

const places = new Map<string, number>(statsCounters.map((name, index) => [name, index]))
const placeOf = (name: StatsCounter) => places.get(name)!
const at = {
  requests: placeOf('requests'),
  hits: placeOf('hits'),
  misses: placeOf('misses'),
  passes: placeOf('passes'),
  errors: placeOf('errors'),
  bytesIn: placeOf('bytesIn'),
  bytesOut: placeOf('bytesOut'),
  http2: placeOf('http2'),
  tls: placeOf('tls'),
  tls12: placeOf('tls12'),
  tls13: placeOf('tls13'),
  firstClass: placeOf('1xx'),
}
/** Where each status that has a counter of its own is counted. */
const statusPlaces: readonly (number | undefined)[] = Array.from({ length: 600 }, (_, status) =>
  places.get(String(status)),
)
const hits: ReadonlySet<string> = fromStore
const misses: ReadonlySet<string> = new Set(['miss', 'expired'])

export function createSiteCounts({ limits, clock }: SiteCountsOptions): SiteCounts {
  const sites = new Map<string, Site>()
  const most: Record<StatsPeriod, number> = {
    second: limits.statsSeconds,
    minute: limits.statsMinutes,
    hour: limits.statsHours,
    day: limits.statsDays,
  }

  function siteOf(name: string, second: number): Site | undefined {
    const known = sites.get(name)
    if (known !== undefined || sites.size >= limits.statsSites) return known
    const periods = { second: new Map(), minute: new Map(), hour: new Map(), day: new Map() }
    const site: Site = { second, counts: new Float64Array(statsCounters.length), periods }
    sites.set(name, site)
    return site
  }

  function turn(site: Site, second: number): void {
    for (const period of Object.keys(statsPeriods) as StatsPeriod[]) {
      const length = statsPeriods[period]
      const rows = site.periods[period]
      const start = Math.floor(site.second / length) * length
      const sum = rows.get(start)
      if (sum !== undefined) for (let index = 0; index < sum.length; index++) sum[index]! += site.counts[index]!
      else {
        if (rows.size >= most[period]) rows.delete(rows.keys().next().value!)
        rows.set(start, Float64Array.from(site.counts))
      }
    }
    site.second = second
    site.counts.fill(0)
  }

  return {
    count(exchange) {
      if (exchange.site === undefined) return
      const second = Math.floor(clock() / 1000)
      const site = siteOf(exchange.site, second)
      if (site === undefined) return
      if (site.second !== second) turn(site, second)
      add(site.counts, exchange)
    },
    rows(name, { by, from, to }) {
      const site = sites.get(name)
      if (site === undefined) return []
      const second = Math.floor(clock() / 1000)
      if (site.counts[at.requests] !== 0) turn(site, second)
      const found: StatsRow[] = []
      for (const [start, counts] of site.periods[by])
        if (start + statsPeriods[by] > from && start < to) found.push({ start, counters: named(counts) })
      return found.sort((one, other) => one.start - other.start)
    },
  }
}

function add(counts: Counts, exchange: CountedExchange): void {
  const { status, cache, tlsVersion } = exchange
  counts[at.requests]!++
  if (exchange.failed) counts[at.errors]!++
  counts[at.bytesIn]! += exchange.bytesIn
  counts[at.bytesOut]! += exchange.bytesOut
  if (exchange.httpVersion === '2') counts[at.http2]!++
  if (tlsVersion !== undefined) {
    counts[at.tls]!++
    if (tlsVersion === 'TLSv1.3') counts[at.tls13]!++
    else if (tlsVersion === 'TLSv1.2') counts[at.tls12]!++
  }
  if (cache !== undefined) counts[hits.has(cache) ? at.hits : misses.has(cache) ? at.misses : at.passes]!++
  if (status >= 100 && status < 600) counts[at.firstClass + Math.floor(status / 100) - 1]!++
  const own = statusPlaces[status]
  if (own !== undefined) counts[own]!++
}

function named(counts: Counts): Record<StatsCounter, number> {
  return Object.fromEntries(statsCounters.map((name, index) => [name, counts[index]!])) as Record<StatsCounter, number>
}
