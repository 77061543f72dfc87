/**
 * Where each declaration of `@cloudflare/workers-types` stands: in the table member by member, with a kind of binding that is
 * refused at the deploy, or with what the runtime brings itself. A declaration of none of these fails the test.
 */

/** Kinds of bindings that are not here, by their key in wrangler's configuration, whose row says so. */
export const refusedKinds: Readonly<Record<string, RegExp>> = {
  ai: /^(Ai(?!Search)|AI|BaseAi|Base_Ai|Chat[CT]|Responses?[A-Z](?!nit)|Gateway|UniversalGateway|InferenceUpstream|RoleScoped|UsageTags|FunctionDefinition|(Developer|System|User|Assistant|Tool|Function)Message|PredictionContent|AudioParams|WebSearch(UserLocation|Options)|PromptTokens|Completion|EasyInput|Reasoning|Logprob|TopLogprob|Tool$|ToolChoice|StreamOptions|MarkdownDocument|OutputFormat|Conversion|EmbeddedImage|SupportedFile|ToMarkdown)/,
  ai_search: /^(AiSearch|AutoR|Comparison|Compound)/,
  agent_memory: /^AgentMemory/,
  analytics: /^AnalyticsSQL/,
  artifacts: /^Artifacts/,
  browser: /^BrowserRun/,
  containers: /^(Container|Exec(Output|Process))/,
  flagship: /^Flagship/,
  images: /^(Images?[A-Z]|HostedImages|Text(Rasterize|Options))/,
  media: /^Media/,
  pipelines: /^cloudflare:pipelines\./,
  send_email: /^(Email|ForwardableEmail|SendEmail|TraceItemEmail)/,
  stream:
    /^(Stream(?!Options|Pipe)|(Internal|BadRequest|NotFound|Forbidden|RateLimited|QuotaReached|MaxFileSize|InvalidURL|AlreadyUploaded|TooManyWatermarks)Error$)/,
  unsafe_hello_world: /^HelloWorld/,
  vectorize: /^Vector/,
}

/** Of kinds that no key of wrangler's configuration names. */
export const nowhere: Readonly<Record<string, RegExp>> = {
  'Pages: its projects are deployed as Workers with assets': /^(Params|Pages|EventContext|EventPluginContext|assets:)/,
  'Pub/Sub: ended at Cloudflare too': /^(PubSub|JsonWebKeyWithKid)/,
  'web search: no binding gives it': /^WebSearch(Search|Result|ResponseMetadata|$)/,
}

/** Standards and helpers that workerd brings as it is; some of them have rows under «Runtime». */
export const ofTheRuntime: readonly RegExp[] = [
  /^(WorkerGlobalScope|ServiceWorkerGlobalScope|Console$|console$|WebAssembly\.|Navigator$|navigator$|Immediate$|Cloudflare$|TestController$)/,
  /^(self|crypto|caches|scheduler|performance|origin|fetch|btoa|atob|reportError|structuredClone|queueMicrotask)$/,
  /^((set|clear)(Timeout|Interval|Immediate)|(add|remove)EventListener|dispatchEvent|StructuredSerializeOptions)$/,
  /^(Event(?!Context|Plugin|Source|Counts)|ExtendableEvent|FetchEvent|CustomEvent|ErrorEvent|MessageEvent|CloseEvent|PromiseRejectionEvent|AbortController|AbortSignal|Scheduler)/,
  /^(Blob|File|FormData|Headers|Body|Response$|ResponseInit|Request$|RequestInit$|RequestInfo|DOMException|Disposable|BufferSource|TypedArray)/,
  /^(Crypto|SubtleCrypto|JsonWebKey$|RsaOtherPrimesInfo|DigestStream|Text(De|En)coder)/,
  /^(ContentOptions|HTMLRewriter|Doctype|Element$|EndTag|Comment|Text$|DocumentEnd)/,
  /^(QueuingStrategy|UnderlyingSink|Underlying(Byte)?Source|Transformer$|StreamPipeOptions|Readable|Writable|Transform|FixedLengthStream|IdentityTransform|(De)?[Cc]ompressionStream|ByteLengthQueuing|CountQueuing)/,
  /^(WebSocketEventMap|Message(Port|Channel)|URL|Performance|UvMetricsInfo|EventCounts|EventSource|UnsafeTraceMetrics|TraceMetrics)/,
  /^cloudflare:(node|durable-objects)\.|^Rpc\.__/,
]
