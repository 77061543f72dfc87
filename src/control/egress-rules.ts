/**
 * What the operator lets out to addresses that are not public: rules in the fabric, compiled into a matcher that every
 * point of presence keeps up to date.
 */
import ipaddr from 'ipaddr.js'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { EgressGrant, EgressRules, Fabric } from '#/core/ports.ts'
import type { Clock, EpochMs } from '#/core/units.ts'
import { followBucket } from './certificates/follow-bucket.ts'

/** `program` is a name, or `*` for every program. `destination` is written in one normal form. */
export interface EgressRule {
  readonly program: string
  readonly destination: string
  readonly createdAt: EpochMs
}

export interface EgressRuleBook extends EgressRules {
  /** Idempotent. Throws `bad_request` naming what is wrong with the destination. */
  allow(program: string, destination: string): Promise<EgressRule>
  /** Returns whether there was such a rule. */
  remove(program: string, destination: string): Promise<boolean>
  list(): readonly EgressRule[]
  close(): void
}

export type RuleDestination =
  | { readonly kind: 'network'; readonly network: string; readonly prefix: number }
  | { readonly kind: 'address'; readonly address: string; readonly port?: number }
  | { readonly kind: 'host'; readonly host: string; readonly port?: number }

export interface EgressRulesOptions {
  readonly fabric: Fabric
  readonly limits: Limits
  readonly clock: Clock
}

export async function createEgressRules({ fabric, limits, clock }: EgressRulesOptions): Promise<EgressRuleBook> {
  const bucket = fabric.bucket('egress-rules')
  const rules = new Map<string, Compiled>()
  const stop = await followBucket(bucket, '', (key, value) => {
    if (value === undefined) rules.delete(key)
    else rules.set(key, compile(value))
  })

  return {
    async allow(program, destination) {
      checkProgram(program)
      const rule = { program, destination: writeDestination(parseRuleDestination(destination)), createdAt: clock() }
      const key = keyOf(rule)
      if (!rules.has(key) && rules.size >= limits.egressRules)
        throw new EdgeError('bad_request', `There are ${limits.egressRules} rules already; remove one first.`)
      const value = Buffer.from(JSON.stringify(rule))
      await bucket.put(key, value)
      rules.set(key, compile(value))
      return rule
    },
    async remove(program, destination) {
      checkProgram(program)
      const key = keyOf({ program, destination: writeDestination(parseRuleDestination(destination)) })
      rules.delete(key)
      return bucket.delete(key)
    },
    list: () => [...rules.values()].map(({ rule }) => rule).sort((one, other) => (keyOf(one) < keyOf(other) ? -1 : 1)),
    grants(by, target) {
      if (!('program' in by)) return []
      const found: EgressGrant[] = []
      for (const { rule, match } of rules.values()) {
        const grant = rule.program === '*' || rule.program === by.program ? match(target) : undefined
        if (grant !== undefined) found.push(grant)
      }
      return found
    },
    close: stop,
  }
}

interface Compiled {
  readonly rule: EgressRule
  readonly match: (target: Target) => EgressGrant | undefined
}

type Target = Parameters<EgressRules['grants']>[1]

function compile(value: Uint8Array): Compiled {
  const rule = JSON.parse(Buffer.from(value).toString()) as EgressRule
  return { rule, match: compileDestination(parseRuleDestination(rule.destination)) }
}

/** The matcher of one destination; addresses are given in normal form. */
export function compileDestination(destination: RuleDestination): (target: Target) => EgressGrant | undefined {
  if (destination.kind === 'network') {
    const network = ipaddr.parseCIDR(`${destination.network}/${destination.prefix}`)
    return ({ address }) => {
      const parsed = ipaddr.process(address)
      const inside = parsed.kind() === network[0].kind() && parsed.match(network as [ipaddr.IPv4, number])
      return inside ? { names: 'network', port: false } : undefined
    }
  }
  const { port } = destination
  const grant: EgressGrant = { names: destination.kind, port: port !== undefined }
  const names = destination.kind === 'address' ? matchAddress(destination.address) : matchHost(destination.host)
  return (target) => ((port === undefined || port === target.port) && names(target) ? grant : undefined)
}

function matchAddress(address: string): (target: Target) => boolean {
  return (target) => target.address === address
}

/** `*.example.com` covers one or more labels, not `example.com` itself. */
function matchHost(host: string): (target: Target) => boolean {
  if (host.startsWith('*.')) return (target) => target.host.endsWith(host.slice(1))
  return (target) => target.host === host
}

const hostName = /^(\*\.)?[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/

/** Reads `10.0.0.0/8`, `10.0.0.1`, `10.0.0.1:5432`, `[fd00::1]:80`, `db.internal`, `db.internal:5432`, `*.internal`. */
export function parseRuleDestination(text: string): RuleDestination {
  const wrong = (why: string) => new EdgeError('bad_request', `${JSON.stringify(text.slice(0, 300))}: ${why}`)
  if (text.includes('/')) return parseNetwork(text, wrong)
  const bracketed = /^\[([^\]]+)\](?::(\d{1,5}))?$/.exec(text)
  const plain = ipaddr.IPv6.isValid(text) ? [text, text] : /^([^:]+)(?::(\d{1,5}))?$/.exec(text)
  const [, name, digits] = bracketed ?? plain ?? []
  if (name === undefined) throw wrong('is no address, network (CIDR), host or host:port.')
  const port = digits === undefined ? {} : { port: Number(digits) }
  if (port.port !== undefined && (port.port < 1 || port.port > 65_535)) throw wrong('a port is 1 to 65535.')
  if (ipaddr.IPv4.isValidFourPartDecimal(name) || ipaddr.IPv6.isValid(name))
    return { kind: 'address', address: ipaddr.process(name).toString(), ...port }
  const host = name.toLowerCase().replace(/\.$/, '')
  if (bracketed !== null || host.length > 253 || !hostName.test(host) || /^(.*\.)?(0x[0-9a-f]*|\d+)$/.test(host))
    throw wrong('is no address and no host name.')
  return { kind: 'host', host, ...port }
}

function parseNetwork(text: string, wrong: (why: string) => EdgeError): RuleDestination {
  if (!ipaddr.isValidCIDR(text) || !/^[^/]*[.:][^/]*\/\d+$/.test(text))
    throw wrong('is no network such as 10.0.0.0/8 or fd00::/8; a port goes with an address or a host only.')
  const [address, prefix] = ipaddr.parseCIDR(text)
  const isIpv4 = address.kind() === 'ipv4'
  if (isIpv4 && !ipaddr.IPv4.isValidFourPartDecimal(text.split('/')[0]!)) throw wrong('write all four parts.')
  const network = isIpv4 ? ipaddr.IPv4.networkAddressFromCIDR(text) : ipaddr.IPv6.networkAddressFromCIDR(text)
  if (network.toString() !== address.toString()) throw wrong(`has host bits set; did you mean ${network}/${prefix}?`)
  return { kind: 'network', network: network.toString(), prefix }
}

function writeDestination(destination: RuleDestination): string {
  if (destination.kind === 'network') return `${destination.network}/${destination.prefix}`
  const name = destination.kind === 'address' ? destination.address : destination.host
  if (destination.port === undefined) return name
  return name.includes(':') ? `[${name}]:${destination.port}` : `${name}:${destination.port}`
}

function checkProgram(program: string): void {
  if (program !== '*' && !/^[a-z0-9_.-]{1,255}$/.test(program))
    throw new EdgeError('bad_request', `${JSON.stringify(program.slice(0, 300))} is no program's name (nor * for all).`)
}

function keyOf({ program, destination }: Pick<EgressRule, 'program' | 'destination'>): string {
  return `${program} ${destination}`
}
