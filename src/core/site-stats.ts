/** What a point of presence counts of each site over time, for who asks later. */
import type { EpochSeconds } from './units.ts'

export const statsPeriods = { second: 1, minute: 60, hour: 3_600, day: 86_400 } as const
export type StatsPeriod = keyof typeof statsPeriods

/** Counters of a row, in their order; statuses not named are only in their hundred. */
export const statsCounters = [
  'requests',
  'hits',
  'misses',
  'passes',
  'errors',
  'bytesIn',
  'bytesOut',
  'http2',
  'tls',
  'tls12',
  'tls13',
  ...(['1xx', '2xx', '3xx', '4xx', '5xx'] as const),
  ...(['200', '204', '206', '301', '302', '304', '400', '401', '403', '404', '416'] as const),
  ...(['500', '501', '502', '503', '504', '505'] as const),
] as const
export type StatsCounter = (typeof statsCounters)[number]

export interface StatsRow {
  /** Of its period. */
  readonly start: EpochSeconds
  readonly counters: Readonly<Record<StatsCounter, number>>
}

export interface StatsQuery {
  readonly by: StatsPeriod
  readonly from: EpochSeconds
  /** Exclusive. */
  readonly to: EpochSeconds
}

export interface SiteStats {
  /** Oldest first; periods without a request are absent. */
  rows(site: string, query: StatsQuery): readonly StatsRow[]
}

/** Rows of several sources, of the same periods added up. */
export function sumRows(lists: readonly (readonly StatsRow[])[]): readonly StatsRow[] {
  const found = new Map<number, Record<StatsCounter, number>>()
  for (const { start, counters } of lists.flat()) {
    const sum = found.get(start)
    if (sum === undefined) found.set(start, { ...counters })
    else for (const name of statsCounters) sum[name] += counters[name]
  }
  return [...found].map(([start, counters]) => ({ start, counters })).sort((one, other) => one.start - other.start)
}
