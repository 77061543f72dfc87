/** What bindings lead to, for whoever checks that it is there and where it may be. */
import type { ResourceKind } from './resources.ts'
import type { Binding } from './snapshot.ts'

export interface BoundResource {
  readonly kind: ResourceKind
  readonly id: string
  /** What people call it. */
  readonly called: string
}

/** The resource that a binding names by its id; `undefined` for bindings to anything else. */
export function boundResource(binding: Binding): BoundResource | undefined {
  switch (binding.kind) {
    case 'sql':
      return { kind: 'sql', id: binding.database, called: 'D1 database' }
    case 'bucket':
      return { kind: 'bucket', id: binding.bucket, called: 'R2 bucket' }
    case 'queue':
      return { kind: 'queue', id: binding.queue, called: 'Queue' }
    case 'dataset':
      return { kind: 'dataset', id: binding.dataset, called: 'Analytics Engine dataset' }
    case 'server':
      return { kind: 'server', id: binding.server, called: 'Hyperdrive config' }
    case 'certificate':
      return { kind: 'certificate', id: binding.certificate, called: 'mTLS certificate' }
    case 'dispatch':
      return { kind: 'dispatch', id: binding.namespace, called: 'Dispatch namespace' }
    default:
      return undefined
  }
}

/** Id of the store that a binding reads or writes, as placements know it. */
export function boundStore(binding: Binding): string | undefined {
  if (binding.kind === 'kv' || binding.kind === 'stored-secret') return binding.store
  return boundResource(binding)?.id
}
