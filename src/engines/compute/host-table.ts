/** All that programs in cells may ask of this node. */
import type { CoreCache } from '#/core/core-cache.ts'
import type { SharedCache } from '#/core/ports.ts'
import { cacheCalls } from './host-cache.ts'
import type { HostCalls } from './host-calls.ts'
import { clientCalls } from './host-client.ts'
import { type FactParts, factCalls } from './host-facts.ts'
import { type FetchCallsOptions, fetchCalls } from './host-fetch.ts'
import { type LogParts, logCalls } from './host-logs.ts'
import { type StoreParts, storeCalls } from './host-stores.ts'

export type DataParts = StoreParts & FactParts & LogParts

export interface ComputeHostOptions extends Omit<FetchCallsOptions, 'egress'> {
  readonly cache: SharedCache & { readonly core: CoreCache }
  /** Stores, facts and logs; absent where a test is about none of them. */
  readonly data?: DataParts
}

export function computeHostCalls({ cache, data, ...options }: ComputeHostOptions): HostCalls {
  return {
    ...clientCalls,
    ...fetchCalls({ ...options, egress: cache }),
    ...cacheCalls({ ...options, core: cache.core, purge: (wishes) => cache.purge(wishes) }),
    ...(data && dataCalls(data)),
  }
}

export function dataCalls(parts: DataParts): HostCalls {
  return { ...storeCalls(parts), ...factCalls(parts), ...logCalls(parts) }
}
