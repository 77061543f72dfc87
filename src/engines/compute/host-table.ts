/** All that programs in cells may ask of this node. */
import type { HostCalls } from './host-calls.ts'
import { type FactParts, factCalls } from './host-facts.ts'
import { type FetchCallsOptions, fetchCalls } from './host-fetch.ts'
import { type LogParts, logCalls } from './host-logs.ts'
import { type StoreParts, storeCalls } from './host-stores.ts'

export type DataParts = StoreParts & FactParts & LogParts

export interface ComputeHostOptions extends FetchCallsOptions {
  /** Stores, facts and logs; absent where a test is about none of them. */
  readonly data?: DataParts
}

export function computeHostCalls(options: ComputeHostOptions): HostCalls {
  return { ...fetchCalls(options), ...(options.data && dataCalls(options.data)) }
}

export function dataCalls(parts: DataParts): HostCalls {
  return { ...storeCalls(parts), ...factCalls(parts), ...logCalls(parts) }
}
