/** A verdict on each key of wrangler's configuration. A pattern that ends with `**` is of a key and all below it; the longest has its way. */

/** `own`: wrangler acts on it by itself, and the platform never hears of it. */
export type KeyState = 'works' | 'works differently' | 'refused' | 'wrangler’s own'

export interface KeyRow {
  readonly keys: string
  readonly state: KeyState
  readonly note?: string
  /** A test that sets the keys; `unset`: wrangler itself does not take them; absent: `bindings-table.test.ts` sets them in a deploy. */
  readonly proof?: { readonly file: string; readonly title: string } | 'unset'
}

const works = (keys: string, note?: string): KeyRow => ({ keys, state: 'works', ...(note !== undefined && { note }) })
const differs = (keys: string, note: string): KeyRow => ({ keys, state: 'works differently', note })
const refused = (keys: string, note: string): KeyRow => ({ keys, state: 'refused', note })
const own = (keys: string, note?: string): KeyRow => ({
  ...{ keys, state: 'wrangler’s own' },
  ...(note !== undefined && { note }),
})
const unset = (keys: string, note: string): KeyRow => ({ ...own(keys, note), proof: 'unset' })
const elsewhere = (row: KeyRow, file: string, title: string): KeyRow => ({ ...row, proof: { file, title } })

const fetchInstead = (what: string) => `by name, at the deploy: fetch() the API of ${what}`

export const keyRows: readonly KeyRow[] = [
  works('name main compatibility_date compatibility_flags workers_dev define vars secrets.** keep_vars env'),
  works('routes routes[].** route.**', 'any host: its DNS is yours to point here'),
  differs('routes[].previews_enabled route.previews_enabled', 'only `false`: there are no addresses of versions'),
  differs('preview_urls', 'only `false`: there are no addresses of versions'),
  works('triggers triggers.crons limits.cpu_ms rules rules[].**'),
  works('limits'),
  refused('limits.subrequests', 'by name, at the deploy'),
  refused('triggers.events triggers.events[].**', 'by name, at the deploy: there are no repositories'),
  differs('upload_source_maps', 'taken and not used'),
  differs('placement placement.mode placement.hint', 'no effect: a program runs where its request arrives'),
  refused('placement.region placement.host placement.hostname', 'by name, at the deploy'),
  differs('observability.**', 'kept as a setting; requests are logged as the node’s configuration says'),
  works('assets.**'),
  works('cache.**', 'in front of the default export'),
  differs('logpush', 'only `false`: collect the log of the node'),
  works('wasm_modules text_blobs data_blobs', 'for service-worker syntax'),
  works('durable_objects.** migrations.**'),
  differs(
    'durable_objects.code_update_strategy.**',
    'no effect, which the deploy says: objects move to new code at once',
  ),
  works('exports exports.*.type exports.*.state exports.*.storage exports.*.renamed_to exports.*.cache.**'),
  refused('exports.*.container', 'by name, at the deploy: containers do not run here'),
  refused(
    'exports.*.transferred_to exports.*.transfer_from',
    'by name, at the deploy: use a `transferred_classes` migration',
  ),
  works(
    'exports.*.limits.** exports.*.concurrency.** exports.*.schedules exports.*.default_retention.** exports.*.jurisdiction exports.*.name',
    'of workflows',
  ),

  works('kv_namespaces kv_namespaces[].binding kv_namespaces[].id'),
  works('d1_databases d1_databases[].binding d1_databases[].database_name d1_databases[].database_id'),
  works('d1_databases[].database_internal_env'),
  elsewhere(
    works('d1_databases[].migrations_table d1_databases[].migrations_dir d1_databases[].migrations_pattern'),
    'd1.test.ts',
    'migrations are applied once, each whole or not at all',
  ),
  works('r2_buckets r2_buckets[].binding r2_buckets[].bucket_name'),
  elsewhere(
    works('r2_buckets[].jurisdiction d1_databases[].jurisdiction', 'of programs that stay there too'),
    'r2.test.ts',
    'a bucket with a class, a jurisdiction and a hint; what is not offered is refused by name',
  ),
  works('queues queues.producers queues.producers[].** queues.consumers queues.consumers[].**'),
  works(
    'workflows workflows[].binding workflows[].name workflows[].class_name workflows[].script_name workflows[].limits.**',
  ),
  works('workflows[].concurrency.** workflows[].schedules workflows[].default_retention.** workflows[].jurisdiction'),
  works('analytics_engine_datasets analytics_engine_datasets[].binding analytics_engine_datasets[].dataset'),
  works('site site.bucket site.include site.exclude', 'its files are kept in KV'),
  works('hyperdrive hyperdrive[].binding hyperdrive[].id'),
  works('services services[].binding services[].service services[].entrypoint services[].props'),
  works('version_metadata.** ratelimits.** worker_loaders.** secrets_store_secrets.**'),
  works('dispatch_namespaces dispatch_namespaces[].binding dispatch_namespaces[].namespace'),
  elsewhere(
    works('dispatch_namespaces[].outbound.**'),
    'dispatch.test.ts',
    'what a deploy cannot have is refused by name',
  ),
  works('tail_consumers tail_consumers[].service tail_consumers[].environment', 'the environment is `production`'),
  works('mtls_certificates mtls_certificates[].binding mtls_certificates[].certificate_id'),

  refused('ai.**', fetchInstead('a model service')),
  refused('ai_search.** ai_search_namespaces.**', fetchInstead('a search service')),
  refused('agent_memory.**', 'its API answers 404 and names the call: keep memories in D1 or Durable Objects'),
  refused('analytics.**', 'by name, at the deploy: datasets are asked over HTTP'),
  refused('artifacts.**', fetchInstead('a git service')),
  refused('browser.**', fetchInstead('a browser service')),
  refused('containers.**', 'by name, at the deploy: containers do not run here'),
  refused('flagship.**', fetchInstead('a flag service')),
  refused('images.**', fetchInstead('an image service')),
  refused('k2.**', 'by name, at the deploy: send to a queue'),
  refused('logfwdr.**', 'by name, at the deploy: collect the log of the node'),
  refused('media.**', fetchInstead('a media service')),
  refused('pipelines.**', 'by name, at the deploy: send to a queue, and write to R2 from its consumer'),
  refused('send_email.**', fetchInstead('a mail service')),
  refused('stream.**', fetchInstead('a video service')),
  refused('unsafe.**', 'by name, at the deploy'),
  refused('unsafe_hello_world.**', 'by name, at the deploy'),
  refused('vectorize.**', fetchInstead('a vector database')),
  refused(
    'vpc_services.** vpc_networks.**',
    'by name, at the deploy: fetch() and connect() reach what `rimward allow` says',
  ),
  refused('addresses', 'its API answers 404 and names the call: no mail comes in'),
  refused('streaming_tail_consumers.**', 'by name, at the deploy: use `tail_consumers`'),

  own('$schema find_additional_modules preserve_file_names base_dir tsconfig jsx_factory jsx_fragment'),
  own('build.** no_bundle minify keep_names alias python_modules.** dependencies_instrumentation.** send_metrics'),
  own('dev.** access.** connect.** compliance_region first_party_worker cloudchamber.**'),
  own('connect[].idle_timeout_ms connect[].max_pending_bytes', 'wrangler warns that it does not know them'),
  own('queues.producers[].delivery_delay', 'wrangler ignores it: use `wrangler queues update`'),
  unset(
    'queues.consumers[].visibility_timeout_ms',
    'wrangler has pull consumers by `wrangler queues consumer http add` only',
  ),
  own('pages_build_output_dir', 'of Pages: wrangler warns, and deploys a Worker'),
  unset('site.entry-point', 'wrangler refuses it: use `main`'),
  unset('dev.container_engine.**', 'wrangler takes a text here, whatever its schema says'),
  own('dev.container_engine'),
  own('account_id', 'the account of the platform'),
  own('previews.**', 'for `wrangler preview`, whose API is not here'),
  own('hyperdrive[].localConnectionString r2_buckets[].local_dev.**'),
  own('kv_namespaces[].preview_id d1_databases[].preview_database_id r2_buckets[].preview_bucket_name'),
  own(
    'analytics_engine_datasets[].remote kv_namespaces[].remote d1_databases[].remote r2_buckets[].remote queues.producers[].remote hyperdrive[].remote services[].remote',
    'for `wrangler dev`',
  ),
  own('mtls_certificates[].remote dispatch_namespaces[].remote', 'for `wrangler dev`'),
]

/** Whether a pattern of a row is of this key, and how much of it it says. */
function fits(pattern: string, key: string): number {
  if (pattern === key) return key.length + 1
  if (!pattern.endsWith('.**')) return 0
  const start = pattern.slice(0, -3)
  const below = key === start || key.startsWith(`${start}.`) || key.startsWith(`${start}[]`)
  return below ? start.length : 0
}

/** The row that says most of a key. */
export function rowOf(key: string, rows: readonly KeyRow[] = keyRows): KeyRow | undefined {
  let best: { readonly row: KeyRow; readonly fit: number } | undefined
  for (const row of rows)
    for (const pattern of row.keys.split(' ')) {
      const fit = fits(pattern, key)
      if (fit > (best?.fit ?? 0)) best = { row, fit }
    }
  return best?.row
}

/** The key above this one that its row refuses with all below it, or the key itself. */
export function refusedAs(key: string, row: KeyRow): string {
  const whole = row.keys.split(' ').find((pattern) => pattern.endsWith('.**') && fits(pattern, key) > 0)
  return whole?.slice(0, -3) ?? key
}

/** Patterns that no key has. */
export function idlePatterns(keys: ReadonlySet<string>, rows: readonly KeyRow[] = keyRows): string[] {
  const patterns = rows.flatMap((row) => row.keys.split(' '))
  return patterns.filter((pattern) => ![...keys].some((key) => fits(pattern, key) > 0))
}
