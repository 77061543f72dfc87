/**
 * What `docs/compatibility.md` says, a row each, with the proof that the compatibility test runs for it.
 * `npm run docs` writes the page from these rows; a row whose proof fails cannot stay.
 */
import { configurationSection, typesSection } from '../bindings-table/page.ts'
import { abiSection } from './abi-rows.ts'
import { computeArea } from './compute-rows.ts'
import { d1Commands, d1Rows } from './d1-rows.ts'
import { datasetBinding } from './dataset-rows.ts'
import { queueBinding, queueCommands } from './queue-rows.ts'
import { r2Binding, r2Commands } from './r2-rows.ts'
import { workflowBinding, workflowCommands } from './workflow-rows.ts'

export type State = 'works' | 'works differently' | 'refused'

export type Proof =
  /** A check of `test/compatibility/worker`, asked in a shared cell and in a cell of its own. */
  | { readonly check: string; readonly cells?: 'own' }
  /** Configuration added to a small Worker; the deployment is refused and the output says this. */
  | { readonly config: Record<string, unknown>; readonly says: RegExp; readonly uploaded?: true }
  /** A wrangler command in the Worker's folder, in the order of the rows; the output says this. */
  | { readonly wrangler: readonly string[]; readonly says: RegExp; readonly input?: string; readonly fails?: true }
  /** A test of this title in another file of `test/`, which runs by itself. */
  | { readonly file: string; readonly title: string }
  /** A story of its own: a named function in the compatibility test. */
  | { readonly story: string }

export interface Row {
  readonly feature: string
  readonly state: State
  readonly note?: string
  readonly proof: Proof
}

export interface Area {
  readonly title: string
  readonly rows: readonly Row[]
}

const works = (feature: string, proof: Proof, note?: string): Row => ({
  feature,
  state: 'works',
  proof,
  ...(note === undefined ? {} : { note }),
})
const differs = (feature: string, note: string, proof: Proof): Row => ({
  feature,
  state: 'works differently',
  note,
  proof,
})
const refused = (feature: string, note: string, proof: Proof): Row => ({ feature, state: 'refused', note, proof })

const modules: Area = {
  title: 'Programs and modules',
  rows: [
    works('Module syntax, `export default { fetch }`', { check: 'vars' }),
    works(
      'Service-worker syntax (`addEventListener`)',
      { story: 'service-worker syntax' },
      'runs in a cell of its own',
    ),
    works('Text, data and Wasm bindings of service-worker syntax, KV', { story: 'service-worker bindings' }),
    works('Text modules', { check: 'modules-text' }),
    works('Data modules', { check: 'modules-data' }),
    works('JSON modules', { check: 'modules-json' }),
    works('Wasm modules', { check: 'modules-wasm' }),
    works('CommonJS modules', { check: 'modules-commonjs' }),
    works('`nodejs_compat`', { check: 'node-compat' }),
    refused('Python', 'no Python runtime: write the Worker in JavaScript or TypeScript', {
      story: 'python is refused',
    }),
  ],
}

const runtime: Area = {
  title: 'Runtime',
  rows: [
    works('Streaming requests and responses', { story: 'streams pass as they come' }),
    works('WebSockets to the client (`WebSocketPair`)', { story: 'websocket to the client' }),
    works('`ctx.waitUntil`', { story: 'waitUntil outlives the answer' }),
    works(
      '`ctx.passThroughOnException`',
      { story: 'passThroughOnException' },
      'to the site of the same host, if there is one',
    ),
    works('`request.cf`, `CF-Connecting-IP`, `CF-Ray`, `CF-IPCountry`, `CF-Visitor`', { story: 'request facts' }),
    works('Uncaught exception: error 1101', { story: 'error 1101' }),
    works('Endless loop: error 1102', { story: 'error 1102' }),
    works('`fetch()` of another program of the platform: error 1042', { check: 'fetch-own-platform' }),
    differs(
      '`fetch()` of private addresses',
      'refused with 403 after name resolution, until `rimward allow NAME DESTINATION`',
      { check: 'fetch-refuses-loopback' },
    ),
    works('`import { env, waitUntil } from "cloudflare:workers"`', { check: 'env-import' }),
    works('Streams, `CompressionStream`', { check: 'streams' }),
    works('`HTMLRewriter`', { check: 'html-rewriter' }),
    works('WebCrypto', { check: 'web-crypto' }),
    works('`URLPattern`, `structuredClone`, `EventTarget`, `AbortSignal`', { check: 'web-standards' }),
    differs('`scheduler.wait`, timers, `Date.now()`', 'clocks run on while code runs (Cloudflare freezes them)', {
      check: 'timers',
    }),
    works('Cache API: `caches.default`, `caches.open`', { check: 'cache-api' }),
    works('Cache API: freshness, ranges, conditions, what `put` refuses', { check: 'cache-api-rules' }),
    differs(
      '`fetch(url, { cf })`: `cacheTtl`, `cacheEverything`, `cacheKey`, `cacheTags`, `cacheTtlByStatus`',
      'without them only the freshness counts that an answer states, whatever the file is called',
      { check: 'fetch-cf-cache' },
    ),
    refused('`fetch(url, { cf })`: `image`, `resolveOverride`, `vary`, `cacheControl`', 'answered with 400 by name', {
      check: 'fetch-cf-refused',
    }),
    differs(
      '`fetch(url, { cf })`: `minify`, `mirage`, `polish`, `apps`, `scrapeShield` and other hints',
      'ignored, as at Cloudflare where they do not apply',
      { check: 'fetch-cf-hints' },
    ),
    differs(
      'Workers Cache: `cache.enabled`, `cross_version_cache`, `ctx.cache.purge()`',
      'in front of the default export; service bindings and `ctx.exports` go past it',
      { story: 'cache in front' },
    ),
    refused('Workers Cache for a named entrypoint', 'by name, at deploy', {
      config: { cache: { enabled: true }, exports: { Api: { type: 'worker', cache: { enabled: true } } } },
      says: /default export only/,
    }),
    refused('`import { cache } from "cloudflare:workers"`', 'by name, at deploy: use `ctx.cache`', {
      story: 'cache import is refused',
    }),
    differs('`import { EmailMessage } from "cloudflare:email"`', 'can be imported and made; nothing sends it', {
      story: 'email import',
    }),
    differs(
      '`connect()` (TCP sockets)',
      'under the rules for `fetch()`; TLS (`secureTransport`, `startTls`) is refused by the runtime',
      {
        file: 'sockets.test.ts',
        title: 'connect() speaks TCP, and either side may be done first',
      },
    ),
  ],
}

const bindings: Area = {
  title: 'Bindings',
  rows: [
    works('Variables', { check: 'vars' }),
    works('JSON variables', { check: 'vars-json' }),
    works('Secrets, encrypted at rest', { check: 'secret' }),
    works('KV: `get`, `put` of text', { check: 'kv-text' }),
    works('KV: `json`, `arrayBuffer`, `stream`', { check: 'kv-types' }),
    works('KV: metadata', { check: 'kv-metadata' }),
    works('KV: `expirationTtl`, `expiration`', { check: 'kv-expiration' }),
    works('KV: `list` with prefix and cursors', { check: 'kv-list' }),
    works('KV: bulk `get`', { check: 'kv-bulk-get' }),
    works('KV: values of 25 MiB', { story: 'large values' }),
    works('KV: `delete`', { check: 'kv-delete' }),
    works('KV: limits and their error texts', { check: 'kv-limits' }),
    works('Service bindings: `fetch`', { check: 'service-fetch' }),
    works('Service bindings: RPC, stubs, callbacks, streams', { check: 'service-rpc' }),
    works('Service bindings: named entrypoints', { check: 'service-entrypoint' }),
    works('Service bindings: `props`', { check: 'service-props' }),
    works('Assets: `env.ASSETS.fetch`', { check: 'assets-binding' }),
    works('Workers Sites: `site.bucket` with `@cloudflare/kv-asset-handler`, both syntaxes', {
      file: 'bindings.test.ts',
      title: 'Workers Sites: the real kv-asset-handler serves what the real wrangler uploaded',
    }),
    works('Version metadata', { check: 'version-metadata' }),
    ...d1Rows,
    ...r2Binding,
    ...queueBinding,
    ...workflowBinding,
    refused('Workers AI', 'Rimward has no models', { config: { ai: { binding: 'AI' } }, says: /\bai\b/i }),
    refused('Vectorize', 'Rimward has no vector index', {
      config: { vectorize: [{ binding: 'V', index_name: 'v' }] },
      says: /vectorize/i,
    }),
    refused('Browser Rendering', 'Rimward has no browsers', {
      config: { browser: { binding: 'B' } },
      says: /browser/i,
    }),
    refused('Send Email', 'Rimward sends no mail', { config: { send_email: [{ name: 'M' }] }, says: /email/i }),
    ...datasetBinding,
    differs('Rate limiting: `limit({ key })`', 'exact at each PoP; in windows that begin at multiples of the period', {
      file: 'bindings.test.ts',
      title: 'a rate limit counts by key, over all programs of its namespace',
    }),
    works('Secrets Store: `get()`', {
      file: 'bindings.test.ts',
      title: 'programs share the secrets of a store, and read a new value without a new deploy',
    }),
    differs(
      'Hyperdrive: `connectionString`, `host`, `port`, `user`, `password`, `database`',
      'connections are made one for one: nothing is pooled or cached; user and password are percent-encoded',
      {
        file: 'sockets.test.ts',
        title: 'a Worker asks a real PostgreSQL',
      },
    ),
    works('Hyperdrive: `sslmode`, authorities of the account', {
      file: 'sockets.test.ts',
      title: 'TLS to the database is checked where the mode says so',
    }),
    works('mTLS certificates: `fetch`', {
      file: 'sockets.test.ts',
      title: 'fetch() of a binding shows the client certificate of the account',
    }),
    works('Worker loaders: `get(id, callback)`, `env`, `globalOutbound`', {
      file: 'bindings.test.ts',
      title: 'a program runs code that it brings, and the code reaches nothing but what it is given',
    }),
    works('Dispatch namespaces: `get(name)`, `fetch`, RPC methods; no `request.cf` and no `caches.default`', {
      file: 'dispatch-outbound.test.ts',
      title: 'a program cannot leave past the outbound Worker, nor see what is for trusted ones',
    }),
    differs(
      'Dispatch namespaces: outbound Workers',
      'WebSockets that a program opens with `new WebSocket()` are refused; programs that may open TCP sockets cannot be called so',
      {
        file: 'dispatch-outbound.test.ts',
        title: 'what a program fetches goes through the outbound Worker, with parameters of the dispatcher',
      },
    ),
    differs('Dispatch namespaces: `limits.subRequests`', 'counts `fetch()`, not calls of bindings', {
      file: 'dispatch-outbound.test.ts',
      title: 'fetches beyond subRequests fail',
    }),
    differs(
      'Dispatch namespaces: `limits.cpuMs`',
      'time in one piece, looked at ten times a second; the process is ended',
      {
        file: 'dispatch-outbound.test.ts',
        title: 'a program that uses more CPU time than cpuMs is ended, and only it',
      },
    ),
    works('Dispatch namespaces: static files, tags, tail Workers of their programs', {
      file: 'dispatch-outbound.test.ts',
      title: 'a program of a namespace has static files, before its code or alone',
    }),
    works('Cron triggers: `scheduled()`, each once in the platform, a missed one not made up for', {
      file: 'cron.test.ts',
      title: 'a schedule is told once at its minute, and its tail Worker hears of it',
    }),
    differs('Tail Workers: `tail()`', 'fields of requests are redacted, and `getUnredacted()` is not there', {
      file: 'cron.test.ts',
      title: 'a tail Worker hears of requests and exceptions, and is a reason not to delete it',
    }),
    refused('Streaming tail Workers', 'traces are told at the end of what they tell of: use `tail_consumers`', {
      config: { streaming_tail_consumers: [{ service: 'watcher' }] },
      says: /streaming_tail_consumers/,
    }),
  ],
}

const objects: Area = {
  title: 'Durable Objects',
  rows: [
    works('RPC methods, SQLite storage', { check: 'object-rpc', cells: 'own' }),
    works('`blockConcurrencyWhile`', { check: 'object-block-concurrency', cells: 'own' }),
    works('`fetch`', { check: 'object-fetch', cells: 'own' }),
    works('`idFromName`, `idFromString`, `newUniqueId`, `getByName`', { check: 'object-ids', cells: 'own' }),
    works('Key-value storage, transactions, `deleteAll`', { check: 'object-key-value', cells: 'own' }),
    works('Alarms', { check: 'object-alarm', cells: 'own' }),
    works('Hibernating WebSockets, attachments, automatic response', { story: 'hibernating websockets' }),
    differs('`locationHint`', 'chooses among the PoPs of this platform; on one node there is one place', {
      story: 'objects where they are wanted',
    }),
    differs(
      '`jurisdiction()`, `newUniqueId({ jurisdiction })`',
      'with several PoPs: a country, `eu`, `eea`, `us`, `fedramp` (places in the US); on one node workerd refuses it',
      { story: 'objects where they are wanted' },
    ),
    works('Data outlives SIGKILL', { story: 'objects outlive SIGKILL' }),
  ],
}

const assets: Area = {
  title: 'Static assets',
  rows: [
    works('`html_handling`, `ETag`, 304', { story: 'assets answer' }),
    works('`_headers`', { story: 'assets _headers' }),
    works('`_redirects`', { story: 'assets _redirects' }),
    works('`run_worker_first`', { story: 'assets run_worker_first' }),
    works('`.assetsignore`', { story: 'assets ignored' }),
  ],
}

const wrangler: Area = {
  title: 'wrangler',
  rows: [
    works('`whoami`', { wrangler: ['whoami'], says: /rimward/i }),
    works('`types`', { wrangler: ['types'], says: /worker-configuration\.d\.ts/ }, 'local'),
    works('`deploy --dry-run`', { wrangler: ['deploy', '--dry-run'], says: /--dry-run: exiting now/ }),
    works('`deploy`', { wrangler: ['deploy'], says: /Current Version ID: [0-9a-f-]{36}/ }),
    works('`deploy` with routes and custom domains', { story: 'routes' }, 'any host: its DNS is yours to point here'),
    works('`deploy --env`', { story: 'environments' }),
    works('`deployments list`', { wrangler: ['deployments', 'list'], says: /100%/ }),
    works('`deployments status`', { wrangler: ['deployments', 'status'], says: /100%/ }),
    works('`versions view`', { story: 'versions view' }),
    works('`versions deploy` (gradual, sticky, override header)', { story: 'versions deploy' }),
    works('`rollback`', { story: 'rollback' }),
    works('`triggers deploy`', { wrangler: ['triggers', 'deploy'], says: /compat\.localhost/ }),
    works('`secret put`', { wrangler: ['secret', 'put', 'A'], input: 'a', says: /Success/ }),
    works('`secret list`', { wrangler: ['secret', 'list'], says: /"A"/ }),
    works('`secret bulk`', { wrangler: ['secret', 'bulk'], input: '{"B":"b","C":"c"}', says: /2 secrets/ }),
    works('`secret delete`', { wrangler: ['secret', 'delete', 'A'], says: /Success/ }),
    works('`versions upload`', { wrangler: ['versions', 'upload', '--tag', 'canary'], says: /Worker Version ID/ }),
    works('`versions list`', { wrangler: ['versions', 'list'], says: /canary/ }),
    works('`versions secret put`', {
      wrangler: ['versions', 'secret', 'put', 'V'],
      input: 'v',
      says: /Success|Created version/,
    }),
    works('`versions secret bulk`', {
      wrangler: ['versions', 'secret', 'bulk'],
      input: '{"W":"w"}',
      says: /1 secret created/,
    }),
    works('`versions secret list`', { wrangler: ['versions', 'secret', 'list', '--latest-version'], says: /V/ }),
    works('`versions secret delete`', { wrangler: ['versions', 'secret', 'delete', 'V'], says: /Success|deleted/i }),
    works('`kv namespace create`', { wrangler: ['kv', 'namespace', 'create', 'extra'], says: /id/ }),
    works('`kv namespace list`', { wrangler: ['kv', 'namespace', 'list'], says: /extra/ }),
    works('`kv key put`', {
      wrangler: ['kv', 'key', 'put', '--binding', 'KV', 'a key', 'a value', '--remote'],
      says: /Writing the value/,
    }),
    works('`kv key get`', {
      wrangler: ['kv', 'key', 'get', '--binding', 'KV', 'a key', '--remote', '--text'],
      says: /a value/,
    }),
    works('`kv key list`', { wrangler: ['kv', 'key', 'list', '--binding', 'KV', '--remote'], says: /"a key"/ }),
    works('`kv key delete`', {
      wrangler: ['kv', 'key', 'delete', '--binding', 'KV', 'a key', '--remote'],
      says: /Deleting the key/,
    }),
    works('`kv bulk put`, `kv bulk get`, `kv bulk delete`', { story: 'kv bulk' }),
    works('`tail`', { story: 'tail' }),
    ...r2Commands,
    ...queueCommands,
    ...workflowCommands,
    ...d1Commands,
    works('`delete`', { story: 'delete' }),
  ],
}

export const areas: readonly Area[] = [modules, runtime, bindings, objects, assets, wrangler, computeArea]

/** The page, as Markdown. */
export function compatibilityPage(): string {
  const lines = [
    '# Compatibility',
    '',
    'Each row is proven by `test/compatibility.test.ts` on a running node, with unmodified wrangler and fastly;',
    'the page is written from the same table (`npm run docs`). What is not listed is refused by name.',
    '',
  ]
  for (const area of areas) {
    lines.push(`## ${area.title}`, '', '| feature | state | note |', '|---|---|---|')
    for (const row of area.rows) lines.push(`| ${row.feature} | ${row.state} | ${row.note ?? ''} |`)
    lines.push('')
  }
  return [...lines, ...typesSection(), ...configurationSection(), ...abiSection()].join('\n')
}
