/**
 * Where a client is: its country from a public-domain database (geo-whois-asn-country, CC0) that comes with the program.
 */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import ipaddr from 'ipaddr.js'
import { type CountryResponse, Reader } from 'mmdb-lib'

export interface Location {
  /** ISO 3166 code. */
  readonly country?: string
  readonly asn?: number
  readonly asOrganization?: string
}

export type Locate = (address: string) => Location | undefined

/** Addresses of the machine's own and of private networks are where the point of presence is. */
export function isNearby(address: string): boolean {
  if (!ipaddr.isValid(address)) return false
  const range = ipaddr.process(address).range()
  return range === 'loopback' || range === 'private' || range === 'linkLocal' || range === 'uniqueLocal'
}

/** Reads the database (8 MiB) once; `limit` addresses are remembered, the least recently used goes first. */
export async function createLocate(options: { readonly limit: number }): Promise<Locate> {
  const file = createRequire(import.meta.url).resolve(
    '@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb',
  )
  const reader = new Reader<CountryResponse & { country_code?: string }>(await readFile(file))
  const known = new Map<string, Location | undefined>()
  return (address) => {
    let location = known.get(address)
    if (location === undefined && !known.has(address)) {
      const entry = reader.get(address)
      const country = entry?.country_code ?? entry?.country?.iso_code
      location = country === undefined ? undefined : { country }
      if (known.size >= options.limit) known.delete(known.keys().next().value!)
    } else known.delete(address)
    known.set(address, location)
    return location
  }
}
