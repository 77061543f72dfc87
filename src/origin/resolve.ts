/**
 * Names to addresses. Asks DNS with c-ares, whose queries run on the event loop: `getaddrinfo` would let slow name
 * servers of one program fill the thread pool that everybody's files and names share.
 */
import { Resolver } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Clock, EpochMs, Milliseconds } from '#/core/units.ts'
import { normalAddress } from './address-policy.ts'

export interface Resolved {
  readonly addresses: readonly string[]
  readonly ttl: Milliseconds
}

/** Asks the world once. Rejects when there is no such name or no answer. */
export type Lookup = (host: string) => Promise<Resolved>

export interface Names {
  /** Rejects with `origin_unresolved`, `origin_timeout` or `overloaded`. `source` shares its part of the lookups fairly. */
  resolve(host: string, source: string): Promise<readonly string[]>
}

export interface NamesOptions {
  readonly lookup: Lookup
  readonly limits: Pick<
    Limits,
    'originNames' | 'originNameMs' | 'originLookups' | 'originLookupsPerSource' | 'originResolveMs'
  >
  readonly clock: Clock
}

/** Answers are kept for their TTL, failures not at all; equal questions asked at the same time are asked once. */
export function createNames({ lookup, limits, clock }: NamesOptions): Names {
  const known = new Map<string, { readonly addresses: readonly string[]; readonly until: EpochMs }>()
  const asking = new Map<string, Promise<readonly string[]>>()
  const perSource = new Map<string, number>()

  async function ask(host: string): Promise<readonly string[]> {
    const { addresses, ttl } = await within(limits.originResolveMs, host, lookup(host))
    const normal = [...new Set(addresses.map(normalAddress))]
    if (normal.length === 0) throw new EdgeError('origin_unresolved', `The name ${host} has no address.`)
    known.delete(host)
    known.set(host, { addresses: normal, until: clock() + Math.min(ttl, limits.originNameMs) })
    if (known.size > limits.originNames) known.delete(known.keys().next().value!)
    return normal
  }

  function admit(host: string, source: string): void {
    const own = perSource.get(source) ?? 0
    if (asking.size >= limits.originLookups || own >= limits.originLookupsPerSource)
      throw new EdgeError('overloaded', `Too many names are being resolved to resolve ${host} too.`)
    perSource.set(source, own + 1)
  }

  function leave(host: string, source: string): void {
    asking.delete(host)
    const left = perSource.get(source)! - 1
    if (left === 0) perSource.delete(source)
    else perSource.set(source, left)
  }

  return {
    async resolve(host, source) {
      if (isIP(host) !== 0) return [normalAddress(host)]
      if (isLoopbackName(host)) return ['127.0.0.1', '::1']
      const cached = known.get(host)
      if (cached !== undefined && clock() < cached.until) return cached.addresses
      const asked = asking.get(host)
      if (asked !== undefined) return asked
      admit(host, source)
      const answer = ask(host).finally(() => leave(host, source))
      asking.set(host, answer)
      return answer
    },
  }
}

/** RFC 6761 §6.3: never asked of a name server. */
export function isLoopbackName(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost')
}

async function within(ms: Milliseconds, host: string, answer: Promise<Resolved>): Promise<Resolved> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new EdgeError('origin_unresolved', `The name ${host} was not resolved within ${ms} ms.`)),
      ms,
    )
  })
  try {
    return await Promise.race([answer, late])
  } catch (error) {
    if (error instanceof EdgeError) throw error
    const code = (error as NodeJS.ErrnoException).code ?? 'no answer'
    throw new EdgeError('origin_unresolved', `The name ${host} was not resolved (${code}).`, { cause: error })
  } finally {
    clearTimeout(timer)
  }
}

/** The machine's hosts file (hosts(5)), then its name servers. Search domains are not used: names are written in full. */
export function createSystemLookup(timeoutMs: Milliseconds, hostsFile = '/etc/hosts'): Lookup {
  const resolver = new Resolver({ timeout: Math.ceil(timeoutMs / 4), tries: 2 })
  let hosts: ReadonlyMap<string, readonly string[]> | undefined

  return async (host) => {
    hosts ??= readHosts(hostsFile)
    const written = hosts.get(host)
    if (written !== undefined) return { addresses: written, ttl: timeoutMs }
    const answers = await Promise.allSettled([
      resolver.resolve4(host, { ttl: true }),
      resolver.resolve6(host, { ttl: true }),
    ])
    const records = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
    if (records.length === 0) throw (answers[0] as PromiseRejectedResult).reason
    return {
      addresses: records.map((record) => record.address),
      ttl: Math.min(...records.map((record) => record.ttl)) * 1000,
    }
  }
}

function readHosts(file: string): ReadonlyMap<string, readonly string[]> {
  let text = ''
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    // A machine without the file resolves everything by DNS.
  }
  return parseHosts(text)
}

/** hosts(5): an address and its names on each line, `#` starts a comment. */
export function parseHosts(text: string): ReadonlyMap<string, readonly string[]> {
  const hosts = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const [address, ...names] = line.replace(/#.*$/, '').trim().split(/\s+/)
    if (address === undefined || isIP(address) === 0) continue
    for (const name of names) {
      const key = name.toLowerCase()
      hosts.set(key, [...(hosts.get(key) ?? []), address])
    }
  }
  return hosts
}
