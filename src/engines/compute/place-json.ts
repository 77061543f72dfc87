/**
 * A place in the words of Fastly's geolocation. Names are lower case, texts that are not known are `?`, numbers have
 * Fastly's values for «nothing known». https://www.fastly.com/documentation/reference/vcl/variables/geolocation/
 */
import type { Place } from '#/core/place.ts'
import { continentOf, threeLetters } from './country-codes.ts'

const unknown = '?'
const names = new Intl.DisplayNames('en', { type: 'region', fallback: 'none' })

export function placeJson(place: Place): string {
  const { country = unknown } = place
  const offset = (place.timezone === undefined ? undefined : offsetOf(place.timezone, new Date())) ?? 0
  return JSON.stringify({
    as_name: place.asOrganization ?? unknown,
    as_number: place.asn ?? 0,
    area_code: 0,
    city: plain(place.city),
    conn_speed: 'broadband',
    conn_type: unknown,
    continent: continentOf(country) ?? unknown,
    country_code: country,
    country_code3: threeLetters(country) ?? unknown,
    country_name: plain(/^[A-Z]{2}$/.test(country) ? names.of(country) : undefined),
    gmt_offset: offset,
    latitude: place.latitude ?? 0,
    longitude: place.longitude ?? 0,
    metro_code: place.metroCode ?? -1,
    postal_code: place.postalCode ?? '0',
    proxy_description: unknown,
    proxy_type: unknown,
    region: place.region ?? unknown,
    utc_offset: offset,
  })
}

/** Lower case without marks, as Fastly spells names. */
function plain(name: string | undefined): string {
  return name === undefined ? unknown : name.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase()
}

/** Hours and minutes east of Greenwich as one number: 530 is 5 h 30 min. */
export function offsetOf(timezone: string, at: Date): number | undefined {
  try {
    const parts = new Intl.DateTimeFormat('en', { timeZone: timezone, timeZoneName: 'longOffset' }).formatToParts(at)
    const text = parts.find(({ type }) => type === 'timeZoneName')?.value ?? ''
    const [, sign = '+', hours = '0', minutes = '0'] = /^GMT(?:([+-])(\d\d):(\d\d))?/.exec(text) ?? []
    return (Number(hours) * 100 + Number(minutes)) * (sign === '-' ? -1 : 1)
  } catch {
    // A name that this runtime does not know.
    return undefined
  }
}
