/** All that programs in cells may ask of this node. */
import type { CoreCache } from '#/core/core-cache.ts'
import type { SharedCache } from '#/core/ports.ts'
import { cacheCalls } from './host-cache.ts'
import type { HostCalls } from './host-calls.ts'
import { type FetchCallsOptions, fetchCalls } from './host-fetch.ts'

export interface ComputeHostOptions extends Omit<FetchCallsOptions, 'egress'> {
  readonly cache: SharedCache & { readonly core: CoreCache }
}

export function computeHostCalls({ cache, ...options }: ComputeHostOptions): HostCalls {
  return {
    ...fetchCalls({ ...options, egress: cache }),
    ...cacheCalls({ ...options, core: cache.core, purge: (wishes) => cache.purge(wishes) }),
  }
}
