/**
 * The nouns. A `Snapshot` is all that the data plane knows: immutable, swapped whole once it is proven to start.
 * `control/` makes it, `edge/` and the engines read it.
 */
import type { AnswerPolicy } from './answer-policy.ts'
import type { CachePolicy } from './cache-policy.ts'
import type { DomainCacheRules } from './cache-settings.ts'
import type { ComputeCode } from './compute.ts'
import type { DeliveryRules, Lookups } from './delivery-rules.ts'
import type { FrontCache } from './front-cache.ts'
import type { ErrorPages, OriginPool } from './origin.ts'
import type { PopId, Within } from './pops.ts'
import type { Resource } from './resources.ts'
import type { SiteList } from './site-list.ts'
import type { EpochMs } from './units.ts'

/** The name of a blob in the fabric: hex SHA-256 of the bytes, or as `blob-names.ts` writes it where it stays in countries. */
export type BlobHash = string
/** Unique on the platform; lower-case letters, digits, `-` and `_`. Also the first label of `NAME.localhost`. */
export type ProgramName = string
/** UUID of one uploaded version of a program. */
export type DeploymentId = string

export interface Snapshot {
  /** Grows by one with each change; two Snapshots with the same revision are equal. */
  readonly revision: number
  readonly sites: SiteList
  readonly programs: ReadonlyMap<ProgramName, Program>
  /** For what programs fetch; longest domain first. Absent: there are none. */
  readonly cacheRules?: readonly DomainCacheRules[]
  /** Countries that may hold a store, by its id; stores that are not here may be anywhere. */
  readonly placements?: ReadonlyMap<string, Within>
  /** Databases, buckets, queues and the like, by `resourceKey`. Absent: there are none. */
  readonly resources?: ReadonlyMap<string, Resource>
  /** Countries where lines about exchanges may be written. Absent: anywhere. */
  readonly logWithin?: Within
  /** Grows when something was removed that may lie on nodes' disks still, though it may not be there: they rewrite these then. */
  readonly erased?: EpochMs
}

/** Where requests are let in: names and routes, and what answers there. */
export interface Site {
  readonly name: string
  /** Lower case, without port; `*.example.com` matches one or more labels. */
  readonly hostnames: readonly string[]
  /** Patterns such as `example.com/app/*`; the most specific one of all sites wins, before any hostname. */
  readonly routes: readonly string[]
  readonly target: Target
  /** How the shared cache treats what this site fetches; absent: by RFC 9111 alone. */
  readonly cache?: CachePolicy
  /** What is done with requests and answers on their way; only where the target is an origin. */
  readonly rules?: DeliveryRules
  /** What the rules look things up in. */
  readonly lookups?: Lookups
  /** Pages for the platform's own errors on this site, instead of the usual ones. */
  readonly errorPages?: ErrorPages
  /** Redirects, header rules, compression and what else is done to its answers. */
  readonly answers?: AnswerPolicy
  /** Of the domains around its hosts, longest first; only where the target is an origin without `rules`. */
  readonly cacheRules?: readonly DomainCacheRules[]
  /** Countries where its requests may be answered, cached and logged; elsewhere they are handed over. Absent: anywhere. */
  readonly within?: Within
  /** The PoP through which all others fetch from its origin; absent: each fetches for itself. */
  readonly shield?: PopId
}

export type Target =
  | { readonly kind: 'program'; readonly program: ProgramName }
  /** `url` is the first origin's, and what cache keys are made of; `pool` says all of them. */
  | { readonly kind: 'origin'; readonly url: string; readonly pool?: OriginPool }
  | { readonly kind: 'redirect'; readonly location: string; readonly status: 301 | 302 | 307 | 308 }

export interface Program {
  readonly name: ProgramName
  /** Deployments that serve, with their percentage; sums to 100. Empty while nothing was deployed. */
  readonly rollout: readonly { readonly deployment: Deployment; readonly percent: number }[]
  /** Durable Object classes with storage of their own. Storage belongs to the program, not to a deployment. */
  readonly objects: readonly ObjectNamespace[]
  /** Dictionaries and address lists of a service, by name: they change without a new deployment. */
  readonly lookups?: Lookups
  /** Countries where it may run, whatever started it. Absent: anywhere. */
  readonly within?: Within
  /** When `scheduled()` is called, as `cron.ts` reads it; all parse. */
  readonly crons?: readonly string[]
  /** Programs whose `tail()` is told what this one did. */
  readonly tailConsumers?: readonly ProgramName[]
}

/** One class of Durable Objects; its data lives under `key`, which survives a rename of the class. */
export interface ObjectNamespace {
  readonly className: string
  /** Secret and unique for ever: object ids are derived from it. */
  readonly key: string
  readonly storage: 'sqlite' | 'kv'
  /** Countries where its objects may live. Absent: anywhere. */
  readonly within?: Within
}

/** One version of a program: code and bindings, content-addressed, never changed after it was uploaded. */
export interface Deployment {
  readonly id: DeploymentId
  readonly program: ProgramName
  /** Version number that people see, 1, 2, 3… within a program. */
  readonly number: number
  readonly createdAt: EpochMs
  readonly tag?: string
  /** Absent for a program that is only assets, and where `compute` is. */
  readonly code?: ProgramCode
  /** Serves no visitor, only who asks for it (`rimward-staging: 1`). */
  readonly staged?: true
  /** A WebAssembly program of Fastly Compute, run by the engine of that name instead of workerd. */
  readonly compute?: ComputeCode
  readonly bindings: readonly Binding[]
  readonly assets?: AssetsDeployment
  readonly limits: { readonly cpuMs?: number }
  /** The shared cache stands in front of its default export. */
  readonly frontCache?: FrontCache
  /** Its code may open TCP sockets. */
  readonly usesSockets?: true
  /** Its code imports `cloudflare:email`. */
  readonly usesEmail?: true
  /** Processor time its proof took to start, ms; absent when it was never proven. */
  readonly startupMs?: number
}

export interface ProgramCode {
  /** `modules`: ES modules with `mainModule`; `script`: one service-worker script, the only module. */
  readonly syntax: 'modules' | 'script'
  readonly mainModule: string
  readonly modules: readonly ProgramModule[]
  readonly compatibilityDate: string
  readonly compatibilityFlags: readonly string[]
}

export interface ProgramModule {
  readonly name: string
  readonly kind: 'esm' | 'cjs' | 'text' | 'data' | 'json' | 'wasm'
  readonly blob: BlobHash
  readonly bytes: number
}

export type Binding =
  | { readonly kind: 'text'; readonly name: string; readonly text: string }
  /** `json` is the serialized value. */
  | { readonly kind: 'json'; readonly name: string; readonly json: string }
  | { readonly kind: 'secret'; readonly name: string; readonly sealed: Sealed }
  | { readonly kind: 'kv'; readonly name: string; readonly store: string }
  /** As for a bucket; `delayS` of what is sent without a delay of its own. */
  | {
      readonly kind: 'queue'
      readonly name: string
      readonly queue: string
      readonly called: string
      readonly delayS?: number
    }
  /** `bucket` is the resource's id, `called` its name, which never changes. */
  | { readonly kind: 'bucket'; readonly name: string; readonly bucket: string; readonly called: string }
  | {
      readonly kind: 'program'
      readonly name: string
      readonly program: ProgramName
      readonly entrypoint?: string
      /** Serialized JSON object. */
      readonly props?: string
    }
  /** `program` names the program whose objects these are; absent: this program's own. */
  | { readonly kind: 'objects'; readonly name: string; readonly className: string; readonly program?: ProgramName }
  | { readonly kind: 'assets'; readonly name: string }
  | { readonly kind: 'version'; readonly name: string }
  /** Bytes given with the upload: `wasm_module`, `data_blob`, `text_blob` of service-worker syntax. */
  | {
      readonly kind: 'blob'
      readonly name: string
      readonly type: 'wasm' | 'data' | 'text'
      readonly blob: BlobHash
    }
  /** The value of one that stays in its program's countries lies in a blob there. */
  | { readonly kind: 'held'; readonly name: string; readonly as: 'text' | 'json' | 'secret'; readonly blob: BlobHash }
  /** Counts calls by key; those of one `namespace` count together, whichever program asks. */
  | {
      readonly kind: 'rate-limit'
      readonly name: string
      readonly namespace: string
      readonly limit: number
      readonly periodS: 10 | 60
    }
  /** A secret of a store that several programs share, read each time it is asked for. */
  /** `database` is the resource's id. */
  | { readonly kind: 'sql'; readonly name: string; readonly database: string }
  /** As for a bucket. */
  | { readonly kind: 'dataset'; readonly name: string; readonly dataset: string; readonly called: string }
  /** `workflow` is the resource's name: it is made after the version that implements it. */
  | {
      readonly kind: 'workflow'
      readonly name: string
      readonly workflow: string
      readonly className: string
      /** That implements it; absent: this one. */
      readonly program?: ProgramName
    }
  | { readonly kind: 'stored-secret'; readonly name: string; readonly store: string; readonly secret: string }
  /** A database server elsewhere, by the id of its resource. */
  | { readonly kind: 'server'; readonly name: string; readonly server: string }
  /** `fetch()` that shows a client certificate, by the id of its resource. */
  | { readonly kind: 'certificate'; readonly name: string; readonly certificate: string }
  /** Starts programs from code that the program brings. */
  | { readonly kind: 'loader'; readonly name: string }
  /** Programs of a namespace, picked by name at each call; `namespace` is the resource's id, `called` its name at the deploy. */
  | {
      readonly kind: 'dispatch'
      readonly name: string
      readonly namespace: string
      readonly called: string
      /** The program that every `fetch()` of a dispatched program goes through, and what the dispatcher may tell it. */
      readonly outbound?: { readonly program: ProgramName; readonly parameters: readonly string[] }
    }

/** Ciphertext of a secret (base64); only a `Seal` opens it. */
export type Sealed = string & { readonly unit?: 'sealed' }

export interface AssetsDeployment {
  /** Blob with the manifest: JSON `{"/index.html": {"hash", "blob", "size", "type"}}`; see `asset-manifest.ts`. */
  readonly manifest: BlobHash
  readonly files: number
  readonly htmlHandling: 'auto-trailing-slash' | 'force-trailing-slash' | 'drop-trailing-slash' | 'none'
  readonly notFoundHandling: 'single-page-application' | '404-page' | 'none'
  /** Slash at both ends; absent: `/`. See `asset-base-path.ts`. */
  readonly basePath?: string
  /** true: always; a list of globs (`!` negates): where one matches. */
  readonly runProgramFirst: boolean | readonly string[]
  /** Navigations (`Sec-Fetch-Mode: navigate`) get `notFoundHandling` before the program is asked; since 2025-04-01. */
  readonly navigationPrefersFiles?: boolean
  /** Text of the `_headers` file. */
  readonly headersFile?: string
  /** Text of the `_redirects` file. */
  readonly redirectsFile?: string
  /** Instead of both texts, where they stay in their program's countries; see `asset-rule-files.ts`. */
  readonly ruleFiles?: BlobHash
}
