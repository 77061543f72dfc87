/**
 * Counters of the data plane, for `/metrics` and `rimward top`. Counting happens in plain arrays, because it is done for
 * every request; prom-client reads them when somebody asks.
 */
import { Registry } from 'prom-client'
import type { ErrorRow } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Clock } from '#/core/units.ts'
import { createSiteCounts, type SiteCounts, type SiteCountsOptions } from './site-counts.ts'

export interface ExchangeCounts {
  /** Name of a known site; undefined when the request reached none. */
  readonly site: string | undefined
  readonly status: number
  /** Who caused the failure; undefined when there was none. */
  readonly source: ErrorRow['source'] | undefined
  readonly durationMs: number
  readonly bytesIn: number
  readonly bytesOut: number
}

export interface Metrics {
  readonly registry: Registry
  /** The same over time, for who asks later. */
  readonly counts: SiteCounts
  exchange(counts: ExchangeCounts): void
  /** +1 when an exchange begins, -1 when it ends. */
  inFlight(change: number): void
  /** +1 when a connection opens, -1 when it ends. */
  connections(change: number): void
  /** Connections and requests turned away before `handle`; `reason` is one of our own error codes. */
  refused(reason: string): void
  /** Since the start: exchanges, and those of them with a status of 500 and more. */
  totals(): { readonly requests: number; readonly errors: number }
}

const outcomes = ['ok', 'client', 'origin', 'program', 'rimward'] as const
const classes = ['none', '1xx', '2xx', '3xx', '4xx', '5xx'] as const
/** Where answers of 5xx begin in `Series.requests`. */
const failures = classes.indexOf('5xx') * outcomes.length
const boundsMs = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000]

interface Series {
  readonly requests: Float64Array
  readonly buckets: Float64Array
  durationMs: number
  bytesIn: number
  bytesOut: number
}

interface Value {
  readonly labels: Record<string, string | number>
  readonly value: number
  readonly metricName?: string
}

/** Site names become labels up to `metricSites`; later ones share `other`, requests without a site are `none`. */
export function createMetrics(options: {
  readonly limits: Pick<Limits, 'metricSites'> & SiteCountsOptions['limits']
  readonly clock: Clock
}): Metrics {
  const sites = new Map<string, Series>()
  const refusals = new Map<string, number>()
  let inFlight = 0
  let open = 0
  let accepted = 0

  function seriesOf(site: string | undefined): Series {
    const label = site ?? 'none'
    const known = sites.get(label)
    if (known !== undefined) return known
    if (sites.size >= options.limits.metricSites && label !== 'other' && label !== 'none') return seriesOf('other')
    const series: Series = {
      requests: new Float64Array(classes.length * outcomes.length),
      buckets: new Float64Array(boundsMs.length + 1),
      durationMs: 0,
      bytesIn: 0,
      bytesOut: 0,
    }
    sites.set(label, series)
    return series
  }

  const registry = new Registry()
  const each = (pick: (series: Series) => number) =>
    [...sites].map(([site, series]) => ({ labels: { site }, value: pick(series) }))
  add(registry, 'counter', 'rimward_requests_total', 'Exchanges answered', () =>
    [...sites].flatMap(([site, series]) => requestValues(site, series)),
  )
  add(registry, 'histogram', 'rimward_request_duration_seconds', 'From accepted to recorded', () =>
    [...sites].flatMap(([site, series]) => durationValues(site, series)),
  )
  add(registry, 'counter', 'rimward_request_bytes_total', 'Bytes of request bodies', () => each((one) => one.bytesIn))
  add(registry, 'counter', 'rimward_response_bytes_total', 'Bytes of answers’ bodies', () =>
    each((one) => one.bytesOut),
  )
  add(registry, 'gauge', 'rimward_requests_in_flight', 'Exchanges being answered', () => [
    { labels: {}, value: inFlight },
  ])
  add(registry, 'gauge', 'rimward_connections', 'Open client connections', () => [{ labels: {}, value: open }])
  add(registry, 'counter', 'rimward_connections_total', 'Client connections accepted', () => [
    { labels: {}, value: accepted },
  ])
  add(registry, 'counter', 'rimward_refused_total', 'Turned away before any site was asked', () =>
    [...refusals].map(([reason, value]) => ({ labels: { reason }, value })),
  )

  return {
    registry,
    counts: createSiteCounts(options),
    exchange({ site, status, source, durationMs, bytesIn, bytesOut }) {
      const series = seriesOf(site)
      const row = status >= 100 && status < 600 ? Math.floor(status / 100) : 0
      const index = row * outcomes.length + (source === undefined ? 0 : outcomes.indexOf(source))
      series.requests[index] = series.requests[index]! + 1
      let bucket = 0
      while (bucket < boundsMs.length && durationMs > boundsMs[bucket]!) bucket++
      series.buckets[bucket] = series.buckets[bucket]! + 1
      series.durationMs += durationMs
      series.bytesIn += bytesIn
      series.bytesOut += bytesOut
    },
    inFlight(change) {
      inFlight += change
    },
    connections(change) {
      open += change
      if (change > 0) accepted += change
    },
    refused(reason) {
      refusals.set(reason, (refusals.get(reason) ?? 0) + 1)
    },
    totals() {
      let [requests, errors] = [0, 0]
      for (const series of sites.values())
        for (const [index, count] of series.requests.entries()) {
          requests += count
          if (index >= failures) errors += count
        }
      return { requests, errors }
    },
  }
}

function requestValues(site: string, series: Series): Value[] {
  const values: Value[] = []
  series.requests.forEach((value, index) => {
    if (value === 0) return
    const status_class = classes[Math.floor(index / outcomes.length)]!
    values.push({ labels: { site, status_class, outcome: outcomes[index % outcomes.length]! }, value })
  })
  return values
}

function durationValues(site: string, series: Series): Value[] {
  const name = 'rimward_request_duration_seconds'
  let total = 0
  const values: Value[] = []
  series.buckets.forEach((count, index) => {
    total += count
    const bound = boundsMs[index]
    const le = bound === undefined ? '+Inf' : bound / 1000
    values.push({ labels: { site, le }, value: total, metricName: `${name}_bucket` })
  })
  values.push({ labels: { site }, value: series.durationMs / 1000, metricName: `${name}_sum` })
  values.push({ labels: { site }, value: total, metricName: `${name}_count` })
  return values
}

/** prom-client asks a metric only for `get()`; handing it finished values keeps its per-call hashing off the path. */
function add(
  registry: Registry,
  type: 'counter' | 'gauge' | 'histogram',
  name: string,
  help: string,
  values: () => Value[],
): void {
  const metric = {
    name,
    help,
    type,
    aggregator: 'sum',
    get: async () => ({ name, help, type, aggregator: 'sum', values: values() }),
    reset() {},
  }
  registry.registerMetric(metric as unknown as Parameters<Registry['registerMetric']>[0])
}
