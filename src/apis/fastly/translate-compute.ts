/** From the parts of a Compute service's version to a program, in our nouns. Pure; refuses by name. */
import type { ComputeDesign } from '#/control/services/service-program.ts'
import type { ServicePart } from '#/control/services/service-records.ts'
import type { ComputeStore } from '#/core/compute.ts'
import { badRequest } from './errors.ts'
import { resourceTypes } from './resources.ts'
import { numberOf, textOf } from './translate-fields.ts'
import { translateLog } from './translate-log.ts'
import { checkClientKey, type KeyFits, translateBackend, translateCheck } from './translate-origin.ts'

/** Throws a `FastlyError` naming the first part that does not fit. */
export function translateCompute(parts: readonly ServicePart[], keyFits: KeyFits): ComputeDesign {
  const of = (kind: string) => parts.filter((part) => part.kind === kind)
  const [uploaded] = of('package')
  if (uploaded === undefined) throw badRequest('This version has no package. Upload one with «fastly compute update».')
  const checks = new Map(of('healthcheck').map((part) => [part.name, translateCheck(part)]))
  const hostnames = of('domain').map(({ name }) => name)
  return {
    hostnames,
    // The CLI's own names for services lead to Fastly, so they alone would leave a program out of reach.
    ...(hostnames.every((name) => name.endsWith('.edgecompute.app')) && { local: true }),
    module: textOf(uploaded, 'module')!,
    bytes: numberOf(uploaded, 'module_bytes')!,
    backends: of('backend').map((part) => {
      if (textOf(part, 'request_condition') !== undefined)
        throw badRequest(`Backend '${part.name}': a program chooses its backend itself; take the condition off.`)
      if (textOf(part, 'shield') !== undefined)
        throw badRequest(`Backend '${part.name}': a shield is for delivery services; take it off.`)
      checkClientKey(part, keyFits)
      return translateBackend(part, (name) => checks.get(name))
    }) as ComputeDesign['backends'],
    stores: of('resource').map(storeOf),
    logs: parts.filter(({ kind }) => kind.startsWith('logging/')).map(translateLog) as ComputeDesign['logs'],
    tables: Object.fromEntries(of('dictionary').map((part) => [part.name, textOf(part, 'id') ?? ''])),
  }
}

function storeOf(part: ServicePart): ComputeStore {
  const kinds = Object.keys(resourceTypes) as ComputeStore['kind'][]
  const kind = kinds.find((one) => resourceTypes[one] === part.fields.resource_type)!
  return { kind, name: part.name, store: textOf(part, 'resource_id')! }
}
