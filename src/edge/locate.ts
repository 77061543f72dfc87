/**
 * Where a client is: its country from a public-domain database (geo-whois-asn-country, CC0) that comes with the program, and
 * more where the operator puts databases of MaxMind's format beside the data: `city.mmdb`, `asn.mmdb`.
 */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import ipaddr from 'ipaddr.js'
import { type AsnResponse, type CityResponse, type CountryResponse, Reader } from 'mmdb-lib'
import type { Place } from '#/core/place.ts'

export type Locate = (address: string) => Place | undefined

/** Addresses of the machine's own and of private networks are where the point of presence is. */
export function isNearby(address: string): boolean {
  if (!ipaddr.isValid(address)) return false
  const range = ipaddr.process(address).range()
  return range === 'loopback' || range === 'private' || range === 'linkLocal' || range === 'uniqueLocal'
}

type Country = CountryResponse & { country_code?: string }

/**
 * Reads the databases (8 MiB of countries) once; `limit` addresses are remembered, the least recently used goes first.
 * `folder` is where the operator's databases may lie. Rejects when one of them cannot be read.
 */
export async function createLocate(options: { readonly limit: number; readonly folder?: string }): Promise<Locate> {
  const file = createRequire(import.meta.url).resolve(
    '@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb',
  )
  const countries = new Reader<Country>(await readFile(file))
  const cities = await openOwn<CityResponse>(options.folder, 'city.mmdb')
  const networks = await openOwn<AsnResponse>(options.folder, 'asn.mmdb')
  const known = new Map<string, Place | undefined>()

  function find(address: string): Place | undefined {
    const location = merge(countries.get(address), cities?.get(address), networks?.get(address))
    return Object.keys(location).length === 0 ? undefined : location
  }

  return (address) => {
    let location = known.get(address)
    if (location === undefined && !known.has(address)) {
      location = find(address)
      if (known.size >= options.limit) known.delete(known.keys().next().value!)
    } else known.delete(address)
    known.set(address, location)
    return location
  }
}

async function openOwn<Found extends CityResponse | AsnResponse>(
  folder: string | undefined,
  name: string,
): Promise<Reader<Found> | undefined> {
  if (folder === undefined) return undefined
  try {
    return new Reader<Found>(await readFile(join(folder, name)))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** What is not known is absent. The operator's database counts before the one that comes with the program. */
export function merge(country: Country | null, city?: CityResponse | null, network?: AsnResponse | null): Place {
  const code = city?.country?.iso_code ?? country?.country_code ?? country?.country?.iso_code
  const { location } = city ?? {}
  const found = {
    country: code,
    asn: network?.autonomous_system_number,
    asOrganization: network?.autonomous_system_organization,
    city: city?.city?.names?.en,
    region: city?.subdivisions?.[0]?.iso_code,
    postalCode: city?.postal?.code,
    latitude: location?.latitude,
    longitude: location?.longitude,
    metroCode: location?.metro_code,
    timezone: location?.time_zone,
  }
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined)) as Place
}
