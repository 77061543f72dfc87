/**
 * Resources: what programs are bound to that has a name and a life of its own, such as databases, buckets and queues. The
 * control plane keeps one record of each; what they hold lies at their homes (`homed-stores.ts`).
 */
import type { Within } from './pops.ts'
import type { BlobHash, Snapshot } from './snapshot.ts'
import type { EpochMs } from './units.ts'

/**
 * `sql`: a database (D1). `bucket`: objects (R2). `queue`, `workflow`: the vendor's own words. `dispatch`: a namespace of
 * programs that others dispatch to. `server`: a database elsewhere that programs connect to (Hyperdrive). `certificate`: a
 * client certificate for `fetch()`. `vault`: secrets that several programs share (Secrets Store). `dataset`: data points
 * (Analytics Engine).
 */
export const resourceKinds = [
  'sql',
  'bucket',
  'queue',
  'workflow',
  'dispatch',
  'server',
  'certificate',
  'vault',
  'dataset',
] as const
export type ResourceKind = (typeof resourceKinds)[number]

/** Their settings hold secrets, sealed: who stays in countries has them in a blob there. */
export const secretKinds = ['server', 'certificate'] as const satisfies readonly ResourceKind[]
export type SecretKind = (typeof secretKinds)[number]
export const isSecretKind = (kind: string): kind is SecretKind => (secretKinds as readonly string[]).includes(kind)

export interface Resource {
  readonly kind: ResourceKind
  /** Unique on the platform, never used again: letters, digits and `-`. */
  readonly id: string
  /** Unique among those of its kind. */
  readonly name: string
  readonly createdAt: EpochMs
  readonly modifiedAt: EpochMs
  /** What is set for it, as JSON holds it; each kind says what may stand there. Nothing secret in clear. */
  readonly settings: Readonly<Record<string, unknown>>
  /** Region near which it should live, as `weur`; counts at its first use only. */
  readonly hint?: string
  /** The blob with its settings, where they stay in countries and this node may not have them: then these are empty. */
  readonly held?: BlobHash
  /** Of those with secrets, in a Snapshot: countries whose nodes have the settings. */
  readonly within?: Within
}

/** Key in `Snapshot.resources`. */
export const resourceKey = (kind: ResourceKind, id: string): string => `${kind}/${id}`

export function resourceOf(
  snapshot: Pick<Snapshot, 'resources'>,
  kind: ResourceKind,
  id: string,
): Resource | undefined {
  return snapshot.resources?.get(resourceKey(kind, id))
}
