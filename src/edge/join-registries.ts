/** Counters of several points of presence of one process as one answer to `/metrics`. */
import { AggregatorRegistry, type Registry } from 'prom-client'

type Exposed = Pick<Registry, 'contentType' | 'metrics'>

/** With several, each series gets the label `pop`; with one, its registry as it is. */
export function joinRegistries(parts: readonly { readonly pop: string; readonly registry: Registry }[]): Exposed {
  const [first] = parts
  if (parts.length === 1) return first!.registry
  for (const { pop, registry } of parts) registry.setDefaultLabels({ pop })
  return {
    contentType: first!.registry.contentType,
    async metrics() {
      const all = await Promise.all(parts.map(({ registry }) => registry.getMetricsAsJSON()))
      return AggregatorRegistry.aggregate(all).metrics()
    },
  }
}
