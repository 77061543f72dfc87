/** `wrangler.json(c)` and `wrangler.toml` as far as `rimward deploy` carries them out; every other key is refused by name. */
import { z } from 'zod'

const binding = z.string().regex(/^[A-Za-z_$][\w$]*$/, 'must be a JavaScript identifier')
const route = z.union([
  z.string(),
  z.strictObject({
    pattern: z.string(),
    zone_name: z.string().optional(),
    zone_id: z.string().optional(),
    custom_domain: z.boolean().optional(),
  }),
])
export type Route = z.infer<typeof route>

export const moduleTypes = ['ESModule', 'CommonJS', 'CompiledWasm', 'Text', 'Data'] as const
export type ModuleType = (typeof moduleTypes)[number]

const rule = z.strictObject({
  type: z.enum(moduleTypes),
  globs: z.array(z.string()),
  fallthrough: z.boolean().optional(),
})
export type Rule = z.infer<typeof rule>

const migration = z.strictObject({
  tag: z.string(),
  new_classes: z.array(z.string()).optional(),
  new_sqlite_classes: z.array(z.string()).optional(),
  renamed_classes: z.array(z.strictObject({ from: z.string(), to: z.string() })).optional(),
  deleted_classes: z.array(z.string()).optional(),
  transferred_classes: z
    .array(z.strictObject({ from: z.string(), from_script: z.string(), to: z.string() }))
    .optional(),
})
export type Migration = z.infer<typeof migration>

/** A named environment takes these from the top level where it has none of its own. */
const inherited = {
  name: z.string().optional(),
  main: z.string().optional(),
  compatibility_date: z.string().optional(),
  compatibility_flags: z.array(z.string()).optional(),
  find_additional_modules: z.boolean().optional(),
  preserve_file_names: z.boolean().optional(),
  base_dir: z.string().optional(),
  workers_dev: z.boolean().optional(),
  preview_urls: z.boolean().optional(),
  route: route.optional(),
  routes: z.array(route).optional(),
  tsconfig: z.string().optional(),
  jsx_factory: z.string().optional(),
  jsx_fragment: z.string().optional(),
  migrations: z.array(migration).optional(),
  limits: z.strictObject({ cpu_ms: z.number().optional() }).optional(),
  rules: z.array(rule).optional(),
  build: z
    .strictObject({
      command: z.string().optional(),
      cwd: z.string().optional(),
      watch_dir: z.union([z.string(), z.array(z.string())]).optional(),
    })
    .optional(),
  no_bundle: z.boolean().optional(),
  minify: z.boolean().optional(),
  keep_names: z.boolean().optional(),
  logpush: z.boolean().optional(),
  upload_source_maps: z.boolean().optional(),
  placement: z.looseObject({}).optional(),
  observability: z.looseObject({}).optional(),
  cache: z.strictObject({ enabled: z.boolean(), cross_version_cache: z.boolean().optional() }).optional(),
  assets: z
    .strictObject({
      directory: z.string(),
      binding: binding.optional(),
      html_handling: z.string().optional(),
      not_found_handling: z.string().optional(),
      run_worker_first: z.union([z.boolean(), z.array(z.string())]).optional(),
    })
    .optional(),
  alias: z.record(z.string(), z.string()).optional(),
  triggers: z.strictObject({ crons: z.array(z.string()).optional() }).optional(),
  account_id: z.string().optional(),
}

/** These belong to one environment only. */
const own = {
  define: z.record(z.string(), z.string()).optional(),
  vars: z.record(z.string(), z.json()).optional(),
  secrets: z.strictObject({ required: z.array(z.string()).optional() }).optional(),
  kv_namespaces: z
    .array(
      z.strictObject({
        binding,
        id: z.string().optional(),
        preview_id: z.string().optional(),
        remote: z.boolean().optional(),
      }),
    )
    .optional(),
  services: z
    .array(
      z.strictObject({
        binding,
        service: z.string(),
        entrypoint: z.string().optional(),
        props: z.record(z.string(), z.json()).optional(),
      }),
    )
    .optional(),
  durable_objects: z
    .strictObject({
      bindings: z.array(z.strictObject({ name: binding, class_name: z.string(), script_name: z.string().optional() })),
    })
    .optional(),
  queues: z
    .strictObject({
      producers: z
        .array(
          z.strictObject({
            binding,
            queue: z.string(),
            delivery_delay: z.number().optional(),
            remote: z.boolean().optional(),
          }),
        )
        .optional(),
      consumers: z
        .array(
          z.strictObject({
            queue: z.string(),
            type: z.literal('worker').optional(),
            max_batch_size: z.number().optional(),
            max_batch_timeout: z.number().optional(),
            max_retries: z.number().optional(),
            dead_letter_queue: z.string().optional(),
            max_concurrency: z.number().nullable().optional(),
            retry_delay: z.number().optional(),
          }),
        )
        .optional(),
    })
    .optional(),
  analytics_engine_datasets: z.array(z.strictObject({ binding, dataset: z.string().optional() })).optional(),
  version_metadata: z.strictObject({ binding }).optional(),
  tail_consumers: z.array(z.strictObject({ service: z.string() })).optional(),
}
export const ownKeys = Object.keys(own) as (keyof typeof own)[]

/** Settings of local tools that a deploy has no use for. */
const toolsOnly = {
  $schema: z.string().optional(),
  send_metrics: z.boolean().optional(),
  dev: z.looseObject({}).optional(),
  configPath: z.string().optional(),
  userConfigPath: z.string().optional(),
  topLevelName: z.string().optional(),
  definedEnvironments: z.array(z.string()).optional(),
  python_modules: z.looseObject({}).optional(),
}

/** Read once for all environments. */
const shared = {
  keep_vars: z.boolean().optional(),
  wasm_modules: z.record(binding, z.string()).optional(),
  text_blobs: z.record(binding, z.string()).optional(),
  data_blobs: z.record(binding, z.string()).optional(),
}

export const environmentSchema = z.strictObject({ ...inherited, ...own })
export const configSchema = z.strictObject({
  ...toolsOnly,
  ...shared,
  ...inherited,
  ...own,
  env: z.record(z.string(), environmentSchema).optional(),
})
export type RawConfig = z.infer<typeof configSchema>
export type WorkerConfig = Omit<RawConfig, 'env' | 'name' | 'route' | 'routes'> & {
  readonly name: string
  readonly routes: readonly Route[]
}
