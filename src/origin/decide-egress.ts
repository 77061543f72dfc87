/** May this request go to these addresses? Pure: the answer is a value with its reason. */
import type { EgressRequest, EgressRules } from '#/core/ports.ts'
import { type AddressKind, classifyAddress } from './address-policy.ts'

export interface Listener {
  readonly address: string
  readonly port: number
}

export type EgressDecision =
  | { readonly allowed: true; readonly public: boolean }
  | { readonly allowed: false; readonly why: AddressKind | 'own-listener' }

export interface EgressQuestion {
  readonly by: EgressRequest['by']
  readonly host: string
  readonly port: number
  readonly addresses: readonly string[]
  readonly rules: EgressRules
  /** Is this one of the sockets on which this platform itself listens? */
  readonly isOwnListener: (address: string, port: number) => boolean
}

/**
 * Every address of the name must be allowed, for the connection may use any of them. Programs reach public addresses;
 * others only by a rule. A network in a rule does not open this platform's own ports (the rule must name the port) nor
 * the addresses of cloud metadata (the rule must name the address). Sites go to the origin that the operator gave them.
 */
export function decideEgress(question: EgressQuestion): EgressDecision {
  const { by, host, port, addresses, rules, isOwnListener } = question
  let allPublic = true
  for (const address of addresses) {
    const kind = classifyAddress(address)
    const own = isOwnListener(address, port)
    if (kind === 'public' && !own) continue
    allPublic = false
    if ('site' in by) continue
    const grants = rules.grants(by, { host, address, port })
    if (own && !grants.some((grant) => grant.port)) return { allowed: false, why: 'own-listener' }
    if (kind === 'metadata' && !grants.some((grant) => grant.names === 'address'))
      return { allowed: false, why: 'metadata' }
    if (grants.length === 0) return { allowed: false, why: kind }
  }
  return { allowed: true, public: allPublic }
}

/** Matches a connection's target against listeners and the machine's addresses; a listener on the unspecified address answers on all of ours. */
export function ownListenerMatcher(
  listeners: readonly Listener[],
  machine: () => ReadonlySet<string>,
): (address: string, port: number) => boolean {
  return (address, port) =>
    listeners.some((listener) => {
      if (listener.port !== port) return false
      if (listener.address === address) return true
      const everywhere = classifyAddress(listener.address) === 'unspecified'
      const kind = classifyAddress(address)
      // Connecting to the unspecified address reaches loopback.
      if (kind === 'unspecified') return everywhere || classifyAddress(listener.address) === 'loopback'
      return everywhere && (kind === 'loopback' || machine().has(address))
    })
}
