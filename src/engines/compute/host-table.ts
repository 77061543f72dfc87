/** Everything that programs in cells may ask of this node. */
import type { HostCalls } from './host-calls.ts'
import { type FactParts, factCalls } from './host-facts.ts'
import { type LogParts, logCalls } from './host-logs.ts'
import { type StoreParts, storeCalls } from './host-stores.ts'

export type HostParts = StoreParts & FactParts & LogParts

export function computeHostCalls(parts: HostParts): HostCalls {
  return {
    ...storeCalls(parts),
    ...factCalls(parts),
    ...logCalls(parts),
  }
}
