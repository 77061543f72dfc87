/** Configurations that the real wrangler deploys or is refused, each with as many keys as go together. */

export interface Project {
  readonly name: string
  readonly config: Readonly<Record<string, unknown>>
  readonly files: Readonly<Record<string, string>>
  readonly arguments?: readonly string[]
}

const date = '2026-11-01'
const fetchOnly = (word: string) => `export default { fetch: () => new Response('${word}') }`
const $schema = 'node_modules/wrangler/config-schema.json'

/** Keys of a module Worker, at the top and in an environment of it. */
const environment = {
  name: 'keys-of-staging',
  main: 'src/index.ts',
  compatibility_date: date,
  compatibility_flags: ['nodejs_compat'],
  find_additional_modules: true,
  preserve_file_names: true,
  base_dir: 'src',
  workers_dev: true,
  preview_urls: false,
  routes: [
    { pattern: 'keys.example/*', zone_name: 'keys.example' },
    { pattern: 'zone.example/*', zone_id: '11111111111111111111111111111111' },
    { pattern: 'domain.example', custom_domain: true, enabled: true, previews_enabled: false },
  ],
  tsconfig: 'tsconfig.json',
  jsx_factory: 'make',
  jsx_fragment: 'Part',
  triggers: { crons: ['0 4 * * *'] },
  limits: { cpu_ms: 1000 },
  rules: [{ type: 'Text', globs: ['**/*.words'], fallthrough: true }],
  build: { command: 'touch built', cwd: '.', watch_dir: 'src' },
  minify: false,
  keep_names: true,
  first_party_worker: false,
  upload_source_maps: true,
  placement: { mode: 'smart', hint: 'weur' },
  assets: {
    ...{ directory: 'public', binding: 'ASSETS', html_handling: 'auto-trailing-slash' },
    ...{ not_found_handling: '404-page', run_worker_first: ['/'] },
  },
  observability: {
    ...{ enabled: true, head_sampling_rate: 0.5, redact_query_string: true, issues: { enabled: true } },
    logs: { enabled: true, head_sampling_rate: 1, invocation_logs: true, persist: false, destinations: ['logs'] },
    traces: { enabled: true, head_sampling_rate: 1, persist: true, destinations: ['traces'] },
  },
  access: { dev: { aud: 'audience', identity: { email: 'ann@example.com' } } },
  cache: { enabled: true, cross_version_cache: true },
  python_modules: { exclude: ['**/*.pyc'] },
  logpush: false,
  define: { WORD: '"defined"' },
  vars: { PLAIN: 'text', NESTED: { a: [1] } },
  secrets: { required: ['TOKEN'] },
  cloudchamber: { image: 'image', location: 'eu', vcpu: 1, memory: '1GiB', ipv4: false },
  connect: [{ protocol: 'tcp', port: 7000, address: '127.0.0.1', idle_timeout_ms: 1000, max_pending_bytes: 1000 }],
}

export const staging: Project = {
  name: 'keys-of-staging',
  arguments: ['--env', 'staging', '--secrets-file', 'secrets.json'],
  files: {
    'src/index.ts': `import words from './more.words'
const make = (name: string) => name
const Part = 'part'
export default { fetch: (request: Request, env: { PLAIN: string }) => new Response([WORD, words.trim(), env.PLAIN, make(Part)].join(' ')) }
declare const WORD: string`,
    'secrets.json': '{ "TOKEN": "secret" }',
    'src/more.words': 'words of a module',
    'tsconfig.json': '{ "compilerOptions": { "target": "esnext" } }',
    'public/404.html': 'nothing here',
  },
  config: {
    $schema,
    name: 'keys',
    main: 'src/index.ts',
    env: { staging: environment },
    send_metrics: false,
    dependencies_instrumentation: { enabled: true, exclude_packages: ['lodash'] },
    dev: {
      ...{ ip: '127.0.0.1', port: 8787, inspector_port: 9229, inspector_ip: '127.0.0.1', local_protocol: 'http' },
      ...{ upstream_protocol: 'http', host: 'example.com', enable_containers: false, generate_types: false },
      container_engine: 'unix:///run/docker.sock',
    },
    alias: { left: './src/index.ts' },
    keep_vars: true,
    previews: { vars: { PLAIN: 'of a preview' } },
    compliance_region: 'public',
  },
}

/** One `route`, and a bundle that wrangler leaves as it is. */
export const unbundled: Project = {
  name: 'keys-unbundled',
  files: { 'index.js': fetchOnly('as it is'), 'public/page.html': 'a page' },
  config: {
    ...{ name: 'keys-unbundled', main: 'index.js', compatibility_date: date, no_bundle: true },
    cloudchamber: { instance_type: 'lite' },
    assets: { directory: 'public', base_path: '/docs' },
    route: { pattern: 'route.example', custom_domain: true, enabled: true, previews_enabled: false },
  },
}

export const script: Project = {
  name: 'keys-script',
  files: {
    'index.js': `addEventListener('fetch', (event) => event.respondWith(new Response(TEXT + DATA.byteLength + (ADD instanceof WebAssembly.Module))))`,
    'add.wasm': '\0asm\x01\0\0\0',
    'text.txt': 'text',
    'data.bin': 'four',
  },
  config: {
    ...{ name: 'keys-script', main: 'index.js', compatibility_date: date, workers_dev: true },
    route: { pattern: 'script.example/*', zone_id: '11111111111111111111111111111111' },
    ...{ wasm_modules: { ADD: 'add.wasm' }, text_blobs: { TEXT: 'text.txt' }, data_blobs: { DATA: 'data.bin' } },
  },
}

/** Both were replaced: Workers Sites by assets, Pages by Workers with assets. */
export const former: Project = {
  name: 'keys-former',
  files: { 'index.js': fetchOnly('former'), 'public/page.txt': 'a page' },
  config: {
    ...{ name: 'keys-former', main: 'index.js', compatibility_date: date, pages_build_output_dir: 'public' },
    ...{ workers_dev: true, route: { pattern: 'former.example/*', zone_name: 'former.example' } },
    site: { bucket: 'public', include: ['*.txt'], exclude: ['*.bin'] },
  },
}

const objectClasses = (...names: string[]) =>
  `import { DurableObject } from 'cloudflare:workers'
${names.map((name) => `export class ${name} extends DurableObject {}`).join('\n')}
${fetchOnly('objects')}`

export const migrated: readonly [Project, Project] = [
  {
    name: 'keys-giver',
    files: { 'index.js': objectClasses('Moved') },
    config: {
      ...{ name: 'keys-giver', main: 'index.js', compatibility_date: date },
      migrations: [{ tag: 'v1', new_sqlite_classes: ['Moved'] }],
    },
  },
  {
    name: 'keys-objects',
    files: { 'index.js': objectClasses('Kept', 'Renamed', 'Taken') },
    config: {
      ...{ name: 'keys-objects', main: 'index.js', compatibility_date: date },
      durable_objects: {
        bindings: [
          { name: 'KEPT', class_name: 'Kept' },
          { name: 'OTHER', class_name: 'Probe', script_name: 'exerciser', environment: 'production' },
        ],
        code_update_strategy: { mode: 'deferred', max_delay: 10 },
      },
      migrations: [
        { tag: 'v1', new_classes: ['Kept'], new_sqlite_classes: ['Before', 'Gone'] },
        { tag: 'v2', renamed_classes: [{ from: 'Before', to: 'Renamed' }], deleted_classes: ['Gone'] },
        { tag: 'v3', transferred_classes: [{ from: 'Moved', from_script: 'keys-giver', to: 'Taken' }] },
      ],
    },
  },
]

/** The same classes as `exports` of two deploys. */
export const declared: readonly [Project, Project] = [
  {
    name: 'keys-exports',
    files: { 'index.js': objectClasses('First', 'Second') },
    config: {
      ...{ name: 'keys-exports', main: 'index.js', compatibility_date: date },
      exports: {
        default: { type: 'worker', cache: { enabled: true } },
        First: { type: 'durable-object', state: 'created', storage: 'sqlite' },
        Second: { type: 'durable-object', storage: 'sqlite' },
      },
    },
  },
  {
    name: 'keys-exports',
    files: { 'index.js': objectClasses('Third') },
    config: {
      ...{ name: 'keys-exports', main: 'index.js', compatibility_date: date },
      exports: {
        First: { type: 'durable-object', state: 'renamed', renamed_to: 'Third' },
        Second: { type: 'durable-object', state: 'deleted' },
        Third: { type: 'durable-object', storage: 'sqlite' },
      },
    },
  },
]

const flowSettings = {
  ...{ limits: { steps: 5 }, concurrency: { limit: 3 }, jurisdiction: 'eu' },
  default_retention: { success_retention: '1 day', error_retention: 1000 },
}

/** Workflows, bound and as `exports`. */
export const flows: Project = {
  name: 'keys-flows',
  files: {
    'index.js': `import { WorkflowEntrypoint } from 'cloudflare:workers'
export class Bound extends WorkflowEntrypoint { run() {} }
export class Declared extends WorkflowEntrypoint { run() {} }
${fetchOnly('flows')}`,
  },
  config: {
    ...{ name: 'keys-flows', main: 'index.js', compatibility_date: date },
    workflows: [{ binding: 'FLOW', name: 'bound', class_name: 'Bound', schedules: ['0 0 * * *'], ...flowSettings }],
    exports: { Declared: { type: 'workflow', name: 'declared', schedules: '0 0 * * *', ...flowSettings } },
  },
}

/** Around what is refused. */
export const refusedBase = { main: 'index.js', compatibility_date: date }
export const refusedFiles = {
  'index.js': `import { DurableObject, WorkflowEntrypoint } from 'cloudflare:workers'
export class Held extends DurableObject {}
export class Flow extends WorkflowEntrypoint { run() {} }
${fetchOnly('no')}`,
}

export interface Refused {
  readonly config: Readonly<Record<string, unknown>>
  /** What wrangler says of it: names the key or what it needs. */
  readonly says: readonly RegExp[]
}

const named = (words: readonly string[]) => words.map((word) => new RegExp(`type '${word}', which Rimward does not`))

/** Kinds of bindings that are not here, all in one deploy. */
export const refusedKindsAtOnce: Refused = {
  config: {
    ai: { binding: 'AI', staging: false, remote: false },
    vectorize: [{ binding: 'VECTORS', index_name: 'v', remote: false }],
    browser: { binding: 'BROWSER', remote: false },
    images: { binding: 'IMAGES', remote: false },
    media: { binding: 'MEDIA', remote: true },
    stream: { binding: 'STREAM', remote: false },
    send_email: [
      { name: 'MAIL', destination_address: 'ann@example.com', remote: false },
      { name: 'MAILS', allowed_destination_addresses: ['a@example.com'], allowed_sender_addresses: ['b@example.com'] },
    ],
    pipelines: [
      { binding: 'PIPELINE', pipeline: 'p', remote: false },
      { binding: 'PIPED', stream: 'p' },
    ],
    k2: [{ binding: 'K2', stream: 'k', remote: true }],
    vpc_services: [{ binding: 'SERVICE', service_id: 's', remote: true }],
    vpc_networks: [
      { binding: 'NETWORK', tunnel_id: 't', remote: true },
      { binding: 'OTHER_NETWORK', network_id: 'n' },
    ],
    ai_search: [{ binding: 'SEARCH', instance_name: 'a', remote: true }],
    artifacts: [{ binding: 'ARTIFACTS', namespace: 'a', remote: true }],
    flagship: [{ binding: 'FLAGS', app_id: 'a', remote: true }],
    analytics: { binding: 'ANALYTICS', remote: true },
    unsafe_hello_world: [{ binding: 'HELLO', enable_timer: false }],
    unsafe: { bindings: [{ name: 'ODD', type: 'odd', dev: { plugin: { package: 'p', name: 'n' }, options: {} } }] },
    logfwdr: { bindings: [{ name: 'FORWARD', destination: 'd' }] },
  },
  says: named([
    ...['ai', 'vectorize', 'browser', 'images', 'media', 'stream', 'send_email', 'pipelines', 'k2', 'vpc_service'],
    ...['vpc_network', 'ai_search', 'artifacts', 'flagship', 'analytics', 'unsafe_hello_world', 'logfwdr', 'odd'],
  ]),
}

/** What is refused by the platform, or by an API call that is not here, one deploy each. */
export const refusedAlone: readonly Refused[] = [
  {
    config: {
      limits: { subrequests: 10 },
      placement: { region: 'aws:us-east-1' },
      streaming_tail_consumers: [{ service: 'watcher' }],
      unsafe: { metadata: { odd: 1 }, capnp: { compiled_schema: 'index.js' } },
    },
    says: [
      /metadata\.limits/,
      /metadata\.placement/,
      /metadata\.streaming_tail_consumers/,
      /metadata\.odd/,
      /metadata\.capnp_schema/,
    ],
  },
  { config: { placement: { host: 'a.example:5432' } }, says: [/metadata\.placement/] },
  { config: { placement: { hostname: 'a.example' } }, says: [/metadata\.placement/] },
  {
    config: { agent_memory: [{ binding: 'MEMORY', namespace: 'a', remote: true }] },
    says: [/agent-memory\/namespaces/],
  },
  {
    config: { ai_search_namespaces: [{ binding: 'SEARCHES', namespace: 'a', remote: true }] },
    says: [/ai-search\/namespaces/],
  },
  { config: { addresses: ['a@example.com'] }, says: [/email\/routing/] },
  {
    config: {
      triggers: {
        events: [
          {
            ...{ type: 'cf.artifacts.repo.created', filter: { namespace: 'n', repo_name: 'r' } },
            targets: [{ type: 'workflow', workflow_name: 'w' }],
          },
        ],
      },
    },
    says: [/targets Workflow "w"/],
  },
  {
    config: { exports: { Held: { type: 'durable-object', state: 'transferred', transferred_to: 'other' } } },
    says: [/transferred_classes/],
  },
  {
    config: {
      exports: {
        Held: { type: 'durable-object', state: 'expecting-transfer', transfer_from: 'other', storage: 'sqlite' },
      },
    },
    says: [/transferred_classes/],
  },
  {
    config: {
      containers: [
        {
          ...{ name: 'held', image: 'registry.example/image:1', max_instances: 1 },
          ...{ instance_type: 'lite', rollout_step_percentage: 100, rollout_active_grace_period: 1 },
        },
      ],
      exports: { Held: { type: 'durable-object', storage: 'sqlite', container: 'held' } },
    },
    says: [/containers do not run here/],
  },
]
