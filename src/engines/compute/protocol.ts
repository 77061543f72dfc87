/** What the node and a Compute cell say to each other: heads of calls on their line. */
import type { HeaderList } from '#/core/exchange.ts'
import type { TcpKeepAlive } from '#/core/origin.ts'
import type { Head } from './wire-messages.ts'

/** Facts about the client, for `fastly_http_downstream`. */
export interface ClientFacts {
  readonly address: string
  readonly port: number
  /** Of this node's socket. */
  readonly serverAddress: string
  readonly httpVersion: '1.0' | '1.1' | '2'
  readonly tls?: {
    /** OpenSSL's name, e.g. `TLSv1.3`. */
    readonly version: string
    readonly cipher: string
    readonly serverName?: string
  }
}

/** Node → cell: makes a program ready. The reply comes when its code is compiled. */
export interface LoadHead {
  readonly do: 'load'
  /** Deployment. */
  readonly program: string
  /** Path of its sheet; see `prepared-files.ts`. */
  readonly sheet: string
  readonly facts: ProgramFacts
  /** Its code is called once before the reply, so that it is compiled when a client asks. */
  readonly rehearse: boolean
}

/** Node → a cell of its own: makes the files of a module. The reply comes when they are on disk. */
export interface PrepareHead {
  readonly do: 'prepare'
  readonly module: string
  /** Path of the module's bytes. */
  readonly source: string
  /** The engine's folder. */
  readonly folder: string
  /** Processor time of the start function. */
  readonly startMs: number
  readonly limits: { readonly computeMemoryPages: number; readonly computeTableEntries: number }
}

/** Requests are packed, and come without a name. */
export type CellHead = LoadHead | PrepareHead | UnloadHead | DictionariesHead | { readonly do: 'ping' }

/** Node → cell: no new request will come for this program. */
export interface UnloadHead {
  readonly do: 'unload'
  readonly program: string
}

/** Node → cell: what requests from now on find in dictionaries. */
export interface DictionariesHead {
  readonly do: 'dictionaries'
  readonly program: string
  readonly dictionaries: ProgramFacts['dictionaries']
}

/** What a program may know and reach. */
export interface ProgramFacts {
  readonly name: string
  readonly service: { readonly id: string; readonly version: number }
  readonly customer: string
  readonly staged: boolean
  readonly pop: string
  readonly region: string
  readonly hostname: string
  readonly backends: readonly BackendFacts[]
  /** Name → kind; the node knows which store it is. */
  readonly stores: readonly { readonly kind: 'kv' | 'config' | 'secret' | 'access-list'; readonly name: string }[]
  readonly logs: readonly string[]
  readonly dictionaries: Readonly<Record<string, Readonly<Record<string, string>>>>
}

/** A backend as `fastly_backend` describes it. */
export interface BackendFacts {
  readonly name: string
  readonly host: string
  readonly port: number
  readonly tls: boolean
  readonly overrideHost?: string
  readonly connectTimeoutMs: number
  readonly firstByteTimeoutMs: number
  readonly betweenBytesTimeoutMs: number
  readonly keepAliveMs: number
  readonly tcpKeepAlive: TcpKeepAlive | false
  /** `tls_version` of the ABI; absent: as OpenSSL has it. */
  readonly minTlsVersion?: number
  readonly maxTlsVersion?: number
}

/**
 * Node → cell: one request, packed (`request-heads.ts`). The reply is the program's answer; it may come long before the
 * program ends.
 */
export interface RunHead {
  readonly program: string
  /** The node's number of this request: the cell names it in its own calls. */
  readonly run: number
  /** As in `cf-ray` and the log. */
  readonly requestId: string
  readonly method: string
  readonly uri: string
  readonly headers: HeaderList
  readonly client: ClientFacts
  /** Names of fields as the client wrote them, in order. */
  readonly originalNames: readonly string[]
}

/** The reply to a request, packed too. */
export interface AnswerHead {
  readonly status: number
  readonly headers: HeaderList
  readonly start: 'cold' | 'warm' | 'pooled'
  /** The program has ended with this answer. */
  readonly over?: true
}

/** Cell → node: a call of a program, by name; see `host-calls.ts`. */
export interface HostHead {
  readonly do: string
  readonly run: number
}

/** The typed heads are plain JSON. */
export function asHead(head: object): Head {
  return head as Head
}
