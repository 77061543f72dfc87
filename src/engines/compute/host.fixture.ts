/** A stage whose programs have stores, facts and logs. */
import type { TestContext } from 'node:test'
import type { ComputeCode } from '#/core/compute.ts'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import type { OutputLine } from '#/core/program-output.ts'
import { type ComputeStage, openCompute } from './compute.fixture.ts'
import { dataCalls } from './host-table.ts'
import type { EndpointLine } from './log-sinks.ts'
import { createRateCounters } from './rate-counters.ts'
import { memoryKv, memoryStores } from './stores.fixture.ts'

export const linked: Partial<ComputeCode> = {
  stores: [
    { kind: 'kv', name: 'things', store: 'kv-1' },
    { kind: 'config', name: 'settings', store: 'config-1' },
    { kind: 'secret', name: 'vault', store: 'secret-1' },
    { kind: 'access-list', name: 'guests', store: 'list-1' },
  ],
  logs: [
    { kind: 'log', name: 'audit' },
    { kind: 'http', name: 'collector', url: 'http://logs.test/in', method: 'POST' },
  ],
}

export interface HostStage extends ComputeStage {
  readonly kv: ReturnType<typeof memoryKv>
  readonly printed: OutputLine[]
  readonly sunk: EndpointLine[]
  /** Moves the clock of stores and counters. */
  pass(ms: number): void
}

export async function openHost(
  t: TestContext,
  options: { readonly limits?: Partial<Limits> } = {},
): Promise<HostStage> {
  let now = 1_800_000_000_000
  const clock = () => now
  const limits = { ...defaultLimits, ...options.limits }
  const kv = memoryKv(clock)
  const printed: OutputLine[] = []
  const sunk: EndpointLine[] = []
  const hostCalls = dataCalls({
    kv,
    ...memoryStores({
      config: { 'config-1': { greeting: 'good day', 'a long one': 'x'.repeat(200) } },
      secret: { 'secret-1': { token: 's3cret' } },
      lists: {
        'list-1': {
          '192.0.2.7': { prefix: '192.0.2.0/24', action: 'BLOCK' },
          '2001:db8:0:0:0:0:0:7': { prefix: '2001:db8::/32', action: 'ALLOW' },
        },
      },
    }),
    locate: (address) => (address === '8.8.8.8' ? { country: 'US', asn: 15169 } : undefined),
    devices: (userAgent) => (userAgent === 'Phone/1' ? '{"device":{"name":"Phone"}}' : undefined),
    rates: createRateCounters({ limits, clock }),
    log: () => {},
    output: { write: (_program, line) => void printed.push(line) },
    sinks: { write: (line) => void sunk.push(line) },
    limits,
    clock,
  })
  const stage = await openCompute(t, { hostCalls, limits })
  const pass = (ms: number) => {
    now += ms
  }
  return { ...stage, kv, printed, sunk, pass }
}
