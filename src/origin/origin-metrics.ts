/** Health and counts of origins for `/metrics`. */
import { Counter, Gauge, type Registry } from 'prom-client'
import type { Limits } from '#/core/limits.ts'
import type { OriginState } from '#/core/origin.ts'

export interface OriginMetricsOptions {
  readonly registry: Registry
  readonly states: () => readonly OriginState[]
  readonly limits: Pick<Limits, 'metricSites'>
}

/** `rimward_origin_healthy`, `rimward_origin_requests_total`, `…_failures_total`, `…_retries_total` by site and origin. */
export function addOriginMetrics({ registry, states, limits }: OriginMetricsOptions): void {
  /** Origins of the first `metricSites` sites: labels stay bounded. */
  function counted(): readonly OriginState[] {
    const sites = new Set<string>()
    return states().filter(({ site }) => sites.has(site) || (sites.size < limits.metricSites && sites.add(site)))
  }
  const common: { labelNames: ('site' | 'origin')[]; registers: Registry[] } = {
    labelNames: ['site', 'origin'],
    registers: [registry],
  }
  new Gauge({
    ...common,
    name: 'rimward_origin_healthy',
    help: '1 while the origin is taken for healthy',
    collect() {
      this.reset()
      for (const { site, name, healthy } of counted()) this.set({ site, origin: name }, healthy ? 1 : 0)
    },
  })
  const counters = [
    ['requests', 'Requests sent to the origin'],
    ['failures', 'Requests that the origin did not answer'],
    ['retries', 'Requests that came after another origin had failed'],
  ] as const
  for (const [what, help] of counters)
    new Counter({
      ...common,
      name: `rimward_origin_${what}_total`,
      help,
      collect() {
        this.reset()
        for (const state of counted()) this.inc({ site: state.site, origin: state.name }, state[what])
      },
    })
}
