/** Is an address in a list of addresses and networks? */
import ipaddr from 'ipaddr.js'
import type { ListedNetwork } from './delivery-rules.ts'

interface Parsed {
  readonly address: ipaddr.IPv4 | ipaddr.IPv6
  readonly prefix: number
  readonly negated: boolean
}

/** The entry with the longest prefix decides; one that is negated says no. Addresses that do not parse are in no list. */
export function listMatcher(list: readonly ListedNetwork[]): (address: string) => boolean {
  const parsed = list.map(parse).sort((one, other) => other.prefix - one.prefix)
  return (text) => {
    if (!ipaddr.isValid(text)) return false
    const address = ipaddr.process(text)
    for (const entry of parsed) {
      if (entry.address.kind() !== address.kind()) continue
      if (address.match(entry.address as ipaddr.IPv4, entry.prefix)) return !entry.negated
    }
    return false
  }
}

function parse({ address, prefix, negated }: ListedNetwork): Parsed {
  const read = ipaddr.parse(address)
  return { address: read, prefix: prefix ?? (read.kind() === 'ipv4' ? 32 : 128), negated }
}
