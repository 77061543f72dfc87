/** Bindings as wrangler writes them in the metadata of an upload, and ours: both ways. */
import { z } from 'zod'
import type { BindingRequest } from '#/control/bindings.ts'
import type { VersionRecord } from '#/control/records.ts'
import { datasetName } from '#/core/datasets.ts'
import type { Resource, ResourceKind } from '#/core/resources.ts'
import type { BlobHash, ObjectNamespace } from '#/core/snapshot.ts'
import { noNamespace } from './dispatch-names.ts'
import { doorError } from './errors.ts'
import { noQueue } from './queue-errors.ts'
import { bucketNameOf, noBucketToBind, resourceNameOf } from './r2-names.ts'

const text = z.string()
const maybe = z.exactOptional(z.string())

/** As the vendor has it: workers-sdk, packages/workflows-shared/src/lib/validators.ts. */
export const workflowName = /^[a-zA-Z0-9_][a-zA-Z0-9-_]{0,63}$/

/** What we run. Fields beyond these are refused by name. */
const supported = {
  plain_text: z.strictObject({ text }),
  json: z.strictObject({ json: z.unknown() }),
  secret_text: z.strictObject({ text }),
  kv_namespace: z.strictObject({ namespace_id: text.min(1) }),
  r2_bucket: z.strictObject({
    bucket_name: text.min(1),
    jurisdiction: z.exactOptional(z.enum(['default', 'eu', 'fedramp'])),
  }),
  analytics_engine: z.strictObject({
    dataset: z.exactOptional(text.regex(datasetName, 'a dataset has a name of letters, digits, - and _')),
  }),
  queue: z.strictObject({ queue_name: text.min(1), delivery_delay: z.exactOptional(z.int().min(0).max(86_400)) }),
  service: z.strictObject({
    service: text.min(1),
    entrypoint: maybe,
    environment: z.exactOptional(z.literal('production')),
    props: z.exactOptional(z.record(z.string(), z.unknown())),
  }),
  durable_object_namespace: z.strictObject({
    class_name: text.min(1),
    script_name: maybe,
    environment: z.exactOptional(z.literal('production')),
  }),
  assets: z.strictObject({}),
  version_metadata: z.strictObject({}),
  wasm_module: z.strictObject({ part: text }),
  text_blob: z.strictObject({ part: text }),
  data_blob: z.strictObject({ part: text }),
  ratelimit: z.strictObject({
    namespace_id: text.min(1),
    simple: z.strictObject({ limit: z.int().positive(), period: z.union([z.literal(10), z.literal(60)]) }),
  }),
  secrets_store_secret: z.strictObject({ store_id: text.min(1), secret_name: text.min(1) }),
  hyperdrive: z.strictObject({ id: text.min(1) }),
  mtls_certificate: z.strictObject({ certificate_id: text.min(1) }),
  d1: z.strictObject({ id: text.min(1), internalEnv: maybe }),
  workflow: z.strictObject({
    workflow_name: text.regex(workflowName, 'a workflow has a name of letters, digits, - and _, 64 at most'),
    class_name: text.min(1),
    script_name: maybe,
  }),
  worker_loader: z.strictObject({}),
  dispatch_namespace: z.strictObject({
    namespace: text.min(1),
    outbound: z.exactOptional(
      z.strictObject({
        worker: z.strictObject({ service: text.min(1), environment: z.exactOptional(z.literal('production')) }),
        params: z.exactOptional(z.array(z.strictObject({ name: text.min(1) }))),
      }),
    ),
  }),
  inherit: z.strictObject({ old_name: maybe }),
}

type Supported = {
  [Type in keyof typeof supported]: { type: Type } & z.infer<(typeof supported)[Type]>
}[keyof typeof supported]

export interface BindingFinders {
  /** The blob of a part that a binding names; throws when there is none. */
  readonly part: (part: string) => BlobHash
  readonly resource: (kind: ResourceKind, name: string) => Resource | undefined
}

/** What may be read with `readBinding`. */
export const isSupportedType = (type: string) => Object.hasOwn(supported, type)

export function readBinding(raw: unknown, index: number, find: BindingFinders): BindingRequest {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw))
    throw doorError('badMetadata', `metadata.bindings[${index}] is not an object.`)
  const { name, type, ...rest } = raw as Record<string, unknown>
  if (typeof name !== 'string' || name === '')
    throw doorError('bindingWithoutName', `Binding at index ${index} must have a name.`)
  if (typeof type !== 'string') throw doorError('badMetadata', `Binding '${name}' has no type.`)
  const read = supported[type as keyof typeof supported].safeParse(rest)
  if (!read.success)
    throw doorError('invalidUpload', `binding ${name} of type ${type} is invalid: ${firstIssue(read.error)}`)
  return toRequest(name, { type, ...read.data } as Supported, find)
}

function toRequest(name: string, binding: Supported, find: BindingFinders): BindingRequest {
  switch (binding.type) {
    case 'plain_text':
      return { kind: 'text', name, text: binding.text }
    case 'json':
      return { kind: 'json', name, json: JSON.stringify(binding.json ?? null) }
    case 'secret_text':
      return { kind: 'secret', name, text: binding.text }
    case 'kv_namespace':
      return { kind: 'kv', name, store: binding.namespace_id }
    case 'r2_bucket': {
      const called = resourceNameOf(binding.bucket_name, binding.jurisdiction)
      const bucket = find.resource('bucket', called)
      if (bucket === undefined) throw noBucketToBind(binding.bucket_name)
      return { kind: 'bucket', name, bucket: bucket.id, called }
    }
    case 'queue': {
      const { queue_name: called, delivery_delay: delayS } = binding
      const queue = find.resource('queue', called)
      if (queue === undefined) throw noQueue(called)
      return { kind: 'queue', name, queue: queue.id, called, ...(delayS !== undefined && { delayS }) }
    }
    case 'analytics_engine': {
      const { dataset: called = name } = binding
      // `make-datasets.ts` makes those that are not there yet.
      return { kind: 'dataset', name, dataset: find.resource('dataset', called)?.id ?? '', called }
    }
    case 'service': {
      const { entrypoint, props } = binding
      return {
        kind: 'program',
        name,
        program: binding.service,
        ...(entrypoint !== undefined && entrypoint !== 'default' && { entrypoint }),
        ...(props !== undefined && { props: JSON.stringify(props) }),
      }
    }
    case 'durable_object_namespace': {
      const { class_name, script_name } = binding
      return {
        kind: 'objects',
        name,
        className: class_name,
        ...(script_name !== undefined && { program: script_name }),
      }
    }
    case 'assets':
      return { kind: 'assets', name }
    case 'version_metadata':
      return { kind: 'version', name }
    case 'wasm_module':
      return { kind: 'blob', name, type: 'wasm', blob: find.part(binding.part) }
    case 'text_blob':
      return { kind: 'blob', name, type: 'text', blob: find.part(binding.part) }
    case 'data_blob':
      return { kind: 'blob', name, type: 'data', blob: find.part(binding.part) }
    case 'ratelimit': {
      const { namespace_id: namespace, simple } = binding
      return { kind: 'rate-limit', name, namespace, limit: simple.limit, periodS: simple.period }
    }
    case 'secrets_store_secret':
      return { kind: 'stored-secret', name, store: binding.store_id, secret: binding.secret_name }
    case 'hyperdrive':
      return { kind: 'server', name, server: binding.id }
    case 'mtls_certificate':
      return { kind: 'certificate', name, certificate: binding.certificate_id }
    case 'd1':
      return { kind: 'sql', name, database: binding.id }
    case 'workflow': {
      const { workflow_name: workflow, class_name: className, script_name: program } = binding
      return { kind: 'workflow', name, workflow, className, ...(program !== undefined && { program }) }
    }
    case 'worker_loader':
      return { kind: 'loader', name }
    case 'dispatch_namespace': {
      const namespace = find.resource('dispatch', binding.namespace)
      if (namespace === undefined) throw noNamespace(binding.namespace)
      const { worker, params = [] } = binding.outbound ?? {}
      const outbound = worker && { program: worker.service, parameters: params.map((one) => one.name) }
      return { kind: 'dispatch', name, namespace: namespace.id, called: namespace.name, ...(outbound && { outbound }) }
    }
    case 'inherit':
      return { kind: 'inherit', name, ...(binding.old_name !== undefined && { from: binding.old_name }) }
  }
}

/** As the API shows it again: without the text of secrets. */
export function writeBinding(binding: VersionRecord['bindings'][number]): Record<string, unknown> {
  const { name } = binding
  switch (binding.kind) {
    case 'text':
      return { name, type: 'plain_text', text: binding.text }
    case 'json':
      return { name, type: 'json', json: JSON.parse(binding.json) }
    case 'secret':
      return { name, type: 'secret_text' }
    case 'held':
      // Its value is with nodes in its countries, which show it.
      return { name, type: ({ text: 'plain_text', json: 'json', secret: 'secret_text' } as const)[binding.as] }
    case 'kv':
      return { name, type: 'kv_namespace', namespace_id: binding.store }
    case 'queue': {
      const { called, delayS } = binding
      return { name, type: 'queue', queue_name: called, ...(delayS !== undefined && { delivery_delay: delayS }) }
    }
    case 'bucket':
      return { name, type: 'r2_bucket', ...bucketNameOf(binding.called) }
    case 'dataset':
      return { name, type: 'analytics_engine', dataset: binding.called }
    case 'program': {
      const { entrypoint, props } = binding
      const service = { name, type: 'service', service: binding.program, environment: 'production' }
      return { ...service, ...(entrypoint && { entrypoint }), ...(props && { props: JSON.parse(props) }) }
    }
    case 'objects':
      return {
        name,
        type: 'durable_object_namespace',
        class_name: binding.className,
        ...(binding.program !== undefined && { script_name: binding.program }),
      }
    case 'assets':
      return { name, type: 'assets' }
    case 'version':
      return { name, type: 'version_metadata' }
    case 'rate-limit': {
      const { namespace, limit, periodS: period } = binding
      return { name, type: 'ratelimit', namespace_id: namespace, simple: { limit, period } }
    }
    case 'stored-secret':
      return { name, type: 'secrets_store_secret', store_id: binding.store, secret_name: binding.secret }
    case 'server':
      return { name, type: 'hyperdrive', id: binding.server }
    case 'certificate':
      return { name, type: 'mtls_certificate', certificate_id: binding.certificate }
    case 'sql':
      return { name, type: 'd1', id: binding.database }
    case 'workflow': {
      const { workflow: workflow_name, className: class_name, program: script_name } = binding
      return { name, type: 'workflow', workflow_name, class_name, ...(script_name !== undefined && { script_name }) }
    }
    case 'loader':
      return { name, type: 'worker_loader' }
    case 'dispatch': {
      const { called: namespace, outbound } = binding
      const shown = { name, type: 'dispatch_namespace', namespace }
      if (outbound === undefined) return shown
      const worker = { service: outbound.program, environment: 'production' }
      return { ...shown, outbound: { worker, params: outbound.parameters.map((one) => ({ name: one })) } }
    }
    case 'blob':
      return {
        name,
        type: ({ wasm: 'wasm_module', text: 'text_blob', data: 'data_blob' } as const)[binding.type],
        part: name,
      }
  }
}

/** Our kind for each of the vendor's types that `keep_bindings` may name; the others cannot be kept. */
export const keptKinds: Record<string, BindingRequest['kind'] | undefined> = {
  plain_text: 'text',
  json: 'json',
  secret_text: 'secret',
  kv_namespace: 'kv',
  r2_bucket: 'bucket',
  queue: 'queue',
  analytics_engine: 'dataset',
  service: 'program',
  durable_object_namespace: 'objects',
  version_metadata: 'version',
  assets: 'assets',
  ratelimit: 'rate-limit',
  d1: 'sql',
  workflow: 'workflow',
  worker_loader: 'loader',
  dispatch_namespace: 'dispatch',
  hyperdrive: 'server',
  mtls_certificate: 'certificate',
  secrets_store_secret: 'stored-secret',
}

/** A path and a sentence, e.g. `text: Invalid input: expected string, received number`. */
export function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0]!
  const path = issue.path.map(String).join('.')
  return path === '' ? issue.message : `${path}: ${issue.message}`
}

/** Public id of a class's namespace; its key stays secret. */
export function namespaceId(object: ObjectNamespace, digest: (text: string) => string): string {
  return digest(`namespace ${object.key}`).slice(0, 32)
}
