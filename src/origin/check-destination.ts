/** Names to addresses that may be connected to: every way out of this platform begins here. */
import { networkInterfaces } from 'node:os'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { EgressRequest, EgressRules } from '#/core/ports.ts'
import type { Clock } from '#/core/units.ts'
import { normalAddress } from './address-policy.ts'
import { decideEgress, type EgressDecision, type Listener, ownListenerMatcher } from './decide-egress.ts'
import type { Destination } from './destination.ts'
import { createNames, createSystemLookup, isLoopbackName, type Lookup } from './resolve.ts'

export interface CheckOptions {
  readonly rules: EgressRules
  readonly limits: Limits
  readonly clock: Clock
  /** The sockets on which this platform listens; programs do not reach them without a rule that names the port. */
  readonly ownListeners?: () => readonly Listener[]
  /** Asks for the addresses of a name; the machine's hosts file and name servers by default. */
  readonly lookup?: Lookup
}

/** Addresses that were allowed; `public` where all of them are. */
export interface CheckedAddresses {
  readonly addresses: readonly string[]
  readonly public: boolean
}

export type DestinationCheck = (
  by: EgressRequest['by'],
  destination: Pick<Destination, 'host' | 'port'>,
) => Promise<CheckedAddresses>

/** The check rejects with `egress_refused`, and with what resolving rejects with. */
export function createDestinationCheck(options: CheckOptions): DestinationCheck {
  const { rules, limits, clock } = options
  const names = createNames({ lookup: options.lookup ?? createSystemLookup(limits.originResolveMs), limits, clock })

  return async (by, destination) => {
    const { host, port } = destination
    const addresses = await names.resolve(host, sourceOf(by))
    const isOwnListener = ownListenerMatcher(normalListeners(options.ownListeners?.() ?? []), machineAddresses)
    const decide = (some: readonly string[]) => decideEgress({ by, host, port, addresses: some, rules, isOwnListener })
    const decision = decide(addresses)
    if (decision.allowed) return { addresses, public: decision.public }
    // `localhost` has two addresses, and a rule for one of them is meant for the name.
    const loopback = isLoopbackName(host) ? addresses.filter((address) => decide([address]).allowed) : []
    if (loopback.length > 0) return { addresses: loopback, public: false }
    throw new EdgeError('egress_refused', refusal(destination, decision))
  }
}

function refusal(
  { host, port }: Pick<Destination, 'host' | 'port'>,
  decision: Exclude<EgressDecision, { allowed: true }>,
): string {
  if (decision.why === 'own-listener')
    return `${host}:${port} is an address of this platform itself. Its operator can allow it by naming the port.`
  return `${host} is not a public address (${decision.why}). The operator can allow it: rimward allow PROGRAM ${host}:${port}`
}

function sourceOf(by: EgressRequest['by']): string {
  return 'program' in by ? `program ${by.program}` : `site ${by.site}`
}

function normalListeners(listeners: readonly Listener[]): readonly Listener[] {
  return listeners.map(({ address, port }) => ({ address: normalAddress(address), port }))
}

function machineAddresses(): ReadonlySet<string> {
  return new Set(
    Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => normalAddress(address))),
  )
}
