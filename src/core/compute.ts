/**
 * Programs of Fastly Compute: a WebAssembly module and what its service gives it. Nouns only: `engines/compute` runs them,
 * `control/` keeps them, `apis/fastly` translates into them.
 */
import type { Origin } from './origin.ts'
import type { BlobHash } from './snapshot.ts'

/** The code of a deployment; like the whole deployment it never changes after it was uploaded. */
export interface ComputeCode {
  /** `bin/main.wasm` of the package: a core module that imports the host calls of the `fastly_*` modules and WASI preview 1. */
  readonly module: BlobHash
  readonly bytes: number
  /** What the program reads of itself: `FASTLY_SERVICE_ID`, `FASTLY_SERVICE_VERSION`. */
  readonly service: { readonly id: string; readonly version: number }
  /** Where it may send requests, by name; names are unique. */
  readonly backends: readonly Origin[]
  /** Stores linked to the service, by the name that the program opens. */
  readonly stores: readonly ComputeStore[]
  /** Endpoints that the program may open by name. */
  readonly logs: readonly LogEndpoint[]
}

export interface ComputeStore {
  readonly kind: 'kv' | 'config' | 'secret' | 'access-list'
  /** The link's name: what the program opens. */
  readonly name: string
  /** Id of the store. */
  readonly store: string
}

/** Where lines that a program writes to a named endpoint go. */
export type LogEndpoint =
  | { readonly kind: 'log'; readonly name: string }
  /** Lines are sent in batches, joined by newlines, with POST. */
  | {
      readonly kind: 'http'
      readonly name: string
      readonly url: string
      readonly method: 'POST' | 'PUT'
      readonly contentType?: string
      readonly header?: readonly [name: string, value: string]
    }
  /** RFC 5424 messages over TCP. */
  | {
      readonly kind: 'syslog'
      readonly name: string
      readonly host: string
      readonly port: number
      readonly tls: boolean
    }
