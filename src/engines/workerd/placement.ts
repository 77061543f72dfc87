/** Where a program runs: pure decisions, each with its reason. */
import { createHash } from 'node:crypto'
import type { Limits } from '#/core/limits.ts'
import type { Engine } from '#/core/ports.ts'
import type { Binding, Deployment, ObjectNamespace, Program } from '#/core/snapshot.ts'
import type { BackplaneHandler } from './backplane.ts'
import type { OwnCell } from './own-cell.ts'

export type Placement =
  | { readonly kind: 'shared' }
  | { readonly kind: 'own'; readonly why: 'objects' | 'script' | 'native' | 'cpu-limit' | 'slow-start' | 'hot' }

/** The engine of programs that have a cell of their own. */
export type OwnCells = Pick<Engine, 'run' | 'deliver' | 'warm' | 'prove' | 'adopt' | 'close'> & {
  forget(objects: readonly ObjectNamespace[]): Promise<void>
  /** A cell that runs all these programs, which need nothing that only one cell may have. */
  startGroup(members: readonly Deployment[]): Promise<OwnCell>
  /** The backplane's `reach`: where a program runs, for cells that bind it. */
  readonly reach: BackplaneHandler
}

/** The runtime has these itself, but makes them from its configuration alone: the loader of shared cells hands over fetchers. */
const nativeKinds: ReadonlySet<Binding['kind']> = new Set([
  'bucket',
  'certificate',
  'dataset',
  'dispatch',
  'loader',
  'queue',
  'rate-limit',
  'server',
  'sql',
  'stored-secret',
  'workflow',
])

/** A shared cell runs modules whose bindings need no configuration of their own; all else needs an own cell. */
export function placeProgram(
  program: Pick<Program, 'objects'>,
  deployment: Deployment,
  limits: Pick<Limits, 'cellStallMs'>,
): Placement {
  const { code, bindings, usesSockets, usesEmail } = deployment
  if (program.objects.length > 0 || bindings.some((binding) => binding.kind === 'objects'))
    return { kind: 'own', why: 'objects' }
  if (usesSockets || usesEmail) return { kind: 'own', why: 'native' }
  if (bindings.some((binding) => nativeKinds.has(binding.kind))) return { kind: 'own', why: 'native' }
  if (code?.syntax === 'script') return { kind: 'own', why: 'script' }
  if ((deployment.limits.cpuMs ?? 0) > limits.cellStallMs) return { kind: 'own', why: 'cpu-limit' }
  // Its start would hold the thread for so long that the cell were taken for hung.
  if ((deployment.startupMs ?? 0) > limits.cellStallMs / 2) return { kind: 'own', why: 'slow-start' }
  return { kind: 'shared' }
}

/** Rendezvous hashing: a key keeps its place while others come and go. `undefined` when there is no place. */
export function pickPlace<Place extends { readonly seat: number }>(
  key: string,
  places: readonly Place[],
): Place | undefined {
  let best: Place | undefined
  let bestScore = ''
  for (const place of places) {
    const score = createHash('sha1').update(`${place.seat} ${key}`).digest('latin1')
    if (best === undefined || score > bestScore) {
      best = place
      bestScore = score
    }
  }
  return best
}

/** `pickPlace` with its answers kept (a few thousand at most): the hash costs as much as parsing a small request. */
export function rememberPlaces<Place extends { readonly seat: number }>(
  places: readonly Place[],
): (key: string) => Place {
  const kept = new Map<string, Place>()
  return (key) => {
    const known = kept.get(key)
    if (known !== undefined) return known
    const place = pickPlace(key, places)!
    if (kept.size >= 4096) kept.clear()
    kept.set(key, place)
    return place
  }
}
