/** The multipart body of a script upload: metadata and modules, as wrangler sends them. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { Complaint } from '../complaint.ts'
import type { Bundle, UploadModule } from './bundle.ts'
import type { Migration, WorkerConfig } from './config-schema.ts'

export type UploadBinding = { readonly name: string; readonly type: string } & Record<string, unknown>

const contentTypes: Record<UploadModule['type'], string> = {
  ESModule: 'application/javascript+module',
  CommonJS: 'application/javascript',
  CompiledWasm: 'application/wasm',
  Text: 'text/plain',
  Data: 'application/octet-stream',
  SourceMap: 'application/source-map',
}
const blobTypes: Partial<Record<UploadModule['type'], string>> = {
  CompiledWasm: 'wasm_module',
  Text: 'text_blob',
  Data: 'data_blob',
}

/** Bindings in upload form, `kv` giving the namespace of each KV binding. */
export function bindingsOf(config: WorkerConfig, kv: ReadonlyMap<string, string>): UploadBinding[] {
  const found: UploadBinding[] = []
  for (const [name, value] of Object.entries(config.vars ?? {})) {
    found.push(
      typeof value === 'string' ? { name, type: 'plain_text', text: value } : { name, type: 'json', json: value },
    )
  }
  for (const name of config.secrets?.required ?? []) found.push({ name, type: 'inherit' })
  for (const one of config.kv_namespaces ?? []) {
    found.push({ name: one.binding, type: 'kv_namespace', namespace_id: kv.get(one.binding) ?? one.id })
  }
  for (const { name, class_name, script_name } of config.durable_objects?.bindings ?? []) {
    found.push({
      name,
      type: 'durable_object_namespace',
      class_name,
      ...(script_name !== undefined && { script_name }),
    })
  }
  for (const { binding, ...service } of config.services ?? [])
    found.push({ name: binding, type: 'service', ...service })
  for (const { binding: name, queue, delivery_delay } of config.queues?.producers ?? [])
    found.push({ name, type: 'queue', queue_name: queue, ...(delivery_delay !== undefined && { delivery_delay }) })
  for (const { binding: name, dataset = name } of config.analytics_engine_datasets ?? [])
    found.push({ name, type: 'analytics_engine', dataset })
  if (config.version_metadata) found.push({ name: config.version_metadata.binding, type: 'version_metadata' })
  if (config.assets?.binding !== undefined) found.push({ name: config.assets.binding, type: 'assets' })
  const twice = found.find(({ name }, index) => found.findIndex((other) => other.name === name) !== index)
  if (twice) throw new Complaint(`The binding "${twice.name}" is there twice.`)
  return found
}

/** The steps after the tag that the platform has; nothing when it is up to date. */
export function migrationsAfter(
  migrations: readonly Migration[] | undefined,
  tag: string | undefined,
): { old_tag?: string; new_tag: string; steps: object[] } | undefined {
  const last = migrations?.at(-1)
  if (migrations === undefined || last === undefined || last.tag === tag) return undefined
  const at = tag === undefined ? -1 : migrations.findIndex((migration) => migration.tag === tag)
  if (tag !== undefined && at < 0) {
    throw new Complaint(`The deployed Worker is at migration "${tag}", which "migrations" does not hold.`)
  }
  const steps = migrations.slice(at + 1).map(({ tag: _, ...step }) => step)
  return { ...(tag !== undefined && { old_tag: tag }), new_tag: last.tag, steps }
}

/** Blobs named in the configuration of a service-worker script. */
function configBlobs(config: WorkerConfig, folder: string): Bundle['blobs'] {
  const kinds = [
    ['CompiledWasm', config.wasm_modules],
    ['Text', config.text_blobs],
    ['Data', config.data_blobs],
  ] as const
  return kinds.flatMap(([type, files]) =>
    Object.entries(files ?? {}).map(([name, path]) => ({
      name,
      module: { name, type, content: readFileSync(resolve(folder, path)) },
    })),
  )
}

export interface UploadParts {
  readonly config: WorkerConfig
  readonly folder: string
  readonly bundle: Bundle | undefined
  readonly bindings: readonly UploadBinding[]
  readonly migrations: ReturnType<typeof migrationsAfter>
  readonly assets: { readonly jwt: string; readonly headersFile?: string; readonly redirectsFile?: string } | undefined
  readonly message: string | undefined
}

function assetsMetadata(config: WorkerConfig, assets: NonNullable<UploadParts['assets']>): object {
  const { html_handling, not_found_handling, run_worker_first } = config.assets ?? {}
  return {
    jwt: assets.jwt,
    config: {
      html_handling,
      not_found_handling,
      run_worker_first,
      _redirects: assets.redirectsFile,
      _headers: assets.headersFile,
    },
  }
}

export function uploadForm(parts: UploadParts): FormData {
  const { config, bundle, assets } = parts
  const blobs = bundle?.format === 'service-worker' ? [...bundle.blobs, ...configBlobs(config, parts.folder)] : []
  const blobBindings = blobs.map(({ name, module }) => ({ name, type: blobTypes[module.type], part: name }))
  const metadata = {
    ...(bundle?.format === 'modules' && { main_module: bundle.main.name }),
    ...(bundle?.format === 'service-worker' && { body_part: bundle.main.name }),
    bindings: [...parts.bindings, ...blobBindings],
    compatibility_date: config.compatibility_date,
    compatibility_flags: config.compatibility_flags ?? [],
    migrations: parts.migrations,
    keep_bindings: [...(config.keep_vars ? ['plain_text', 'json'] : []), 'secret_text', 'secret_key'],
    logpush: config.logpush,
    placement: config.placement,
    tail_consumers: config.tail_consumers,
    limits: config.limits,
    assets: assets && assetsMetadata(config, assets),
    observability: config.observability,
    cache_options: config.cache,
    annotations: parts.message === undefined ? undefined : { 'workers/message': parts.message },
  }
  const form = new FormData()
  form.append('metadata', JSON.stringify(metadata))
  const append = (name: string, module: UploadModule, type: string): void =>
    form.append(name, new File([module.content as Uint8Array<ArrayBuffer>], name, { type }))
  if (bundle) {
    append(
      bundle.main.name,
      bundle.main,
      bundle.format === 'modules' ? contentTypes.ESModule : 'application/javascript',
    )
    for (const module of bundle.others) append(module.name, module, contentTypes[module.type])
    for (const { name, module } of blobs) append(name, module, contentTypes[module.type])
  }
  return form
}
