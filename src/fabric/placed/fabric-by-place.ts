/** What several nodes of one process can reach together: a bucket that stays in countries by one of them that is there. */
import { allows, type CountryCode } from '#/core/pops.ts'
import type { Fabric } from '#/core/ports.ts'

export interface NodeView {
  readonly country: CountryCode
  readonly fabric: Fabric
}

/** The first node's view for everything else. */
export function fabricByPlace(nodes: readonly [NodeView, ...NodeView[]]): Fabric {
  const [{ fabric: first }] = nodes
  if (nodes.length === 1) return first
  const bucket: Fabric['bucket'] = (name, placement) => {
    const inside = nodes.find(({ country }) => allows(placement?.within, country))
    return (inside?.fabric ?? first).bucket(name, placement)
  }
  return Object.defineProperties(
    {},
    {
      ...Object.getOwnPropertyDescriptors(first),
      bucket: { value: bucket, enumerable: true },
    },
  ) as Fabric
}
