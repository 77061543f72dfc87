/** What `wrangler tail` and `rimward logs` show. */
import type { ProgramName } from './snapshot.ts'
import type { EpochMs, Milliseconds } from './units.ts'

/** One invocation, in the shape of the Workers `TraceItem` as `wrangler tail` prints it. */
export interface Trace {
  readonly scriptName: ProgramName
  /** Of a program of a dispatch namespace, where its owner reads this. */
  readonly dispatchNamespace?: string
  readonly scriptVersion?: { readonly id: string }
  readonly outcome: string
  readonly eventTimestamp: EpochMs | null
  readonly event: unknown
  readonly logs: readonly { readonly message: unknown; readonly level: string; readonly timestamp: EpochMs }[]
  readonly exceptions: readonly {
    readonly name: string
    readonly message: string
    readonly stack?: string
    readonly timestamp: EpochMs
  }[]
  readonly entrypoint?: string
  readonly durableObjectId?: string
  /** `stateless`, `durableObject` or `workflow`. */
  readonly executionModel?: string
  readonly cpuTime?: Milliseconds
  readonly wallTime?: Milliseconds
  readonly diagnosticsChannelEvents?: readonly unknown[]
  /** Logs were left out because the trace was over its cap. */
  readonly truncated?: boolean
}

export interface Traces {
  emit(trace: Trace): void
  /** Is anybody listening to this program, at any point of presence? Cheap: asked on the request path. */
  wanted(program: ProgramName): boolean
  listen(program: ProgramName, listener: (trace: Trace) => void): () => void
}
