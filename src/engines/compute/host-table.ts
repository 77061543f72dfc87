/** All that programs in cells may ask of this node. */
import type { HostCalls } from './host-calls.ts'
import { type FetchCallsOptions, fetchCalls } from './host-fetch.ts'

export type ComputeHostOptions = FetchCallsOptions

export function computeHostCalls(options: ComputeHostOptions): HostCalls {
  return { ...fetchCalls(options) }
}
