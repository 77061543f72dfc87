/** Rows of the table that a test of another file proves: what needs a database, a clock, several programs or TLS. */
import type { State } from '../compatibility/rows.ts'

export interface ElsewhereRow {
  /** As in the cases: `Name: member member; Other: member`; `*` for all members of a name, `Name.*` for all names in it. */
  readonly members: string
  readonly state: State
  readonly note?: string
  /** A test of this title, or a key of wrangler's configuration whose row proves that no deploy has it. */
  readonly proof: { readonly file: string; readonly title: string } | { readonly key: string }
}

const row = (state: State, file: string, title: string, members: string, note?: string): ElsewhereRow => ({
  ...{ members, state, proof: { file, title } },
  ...(note !== undefined && { note }),
})
const refusedWith = (key: string, members: string, note: string): ElsewhereRow => ({
  ...{ members, note, state: 'refused', proof: { key } },
})

const cronTitle = 'a schedule is told once at its minute, and its tail Worker hears of it'
const eventsTitle = 'classes and service-worker syntax are told of messages, classes of traces too'

export const elsewhere: readonly ElsewhereRow[] = [
  row(
    'works',
    'cron.test.ts',
    cronTitle,
    'ScheduledController: scheduledTime cron noRetry; ExportedHandler: scheduled; TraceItemScheduledEventInfo: scheduledTime cron; CloudflareWorkersModule.WorkerEntrypoint: scheduled; ScheduledEvent: scheduledTime cron noRetry',
  ),
  row(
    'works',
    'bindings-table.test.ts',
    eventsTitle,
    'CloudflareWorkersModule.WorkerEntrypoint: queue tail; QueueEvent: messages queue metadata ackAll retryAll',
  ),
  row(
    'refused',
    'bindings-table.test.ts',
    eventsTitle,
    'TailEvent: events traces',
    'at the deploy of a script in service-worker syntax that listens for it: export `tail()` from an ES module',
  ),
  row(
    'works',
    'bindings-table.test.ts',
    'an object hears of a WebSocket that breaks',
    'DurableObject: webSocketError; CloudflareWorkersModule.DurableObject: webSocketError; TraceItemHibernatableWebSocketEventInfoError: webSocketEventType',
  ),
  row(
    'works differently',
    'workers-cache.test.ts',
    'Workers Cache: ',
    'ExecutionContext: cache; CacheContext: purge; CachePurgeOptions: tags pathPrefixes purgeEverything; CachePurgeResult: success errors; CachePurgeError: code message',
    'in front of the default export; service bindings and `ctx.exports` go past it',
  ),
  row(
    'refused',
    'workers-cache.test.ts',
    'Workers Cache: ',
    'CacheContext: invalidate',
    'by name, at the call: use `purge()`',
  ),
  row(
    'refused',
    'compatibility/front-stories.ts',
    'cache import is refused',
    'CloudflareWorkersModule.cache: ()',
    'by name, at deploy: use `ctx.cache`',
  ),
  row(
    'works differently',
    'delivery-programs.test.ts',
    'fetch() of programs and their Cache API',
    'RequestInitCfProperties: cacheEverything cacheKey cacheTags cacheTtl cacheTtlByStatus',
    'without them only the freshness counts that an answer states, whatever the file is called',
  ),
  row(
    'works',
    'tls.test.ts',
    'who trusts ca.pem reaches a Worker by HTTP/2 and by HTTP/1.1, and the program learns of it',
    'IncomingRequestCfPropertiesBase: tlsVersion tlsCipher',
    'over TLS; otherwise absent',
  ),
  row(
    'works',
    'dispatch-outbound.test.ts',
    'what a program fetches goes through the outbound Worker, with parameters of the dispatcher',
    'DynamicDispatchOptions: outbound limits',
  ),
  row(
    'works differently',
    'dispatch-outbound.test.ts',
    'fetches beyond subRequests fail',
    'DynamicDispatchLimits: subRequests',
    'counts `fetch()`, not calls of bindings',
  ),
  row(
    'works differently',
    'dispatch-outbound.test.ts',
    'a program that uses more CPU time than cpuMs is ended, and only it',
    'DynamicDispatchLimits: cpuMs',
    'time in one piece, looked at ten times a second; the process is ended',
  ),
  refusedWith(
    'send_email',
    'ExportedHandler: email; CloudflareWorkersModule.WorkerEntrypoint: email',
    'no mail comes in: the handler is never called',
  ),
  refusedWith(
    'streaming_tail_consumers',
    'ExportedHandler: tailStream; CloudflareWorkersModule.WorkerEntrypoint: tailStream; TailStream.*: *',
    'traces are told at the end of what they tell of: use `tail()`',
  ),
  row(
    'works',
    'datasets.test.ts',
    'wrangler binds datasets, a Worker writes points, SQL reads them',
    'AnalyticsEngineDataset: writeDataPoint; AnalyticsEngineDataPoint: indexes doubles blobs',
  ),
]
