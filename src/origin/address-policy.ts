/**
 * What kind of network an address belongs to. Only `public` may be reached without a rule of the operator.
 */
import ipaddr from 'ipaddr.js'

export type AddressKind =
  | 'public'
  | 'unspecified'
  | 'loopback'
  | 'private'
  | 'link-local'
  | 'carrier-grade-nat'
  | 'unique-local'
  | 'multicast'
  | 'broadcast'
  | 'metadata'
  | 'reserved'

/**
 * Addresses at which clouds hand out credentials. 168.63.129.16 is the dangerous one: it looks public.
 * AWS, Google, Azure, Oracle: 169.254.169.254; AWS: fd00:ec2::254, ECS 169.254.170.2; Alibaba: 100.100.100.200;
 * Azure's wire server: 168.63.129.16; Oracle: 192.0.0.192; Google over IPv6: fd20:ce::254.
 */
const metadata = new Set(
  [
    '169.254.169.254',
    '169.254.170.2',
    '169.254.170.23',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    'fd00:ec2::254',
    'fd00:ec2::23',
    'fd20:ce::254',
  ].map((address) => ipaddr.parse(address).toString()),
)

const kinds: Record<string, AddressKind> = {
  unicast: 'public',
  unspecified: 'unspecified',
  loopback: 'loopback',
  private: 'private',
  linkLocal: 'link-local',
  carrierGradeNat: 'carrier-grade-nat',
  uniqueLocal: 'unique-local',
  multicast: 'multicast',
  broadcast: 'broadcast',
}

/** Global unicast as assigned by IANA (RFC 4291 §2.4); the rest of IPv6 is not routed. */
const globalUnicast = ipaddr.parseCIDR('2000::/3')
/** RFC 4291 §2.5.5.1: `::a.b.c.d`, which some systems still hand to IPv4. */
const compatible = ipaddr.parseCIDR('::/96')
/** RFC 6052 §2.1: the NAT64 prefix that DNS64 answers with. */
const nat64 = ipaddr.parseCIDR('64:ff9b::/96')
/** RFC 2765 §2.1: `::ffff:0:a.b.c.d`. */
const translated = ipaddr.parseCIDR('::ffff:0:0:0/96')

/** Classifies an IPv4 or IPv6 literal without brackets; an IPv6 zone is ignored. Not an address: `reserved`. */
export function classifyAddress(literal: string): AddressKind {
  const text = literal.replace(/%.*$/, '')
  const address = ipaddr.isValid(text) && !isShortIpv4(text) ? ipaddr.process(text) : undefined
  if (address === undefined) return 'reserved'
  if (metadata.has(address.toString())) return 'metadata'
  return address.kind() === 'ipv4' ? (kinds[address.range()] ?? 'reserved') : classifyIpv6(address as ipaddr.IPv6)
}

/** The same address always as the same text: mapped IPv4 as IPv4, IPv6 compressed, without zone. */
export function normalAddress(literal: string): string {
  return ipaddr.process(literal.replace(/%.*$/, '')).toString()
}

function classifyIpv6(address: ipaddr.IPv6): AddressKind {
  const range = address.range()
  if (range === 'unspecified' || range === 'loopback') return kinds[range]!
  const embedded = embeddedIpv4(address)
  if (embedded !== undefined) return classifyAddress(embedded)
  if (range !== 'unicast') return kinds[range] ?? 'reserved'
  // 6to4 (RFC 7526), Teredo, documentation and benchmarking ranges have names of their own above: `reserved`.
  return address.match(globalUnicast) ? 'public' : 'reserved'
}

/** The IPv4 address to which a packet for this IPv6 address is finally sent by a translator or by the host itself. */
function embeddedIpv4(address: ipaddr.IPv6): string | undefined {
  const holds = [nat64, compatible, translated].some((network) => address.match(network))
  return holds ? ipaddr.fromByteArray(address.toByteArray().slice(12)).toString() : undefined
}

/** `127.1`, `0177.0.0.1`, `2130706433`: forms that URL parsers resolve before us; as an address they are none. */
function isShortIpv4(text: string): boolean {
  return !text.includes(':') && !ipaddr.IPv4.isValidFourPartDecimal(text)
}
