/**
 * Which buckets every node has a copy of. A node reads these from its own disk, also while what is shared is out of
 * reach; what is not here is asked of the shared fabric each time, and refused while that is away.
 */

/** Bucket, and why it is copied. */
export const copiedBuckets: Readonly<Record<string, string>> = {
  platform: 'the id of the platform: a node never copies from another one',
  'control-log': 'changes of configuration, in order',
  'control-counters': 'revision of a platform from before changes were logged',
  programs: 'configuration that is served',
  'program-versions': 'versions that serve; others are some KiB each',
  sites: 'configuration that is served',
  services: 'configuration that is served',
  'service-tables': 'tables and lists that rules look into',
  'domain-rules': 'cache rules that are served',
  resources: 'databases, buckets, queues and the like that programs are bound to',
  placements: 'where sites, programs and stores may be',
  nodes: 'addresses of the other nodes, which are talked to also while this is away',
  'kv-namespaces': 'one document; a deploy asks whether a namespace exists',
  'item-stores': 'config stores, secrets (sealed) and access lists, read for each request',
  'placed-blobs': 'code, files and values of programs that stay in countries: with every node there, and nowhere else',
  'placed-keys': 'the key of what stays in countries; sealed',
  'egress-rules': 'asked for each fetch of a program',
  certificates: 'asked for each handshake; keys are sealed',
  'local-authority': 'signs certificates at the handshake; its key is sealed',
  acme: 'settings of the orders, read when the control plane starts',
  'asset-upload-keys': 'the key that signs uploads, read when the control plane starts; sealed',
  'acme-challenges': 'whichever node the authority asks must answer',
}

/** Bucket, and why it is not. A test holds both lists against the sources. */
export const sharedBuckets: Readonly<Record<string, string>> = {
  'service-versions': 'drafts: read when somebody edits or activates them, in their countries',
  'objects-to-forget': 'work of one node at a time',
  'placement-mark': 'the newest setting of residency: who writes what may be anywhere asks for it first',
  'object-homes': 'which node has a Durable Object: decided anew, never from a copy',
  'mesh-authority': 'signs certificates of nodes that join',
  invites: 'work once: compared and set where they lie',
  joins: 'work once',
  'asset-files': 'uploads in progress; their files are blobs',
  'kv-blobs': 'marks for the sweep of blobs',
  tails: 'who listens now; records expire within a minute',
  'tail-sessions': 'who listens now',
  schedules: 'which minute was told last: compared and set where it lies',
}

export function isCopied(bucket: string): boolean {
  return Object.hasOwn(copiedBuckets, bucket)
}
